"""Writes YAML that PyYAML and cw2 read back as the same values. Reading is the engine's matter."""

from __future__ import annotations

import datetime
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["dump_all"]

#: A word that stands for nothing but itself, in YAML 1.1 and 1.2.
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*\Z")
_NOT_PLAIN = re.compile(
    r"(?i:y|n|yes|no|on|off|true|false|null|[-+]?\.(?:inf|nan)|[-+]?[.0-9][0-9_]*(?:e[-+]?[0-9]+)?)\Z"
)


def dump_all(documents: Iterable[Any]) -> str:
    """These values as the documents of one text."""
    return "---\n".join("".join(line + "\n" for line in _block(document)) for document in documents)


def _block(value: Any) -> list[str]:
    """The lines of a value."""
    if isinstance(value, Mapping) and value:
        return [line for key, item in _sorted(value) for line in _entry(_scalar(key) + ":", item)]
    if isinstance(value, (list, set, frozenset)) and value and not isinstance(value, (set, frozenset)):
        return [line for item in value for line in _entry("-", item)]
    return [_inline(value)]


def _entry(head: str, value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        # A mapping in a list begins on the line of its dash.
        if head == "-":
            first, *rest = _block(value)
            return [f"- {first}", *(f"  {line}" for line in rest)]
        return [head, *(f"  {line}" for line in _block(value))]
    if isinstance(value, list) and value:
        return [head, *(f"  {line}" for line in _block(value))]
    return [f"{head} {_inline(value)}"]


def _inline(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_inline(item)}" for key, item in _sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, tuple):
        return "!!python/tuple [" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return "!!set {" + ", ".join(f"{_scalar(item)}: null" for item in sorted(value, key=repr)) + "}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, (datetime.datetime, datetime.date)):
        return str(value)
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, os.PathLike):
        return _text(str(value))
    if isinstance(value, tuple):
        return _inline(value)
    item = getattr(value, "item", None)
    if callable(item) and not getattr(value, "shape", ()):
        # A number of numpy or torch.
        return _scalar(item())
    return _text(str(value))


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # Without a dot it is a text in YAML 1.1.
    return text.replace("e", ".0e", 1) if "e" in text and "." not in text else text


def _text(value: str) -> str:
    if _PLAIN.match(value) and not _NOT_PLAIN.match(value):
        return value
    # A text of JSON is one of YAML, but for half characters, which no file can hold.
    return json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=True)


def _sorted(value: Mapping[Any, Any]) -> Any:
    try:
        return sorted(value.items(), key=lambda item: item[0])
    except TypeError:
        return value.items()
