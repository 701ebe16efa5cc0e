"""``cw2.rep``: what a Python program finds out about the repetition it is, and tells of it.

Works in a ``command``, in an experiment class, and in a program that nobody but its user started.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from cw2 import _context, _files, _metrics, _stop
from cw2.cw_error import ExperimentSurrender

__all__ = ["Rep", "rep"]

_CHECKPOINT = "checkpoint.pkl"
#: Of the pair that a checkpoint's file holds, so that it is told apart from any other pickle.
_FORMAT = "cw2 checkpoint 1"


class Rep:
    """The repetition that this process is.

    Outside of cw2 there is none: then the parameters are empty, the directory is the working directory, what is logged is
    printed, nothing asks to stop, and there is nothing to go on from.
    """

    @property
    def active(self) -> bool:
        """Whether cw2 started this process."""
        return _context.current() is not None

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration: ``params``, ``iterations``, keys of one's own. Empty outside of cw2."""
        context = _context.current()
        return {} if context is None else context.read_config()

    @property
    def params(self) -> dict[str, Any]:
        """The parameters. Empty outside of cw2, so give defaults: ``rep.params.get("lr", 0.1)``."""
        params = self.config.get("params")
        return params if isinstance(params, dict) else {}

    @property
    def dir(self) -> Path:
        """The repetition's own directory, to write into; the working directory outside of cw2."""
        context = _context.current()
        return Path(".") if context is None else Path(context.dir)

    @property
    def number(self) -> int:
        """Which repetition of its run this is, from 0."""
        context = _context.current()
        return 0 if context is None else context.number

    @property
    def seed(self) -> int:
        """A number that depends on the experiment, the run and the repetition alone; 0 outside of cw2."""
        context = _context.current()
        return 0 if context is None else context.seed

    @property
    def attempt(self) -> int:
        """Which start this is, from 1."""
        context = _context.current()
        return 1 if context is None else context.attempt

    @property
    def experiment(self) -> str:
        """The experiment's name; empty outside of cw2."""
        context = _context.current()
        return "" if context is None else context.experiment

    @property
    def run(self) -> str:
        """The run's name; empty outside of cw2."""
        context = _context.current()
        return "" if context is None else context.run

    def log(self, metrics: Mapping[Any, Any] | None = None, /, **more: Any) -> None:
        """Keeps results: one line of ``metrics.jsonl``. Outside of cw2 it is printed.

        ``rep.log(step=n, loss=loss)``; names that are no Python ones go into a dictionary: ``rep.log({"val/loss": loss}, step=n)``.

        Raises:
            OSError: if it cannot be written.
        """
        record = {**(metrics or {}), **more}
        context = _context.current()
        if context is None:
            print(" ".join(f"{key}={value}" for key, value in record.items()), flush=True)
        else:
            _metrics.append(context.metrics, record)

    def surrender(self, payload: Mapping[Any, Any] | None = None, /, **more: Any) -> NoReturn:
        """Ends the repetition here, early and on purpose: it counts as done. ``rep.surrender(reason="converged")``

        A program exits with status 0 (:class:`SystemExit`); in an experiment class it is an ``ExperimentSurrender``, which
        ``finalize`` is given.
        """
        payload = {**(payload or {}), **more}
        context = _context.current()
        if context is None:
            print(f"surrender: {json.dumps(_metrics.jsonable(payload))}", flush=True)
        elif context.in_experiment:
            raise ExperimentSurrender(payload)
        else:
            leave_surrender(context, payload)
        raise SystemExit(0)

    @property
    def stopping(self) -> bool:
        """Whether the repetition is to end now: time runs out, or the job is cancelled. Never outside of cw2.

        Ask in every round of a long loop, save a :meth:`checkpoint`, and return; the next attempt is given it by
        :meth:`resume`. Ask once before the loop as well: before the first question a program is simply ended. The signals are
        those of the main thread, so the first question must be asked there.
        """
        return _context.current() is not None and _stop.stopping()

    def checkpoint(self, state: Any) -> None:
        """Saves anything that pickles, in place of what was saved before: whole or not at all, and on the disk.

        Raises:
            OSError: if it cannot be written; what was saved before is still there.
        """
        context = _context.current()
        if context is None:
            return
        _stop.asked()
        head = {"format": _FORMAT, "attempt": context.attempt, "iteration": context.iteration}
        # One after the other: the head is read without the classes that the state needs.
        data = pickle.dumps(head) + pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL)
        _files.replace(os.path.join(context.dir, _CHECKPOINT), lambda file: file.write(data))

    def resume(self, default: Any = None) -> Any:
        """What the attempt before saved, where this one goes on from an interruption; else ``default``.

        An iterative experiment that calls this in its ``initialize`` goes on after the iteration that saved it.

        Raises:
            RuntimeError: if there is a checkpoint that cannot be read; one that is not there is none.
        """
        context = _context.current()
        if context is None:
            return default
        _stop.asked()
        if not context.resume:
            return default
        path = os.path.join(context.dir, _CHECKPOINT)
        try:
            with _files.open_trusted(path) as file:
                head = pickle.load(file)
                if head["format"] != _FORMAT or head["attempt"] < _first_attempt(context):
                    return default
                state = pickle.load(file)
        except FileNotFoundError:
            return default
        except Exception as error:
            raise RuntimeError(f"cannot go on from {path}: {error!r}") from error
        if head["iteration"] is not None:
            context.first_iteration = head["iteration"] + 1
        return state


def leave_surrender(context: _context.Context, payload: Mapping[Any, Any]) -> None:
    """Leaves the payload where the worker finds it: a process that then exits with status 0 has surrendered."""
    data = json.dumps(_metrics.jsonable(payload)).encode()
    _files.replace(context.surrender, lambda file: file.write(data))


def _first_attempt(context: _context.Context) -> int:
    """The attempt that this one goes back to: those between were interrupted, each one going on from the one before.

    What an attempt before it saved belongs to another beginning.
    """
    try:
        with open(os.path.join(context.dir, "status.json"), encoding="utf-8") as file:
            earlier = json.load(file).get("earlier", [])
    except (OSError, ValueError):
        earlier = []
    first = context.attempt
    for attempt in reversed(earlier):
        if attempt.get("attempt") != first - 1 or attempt.get("state") not in ("interrupted", "running"):
            break
        first -= 1
    # The interruption that this attempt goes on from is the one before it, whatever is noted.
    return min(first, context.attempt - 1)


#: The repetition that this process is.
rep = Rep()
