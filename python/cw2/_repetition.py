"""One repetition of an experiment class, in this process: who is called when, and how it ended.

Makes no process and writes no state: the engine does.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, Callable

from cw2 import _context, _metrics, _stop
from cw2._engine import Outcome
from cw2.cw_data import cw_logging
from cw2.cw_error import ExperimentSurrender
from cw2.experiment import AbstractExperiment

__all__ = ["Runner"]


class Runner:
    """Runs repetitions of one experiment class.

    Args:
        exp_cls: makes the experiment, anew for each repetition.
        logger: the loggers.
    """

    def __init__(self, exp_cls: Callable[[], AbstractExperiment], logger: cw_logging.LoggerArray) -> None:
        self.exp_cls = exp_cls
        self.logger = logger

    def __call__(self, config: dict[str, Any], rep: int) -> Outcome:
        """Runs a repetition: the experiment between the loggers' ``initialize`` and ``finalize``.

        Whatever the experiment or a logger raises, an exit included, is part of the outcome.

        Args:
            config: its configuration with the keys of the original; all calls are given this very dictionary.
            rep: its number.
        """
        _enter()
        log, path = cw_logging.getLogger(), config["_rep_log_path"]
        experiment: AbstractExperiment | None = None
        surrender: ExperimentSurrender | None = None
        told, phase = False, "initialize"
        failures: list[tuple[str, BaseException]] = []
        try:
            with _stop.interruptible():
                self.logger.initialize(config, rep, path)
                experiment = self.exp_cls()
                experiment.initialize(config, rep, self.logger)
                phase = "run"
                experiment.run(config, rep, self.logger)
            told = _stop.heard()
        except ExperimentSurrender as raised:
            surrender = raised
            log.warning("SURRENDER: %s", path)
        except _stop.Told:
            told = True
            log.warning("INTERRUPTED: %s", path)
        except BaseException as raised:
            failures.append((phase, raised))
            _tell(log, f"EXCEPTION: {path}", raised)

        try:
            if experiment is not None:
                experiment.finalize(surrender, told or bool(failures))
        except BaseException as raised:
            failures.append(("finalize", raised))
            _tell(log, f"EXCEPTION in finalize: {path}", raised)
        try:
            self.logger.finalize()
        except BaseException as raised:
            failures.append(("finalize", raised))
            _tell(log, f"EXCEPTION in the end of a logger: {path}", raised)
        return _outcome(failures, surrender, told)

    def finalize(self, config: dict[str, Any], rep: int) -> None:
        """Calls ``finalize`` alone, of a fresh object: for a repetition whose process ended before it could."""
        _enter()
        self.exp_cls().finalize(None, True)


def _enter() -> None:
    """Begins to be the repetition that the environment tells of."""
    _context.enter(None)
    context = _context.current()
    if context is not None:
        context.in_experiment = True
        _stop.listen()


def _outcome(failures: list[tuple[str, BaseException]], surrender: ExperimentSurrender | None, told: bool) -> Outcome:
    if failures:
        phase, first = failures[0]
        text = "\n\n".join(_traceback(failure) for _, failure in failures)
        return Outcome("crashed", phase, _one_line(first), text)
    if surrender is not None:
        return Outcome("surrendered", payload=_metrics.jsonable(surrender.payload))
    return Outcome("interrupted" if told else "completed")


def _tell(log: logging.Logger, what: str, error: BaseException) -> None:
    """Logs an exception, and makes sure that it is on standard error, which is the repetition's ``err.log``."""
    text = f"{what}\n{_traceback(error)}"
    log.error("%s", text)
    if not any(getattr(handler, "stream", None) is sys.stderr for handler in log.handlers):
        try:
            print(text, file=sys.stderr, flush=True)
        except (OSError, ValueError):
            pass  # The experiment closed it, or its disk is full: the report of the crash has it too.


def _traceback(error: BaseException) -> str:
    # Without the line of this file that called it.
    below = error.__traceback__.tb_next if error.__traceback__ is not None else None
    return "".join(traceback.format_exception(type(error), error, below)).rstrip("\n")


def _one_line(error: BaseException) -> str:
    return " ".join("".join(traceback.format_exception_only(type(error), error)).split())
