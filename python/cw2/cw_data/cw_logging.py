"""Loggers: what keeps, or shows, the results of a repetition."""

from __future__ import annotations

import abc
import logging
import os
import pprint
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Callable, TextIO

from cw2 import _context, _metrics

__all__ = ["AbstractLogger", "LoggerArray", "Printer", "PythonLogger", "getLogger"]


class AbstractLogger(abc.ABC):
    """A logger of one's own implements this.

    Args:
        ignore_keys: results that :meth:`filter` drops.
        allow_keys: results that :meth:`filter` keeps, and no others.

    Raises:
        ValueError: if both are given.
    """

    ignore_keys: Iterable[Any] | None = None
    allow_keys: Iterable[Any] | None = None

    def __init__(self, ignore_keys: Iterable[Any] | None = None, allow_keys: Iterable[Any] | None = None) -> None:
        if ignore_keys is not None and allow_keys is not None:
            raise ValueError("a logger takes `ignore_keys` or `allow_keys`, not both")
        # Asked for every result: an iterator would be used up by the first.
        self.ignore_keys = None if ignore_keys is None else list(ignore_keys)
        self.allow_keys = None if allow_keys is None else list(allow_keys)

    def filter(self, data: dict[Any, Any]) -> dict[Any, Any]:
        """The results that this logger is to keep."""
        if self.ignore_keys is not None:
            return {key: value for key, value in data.items() if key not in self.ignore_keys}
        if self.allow_keys is not None:
            return {key: value for key, value in data.items() if key in self.allow_keys}
        return data

    def preprocess(self, *args: Any) -> None:
        """For an experiment to call from its ``initialize``, with whatever the logger needs of it."""

    @abc.abstractmethod
    def initialize(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        """Begins a repetition.

        Args:
            config: the repetition's configuration.
            rep: its number.
            rep_log_path: its directory.
        """

    @abc.abstractmethod
    def process(self, data: dict[Any, Any]) -> None:
        """Takes a result: for an iterative experiment what an iteration returned, with ``ts``, ``rep`` and ``iter``."""

    @abc.abstractmethod
    def finalize(self) -> None:
        """Ends the repetition. Called last, however the experiment ended."""

    @abc.abstractmethod
    def load(self) -> Any:
        """Reads back what was kept of the repetition that :meth:`initialize` named.

        Returns:
            a dictionary, whose keys become columns; anything else becomes a column named like the class; or None.
        """

    def _find(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        """Prepares :meth:`load`. Ours change nothing there; of others only ``initialize`` is known."""
        self.initialize(config, rep, rep_log_path)


class LoggerArray(AbstractLogger):
    """Several loggers that are called as one. Iterating over it gives them.

    What it is given to process is also written to the repetition's ``metrics.jsonl``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logger_array: list[AbstractLogger] = []

    def add(self, logger: AbstractLogger) -> None:
        """Adds one more."""
        self._logger_array.append(logger)

    def initialize(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        """Begins a repetition with each of them."""
        for logger in self._logger_array:
            logger.initialize(config, rep, rep_log_path)

    def preprocess(self, *args: Any) -> None:
        """Hands this to each of them."""
        for logger in self._logger_array:
            logger.preprocess(*args)

    def process(self, data: dict[Any, Any]) -> None:
        """Hands a result to each of them, and to ``metrics.jsonl``."""
        context = _context.current()
        if context is not None:
            _metrics.append(context.metrics, data)
        for logger in self._logger_array:
            logger.process(data)

    def finalize(self) -> None:
        """Ends the repetition with each of them; one that fails keeps none of the others from it.

        Raises:
            Exception: the first of their errors, after all had their turn.
        """
        errors: list[Exception] = []
        for logger in self._logger_array:
            try:
                logger.finalize()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def load(self) -> dict[str, Any]:
        """What each of them kept, in one dictionary."""
        data: dict[str, Any] = {}
        for logger in self._logger_array:
            name = type(logger).__name__
            try:
                loaded = logger.load()
            except Exception:
                getLogger().exception("cannot load what %s kept", name)
                loaded = f"Error when loading {name}"
            if loaded is not None:
                data.update(loaded if isinstance(loaded, dict) else {name: loaded})
        return data

    def _find(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        for logger in self._logger_array:
            logger._find(config, rep, rep_log_path)

    def __iter__(self) -> Iterator[AbstractLogger]:
        return iter(self._logger_array)

    def is_empty(self) -> bool:
        """Whether there is none."""
        return not self._logger_array


class Printer(AbstractLogger):
    """Prints each result."""

    def initialize(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        """Does nothing."""

    def process(self, data: dict[Any, Any]) -> None:
        """Prints the result."""
        pprint.pprint(self.filter(data))

    def finalize(self) -> None:
        """Does nothing."""

    def load(self) -> None:
        """There is nothing to load."""


class PythonLogger(AbstractLogger):
    """Keeps what is logged to :func:`getLogger`: all of it in ``out.log``, errors in ``err.log`` too.

    :class:`~cw2.cluster_work.ClusterWork` has one unless it is called with ``--noconsolelog``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logger = getLogger()
        self._handlers: list[logging.Handler] = []

    def initialize(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        """Begins to write into that repetition's logs."""
        self._remove()
        # What is printed goes to `out.log` already where the repetition is a process of its own; so does its logging.
        if not _is_open_as(1, os.path.join(rep_log_path, "out.log")):
            self._add(logging.FileHandler(os.path.join(rep_log_path, "out.log"), delay=True), logging.INFO)
        if _is_open_as(2, os.path.join(rep_log_path, "err.log")):
            self._add(_StreamHandler(lambda: sys.stderr), logging.ERROR)
        else:
            self._add(logging.FileHandler(os.path.join(rep_log_path, "err.log"), delay=True), logging.ERROR)

    def process(self, data: dict[Any, Any]) -> None:
        """Does nothing: results are not logged."""

    def finalize(self) -> None:
        """Ends the writing."""
        self._remove()

    def load(self) -> None:
        """There is nothing to load."""

    def _find(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        pass

    def _add(self, handler: logging.Handler, level: int) -> None:
        handler.setLevel(level)
        handler.setFormatter(_CWFormatter())
        self.logger.addHandler(handler)
        self._handlers.append(handler)

    def _remove(self) -> None:
        for handler in self._handlers:
            self.logger.removeHandler(handler)
            handler.close()
        self._handlers = []


class _CWFormatter(logging.Formatter):
    """A line of a log; errors tell when."""

    def __init__(self) -> None:
        super().__init__("[%(name)s] [%(levelname)s] %(message)s")
        self._error = logging.Formatter("[%(asctime)s]:[%(name)s] [%(levelname)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno < logging.ERROR:
            return super().format(record)
        return self._error.format(record)


class _StreamHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what the stream is when something is logged, not to what it was when the handler was made."""

    def __init__(self, stream: Callable[[], TextIO]) -> None:
        logging.Handler.__init__(self)
        self._stream = stream

    @property
    def stream(self) -> TextIO:
        return self._stream()


def getLogger() -> logging.Logger:
    """The logger named ``cw2``, which also shows what it is given."""
    logger = logging.getLogger("cw2")
    if not any(isinstance(handler, _StreamHandler) for handler in logger.handlers):
        handler = _StreamHandler(lambda: sys.stdout)
        handler.setLevel(logging.INFO)
        handler.setFormatter(_CWFormatter())
        logger.addHandler(handler)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
    return logger


def _is_open_as(descriptor: int, path: str) -> bool:
    """Whether this descriptor of the process is that file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
