"""The worker's wish that a repetition ends: a signal, which becomes a word or an exception.

An experiment that asks (:attr:`cw2.rep.stopping`), or that saves what it can go on from, is given the time to come to an end
by itself. Any other experiment class is ended where it stands, so that its ``finalize`` and its loggers have their turn.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

__all__ = ["Told", "asked", "heard", "interruptible", "listen", "requested", "stopping"]


class Told(BaseException):
    """Raised in the main thread of an experiment that was told to stop and does not ask for it."""


_pid = 0
_requested = False
_asked = False
_heard = False
_may_raise = False


def listen() -> None:
    """Takes the signals from now on. Only the main thread can, and what the program itself made of one stays."""
    global _pid, _requested, _asked, _heard
    if _pid == os.getpid() or threading.current_thread() is not threading.main_thread():
        return
    _pid, _requested, _asked, _heard = os.getpid(), False, False, False
    for number in _signals():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, _on_signal):
            signal.signal(number, _on_signal)


def asked() -> None:
    """Notes that the experiment comes to an end by itself when told to."""
    global _asked
    listen()
    _asked = True


def stopping() -> bool:
    """Whether this process was told to stop. From the first question on, that does not end it."""
    global _heard
    asked()
    _heard = _heard or _requested
    return _requested


def requested() -> bool:
    """Whether this process was told to stop; the experiment does not hear of it."""
    return _requested and _pid == os.getpid()


def heard() -> bool:
    """Whether the experiment knows that it was told to stop."""
    return _heard and _pid == os.getpid()


class interruptible:
    """Within it an order to stop raises :class:`Told` in an experiment that does not ask."""

    def __enter__(self) -> None:
        global _may_raise
        _may_raise = True
        if requested() and not _asked:
            raise Told

    def __exit__(self, *_: Any) -> None:
        global _may_raise
        _may_raise = False


def _on_signal(number: int, _frame: Any) -> None:
    global _requested, _may_raise
    if os.getpid() != _pid:
        # A process that the repetition forked, a data loader say: it is told too, and does not know our answer.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    _requested = True
    if _may_raise and not _asked:
        # Once: a second order must not end `finalize`.
        _may_raise = False
        raise Told


def _signals() -> set[signal.Signals]:
    numbers = {signal.SIGTERM, signal.SIGINT}
    name = os.environ.get("CW2_CHECKPOINT_SIGNAL", "")
    if name in signal.Signals.__members__:
        numbers.add(signal.Signals[name])
    return numbers
