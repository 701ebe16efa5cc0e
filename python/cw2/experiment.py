"""The experiment, whole or iteration by iteration."""

from __future__ import annotations

import abc
import datetime
from typing import Any

from cw2 import _context, _stop
from cw2.cw_data import cw_logging
from cw2.cw_error import ExperimentSurrender

__all__ = ["AbstractExperiment", "AbstractIterativeExperiment", "ExperimentSurrender"]


class AbstractExperiment(abc.ABC):
    """An experiment: what one repetition does. A fresh object is made for each.

    An exception is a crash of the repetition, but for :class:`~cw2.cw_error.ExperimentSurrender`, which ends it early as a
    success.
    """

    @abc.abstractmethod
    def initialize(self, cw_config: dict[str, Any], rep: int, logger: cw_logging.LoggerArray) -> None:
        """Prepares the repetition. Called once, first.

        Args:
            cw_config: the repetition's configuration; all calls are given the same dictionary.
            rep: its number.
            logger: the loggers, ready.
        """

    @abc.abstractmethod
    def run(self, cw_config: dict[str, Any], rep: int, logger: cw_logging.LoggerArray) -> None:
        """The experiment itself; called after :meth:`initialize` with the same arguments."""

    @abc.abstractmethod
    def finalize(self, surrender: ExperimentSurrender | None = None, crash: bool = False) -> None:
        """Called last, however the experiment ended. An exception here is a crash too.

        Args:
            surrender: what the experiment raised to end early, with its payload.
            crash: whether it did not come to its end: an exception, or an order to stop.
        """


class AbstractIterativeExperiment(AbstractExperiment):
    """An experiment that does the same step ``iterations`` times, a key of its configuration.

    After an interruption it begins with the first iteration, unless :meth:`cw2.rep.resume` gave it a checkpoint: then it goes
    on with the iteration after the one in which that was saved.
    """

    @abc.abstractmethod
    def iterate(self, cw_config: dict[str, Any], rep: int, n: int) -> dict[Any, Any]:
        """One iteration.

        Args:
            cw_config: the repetition's configuration.
            rep: its number.
            n: the iteration, from 0.

        Returns:
            the results, which are handed to the loggers.
        """

    @abc.abstractmethod
    def save_state(self, cw_config: dict[str, Any], rep: int, n: int) -> None:
        """Called after each iteration, when its results are logged; also after one that surrendered."""

    def run(self, cw_config: dict[str, Any], rep: int, logger: cw_logging.LoggerArray) -> None:
        """Runs the iterations. What :meth:`iterate` returns, or surrenders with, is logged with ``ts``, ``rep`` and ``iter``."""
        context = _context.current()
        for n in range(context.first_iteration if context else 0, cw_config["iterations"]):
            if context is not None:
                # Before the first one too: it may be long. After the last there is nothing left to go on with.
                if _stop.requested():
                    raise _stop.Told
                context.iteration = n
            surrender = None
            try:
                results = self.iterate(cw_config, rep, n)
            except ExperimentSurrender as raised:
                surrender = raised
                results = raised.payload
            results["ts"] = datetime.datetime.now()
            results["rep"] = rep
            results["iter"] = n
            logger.process(results)
            self.save_state(cw_config, rep, n)
            if surrender is not None:
                raise surrender
