"""Lines of ``metrics.jsonl``: any results as JSON, one whole line a write."""

from __future__ import annotations

import datetime
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

__all__ = ["append", "jsonable", "to_json"]

#: An array with more elements than this is no metric, and would fill the disk iteration by iteration.
MAX_ELEMENTS = 10_000

_told: set[str] = set()


class _NoJson(Exception):
    """A value that has no form in JSON."""


def append(path: str, data: Mapping[Any, Any]) -> None:
    """Appends a line with these results. What has no form in JSON (a figure, a model) is left out, and told once.

    Raises:
        OSError: if it cannot be written.
    """
    line = to_json(data).encode()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        # The end of a line that somebody died over is not the beginning of ours.
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        rest = (b"\n" if torn else b"") + line + b"\n"
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def to_json(data: Mapping[Any, Any]) -> str:
    """The results as one JSON object."""
    record: dict[str, Any] = {}
    for key, value in data.items():
        try:
            record[_key(key)] = _plain(value)
        except _NoJson as no:
            if str(key) not in _told:
                _told.add(str(key))
                logging.getLogger("cw2").info("`%s` is left out of metrics.jsonl: %s", key, no)
    return json.dumps(record)


def jsonable(value: Any) -> Any:
    """The value as JSON has it; what has no form there by its ``repr``."""
    if isinstance(value, Mapping):
        return {_key(key): jsonable(item) for key, item in value.items()}
    try:
        return _plain(value)
    except _NoJson:
        return repr(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return str(value) if isinstance(value, str) else value
    # Of the exact type: numpy's float64 is a float that prints another way.
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        if len(value) > MAX_ELEMENTS:
            raise _NoJson(f"it has {len(value)} elements")
        return [_plain(item) for item in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    # Arrays and numbers of numpy, torch, jax, tensorflow: a number by `item`, an array by `tolist`.
    count = _count(value)
    if count == 1 and callable(getattr(value, "item", None)) and not getattr(value, "shape", ()):
        return _plain_of(value, value.item)
    if count is not None and callable(getattr(value, "tolist", None)):
        if count > MAX_ELEMENTS:
            raise _NoJson(f"it has {count} elements")
        return _plain_of(value, value.tolist)
    raise _NoJson(f"a {type(value).__name__} has no form in JSON")


def _plain_of(value: Any, convert: Any) -> Any:
    try:
        converted = convert()
    except Exception as error:
        raise _NoJson(f"{type(error).__name__}: {error}") from error
    if isinstance(converted, type(value)):
        raise _NoJson(f"a {type(value).__name__} has no form in JSON")
    return _plain(converted)


def _count(value: Any) -> Any:
    """How many elements an array has; None for what is none."""
    shape = getattr(value, "shape", None)
    if shape is None:
        return None
    count = 1
    try:
        for length in tuple(shape):
            count *= int(length)
    except (TypeError, ValueError):
        return None
    return count
