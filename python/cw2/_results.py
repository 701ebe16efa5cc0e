"""``cw2.results``: what every repetition came to, as a table."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any, Union

from cw2 import _engine

__all__ = ["results"]

Path = Union[str, "os.PathLike[str]"]


def results(path: Path | Sequence[Path] = (), *, history: bool = False) -> Any:
    """The results below a folder: a row for each repetition, or for each line of metrics.

    Args:
        path: results folders, or plans' folders; those in the working directory if there is none.
        history: a row for each line of ``metrics.jsonl``, instead of one for each repetition.

    Returns:
        a ``pandas.DataFrame``; a ``polars.DataFrame`` where only polars is installed.

    Raises:
        ImportError: if neither is.
        cw2._engine.EngineError: if the results cannot be read.
    """
    paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    rows = _rows([os.fspath(path) for path in paths], "--history" if history else "--reps")
    try:
        import pandas
    except ImportError:
        import polars

        return polars.DataFrame(rows, infer_schema_length=None)
    return pandas.DataFrame(rows)


def _rows(paths: Iterable[str], what: str) -> list[dict[str, Any]]:
    command = [_engine.find_binary(), "results", *paths, what, "--format", "jsonl"]
    # What is wrong goes to standard error, and this process's own shows it.
    done = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise _engine.EngineError("the results cannot be read", code=done.returncode, said=True)
    return [json.loads(line) for line in io.TextIOWrapper(io.BytesIO(done.stdout), "utf-8")]
