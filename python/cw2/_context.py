"""Which repetition this process is, as the worker tells it in the environment.

Owns the variables that a repetition finds. What a script sees of them is :mod:`cw2._rep`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Context", "current", "enter"]


@dataclass
class Context:
    """One attempt at one repetition."""

    dir: str
    metrics: str
    surrender: str
    config_file: str
    experiment: str
    run: str
    number: int
    seed: int
    attempt: int
    resume: bool
    #: The process it runs in: those it forks are none of its own.
    pid: int
    #: The configuration, once it was read.
    config: dict[str, Any] | None = None
    #: Whether an experiment class runs, and what it raises is caught.
    in_experiment: bool = False
    #: The iteration under way, or the last one.
    iteration: int | None = None
    #: With which iteration to go on.
    first_iteration: int = 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Context | None:
        """What these variables tell; None outside of a repetition."""
        directory = environment.get("CW2_REP_DIR")
        if not directory:
            return None
        get = environment.get
        return cls(
            dir=directory,
            metrics=get("CW2_METRICS") or os.path.join(directory, "metrics.jsonl"),
            surrender=get("CW2_SURRENDER") or os.path.join(directory, "surrender.json"),
            config_file=get("CW2_CONFIG") or os.path.join(directory, "config.yml"),
            experiment=get("CW2_EXPERIMENT", ""),
            run=get("CW2_RUN", ""),
            number=int(get("CW2_REP") or 0),
            seed=int(get("CW2_SEED") or 0),
            attempt=int(get("CW2_ATTEMPT") or 1),
            resume=get("CW2_RESUME") == "1",
            pid=os.getpid(),
        )

    def read_config(self) -> dict[str, Any]:
        """The resolved configuration."""
        if self.config is None:
            with open(self.config_file, encoding="utf-8") as file:
                self.config = json.load(file)
        return self.config


_entered: Context | None = None
_found: Context | None = None


def enter(context: Context | None) -> None:
    """Says which repetition this process is from now on; with None, that the environment tells."""
    global _entered, _found
    _entered, _found = context, None


def current() -> Context | None:
    """The repetition this process is; None outside of one."""
    global _found
    if _entered is not None:
        return _entered
    if _found is None:
        _found = Context.of(os.environ)
    return _found
