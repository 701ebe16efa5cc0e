"""``cw2.results``: what every repetition came to, as a table."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any, Union

from cw2 import _engine

__all__ = ["results"]

Path = Union[str, "os.PathLike[str]"]


def results(path: Path | Sequence[Path] = (), *, history: bool = False, experiments: Sequence[str] = ()) -> Any:
    """The results below a folder: a row for each repetition, or for each step that it logged.

    The columns are ``experiment``, ``run``, ``rep``, ``state``, …, then the parameters and the metrics by their names, those of nested ones
    joined with dots. A name that is taken already has ``params.`` or ``metrics.`` before it.

    Args:
        path: results folders, or plans' folders; those in the working directory if there is none.
        history: a row for each step, with the parameters that vary; else one for each repetition, with the last value of every metric.
        experiments: only these.

    Returns:
        a ``pandas.DataFrame``; a ``polars.DataFrame`` where only polars is installed.

    Raises:
        ImportError: if neither is.
        cw2._engine.EngineError: if the results cannot be read, which was told on standard error.
    """
    paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    words = [*(os.fspath(path) for path in paths), "--history" if history else "--reps", "--format", "jsonl"]
    table = _columns(_read([*words, "-e", *experiments] if experiments else words))
    try:
        import pandas
    except ImportError:
        import polars

        return polars.DataFrame(table, strict=False)
    return pandas.DataFrame(table)


def _read(words: Sequence[str]) -> list[dict[str, Any]]:
    # What is wrong goes to standard error, and this process's own shows it.
    done = subprocess.run(
        [_engine.find_binary(), "results", *words], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise _engine.EngineError("the results cannot be read", code=done.returncode, said=True)
    # Not `splitlines`, which breaks at more than line feeds.
    return [json.loads(line) for line in done.stdout.decode().split("\n") if line]


def _columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The records as columns, in the order in which they first occur."""
    groups = ("params", "metrics")
    own = dict.fromkeys(key for record in records for key in record if key not in groups)
    taken, places = set(own), {}
    for group in groups:
        names = dict.fromkeys(name for record in records for name in record.get(group) or {})
        places[group] = {name: f"{group}.{name}" if name in taken else name for name in names}
        taken.update(places[group].values())
    columns = {key: [record.get(key) for record in records] for key in own}
    for group in groups:
        for name, column in places[group].items():
            columns[column] = [(record.get(group) or {}).get(name) for record in records]
    return columns
