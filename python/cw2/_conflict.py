"""Notices the original package beside this one: both are imported as ``cw2``, and each install overwrites the other's files."""

from __future__ import annotations

import os
from importlib import metadata

__all__ = ["OriginalInstalled", "check"]


class OriginalInstalled(ImportError):
    """The original cw2 is installed at the same place, so that the files of both are mixed."""


def check() -> None:
    """Looks whether the original is installed where this package is.

    Raises:
        OriginalInstalled: if it is; with what to do.
    """
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    version = _original(here)
    if version is not None:
        raise OriginalInstalled(
            f"the original package `cw2` {version} is installed beside `clusterwork`, in {here}: their files are mixed.\n"
            "Remove both and install the one you want: `pip uninstall cw2 clusterwork`, then `pip install clusterwork`"
        )


def _original(folder: str) -> str | None:
    # Of this folder alone: that of another one on the path is not mixed with ours.
    for distribution in metadata.distributions(name="cw2", path=[folder]):
        return distribution.version
    return None
