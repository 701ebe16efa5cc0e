"""The exceptions of cw2."""

from __future__ import annotations

from typing import Any

__all__ = ["ConfigKeyError", "ExperimentNotFoundError", "ExperimentSurrender", "MissingConfigError"]


class ConfigKeyError(Exception):
    """A key of the configuration is missing, or its value is not one that it may have."""


class MissingConfigError(Exception):
    """A configuration file, or a document in one, is not there."""


class ExperimentNotFoundError(Exception):
    """None of the experiments that were asked for is in the configuration."""


class ExperimentSurrender(Exception):
    """Raised by an experiment that ends early, on purpose: the repetition counts as done.

    The payload is handed to ``finalize`` and kept in the repetition's state. Raised in ``iterate``, it is also that
    iteration's result.
    """

    def __init__(self, payload: dict[str, Any] | None = None) -> None:
        super().__init__(payload)
        self.payload: dict[str, Any] = {} if payload is None else payload
