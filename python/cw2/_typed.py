"""Values of Python as JSON, and back: what the engine and the package send each other.

What JSON has stands as it is; anything else is an object with one key that begins with ``!``: ``{"!tuple": [1, 2]}``,
``{"!map": [[1, "a"]]}``, ``{"!date": "2024-01-31"}``. A list or dict that is there twice is the same object again after reading
(``{"!id": 1, "value": …}``, ``{"!ref": 1}``).
"""

from __future__ import annotations

import base64
import datetime
import json
import pickle
import re
from typing import Any

_TIMESTAMP = re.compile(
    r"""^(?P<year>\d{4})-(?P<month>\d\d?)-(?P<day>\d\d?)
    (?:(?:[Tt]|[ \t]+)(?P<hour>\d\d?):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d*))?
    (?:[ \t]*(?P<tz>Z|(?P<sign>[-+])(?P<tz_hour>\d\d?)(?::(?P<tz_minute>\d\d))?))?)?$""",
    re.X,
)


class CannotSend(ValueError):
    """A value that cannot be written: what it is, and the keys that lead to it."""


def dumps(value: Any) -> str:
    """The JSON of a value.

    Raises:
        CannotSend: where a part of it cannot even be pickled.
    """
    return json.dumps(_Writer(value).write(value, []), ensure_ascii=False)


def loads(text: str) -> Any:
    """The value of such a JSON text."""
    return decode(json.loads(text))


def decode(value: Any) -> Any:
    """The value of such JSON, parsed already; all its lists and dicts are new ones."""
    return _Reader().read(value)


class _Writer:
    def __init__(self, whole: Any) -> None:
        self._numbers: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._written: dict[int, bool] = {}
        # Objects made on the way must live as long as their ids are compared.
        self._keep: list[Any] = []
        self._count(whole)

    def _count(self, value: Any) -> None:
        if type(value) not in (list, dict):
            if type(value) is tuple:
                for item in value:
                    self._count(item)
            return
        self._seen[id(value)] = self._seen.get(id(value), 0) + 1
        if self._seen[id(value)] > 1:
            return
        for item in value.values() if type(value) is dict else value:
            self._count(item)

    def write(self, value: Any, path: list[str]) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, float):
            return value
        if kind is str:
            try:
                value.encode()
            except UnicodeEncodeError:
                return self._pickled(value, path)
            return value
        if kind in (list, dict) and self._seen.get(id(value), 1) > 1:
            number = self._numbers.setdefault(id(value), len(self._numbers) + 1)
            if number in self._written:
                return {"!ref": number}
            self._written[number] = True
            return {"!id": number, "value": self._collection(value, path)}
        return self._collection(value, path)

    def _collection(self, value: Any, path: list[str]) -> Any:
        kind = type(value)
        if kind is list:
            return [self.write(item, [*path, str(index)]) for index, item in enumerate(value)]
        if kind is tuple:
            return {"!tuple": [self.write(item, [*path, str(index)]) for index, item in enumerate(value)]}
        if kind is dict:
            if all(type(key) is str and not key.startswith("!") for key in value):
                return {key: self.write(item, [*path, key]) for key, item in value.items()}
            pairs = [
                [self.write(key, [*path, "a key"]), self.write(item, [*path, str(key)])] for key, item in value.items()
            ]
            return {"!map": pairs}
        if kind is set:
            try:
                ordered = sorted(value)
            except TypeError:
                ordered = list(value)
            return {"!set": [self.write(item, path) for item in ordered]}
        if kind in (datetime.date, datetime.datetime) and getattr(value, "tzinfo", None) is None:
            return {"!date": value.isoformat(*([" "] if kind is datetime.datetime else []))}
        if kind is bytes:
            return {"!bytes": base64.b64encode(value).decode()}
        if kind is complex:
            return {"!complex": [value.real, value.imag]}
        return self._pickled(value, path)

    def _pickled(self, value: Any, path: list[str]) -> Any:
        try:
            data = pickle.dumps(value)
        except Exception as error:
            place = ".".join(path) or "the configuration"
            raise CannotSend(f"`{place}` is a {type(value).__name__}, which cannot be pickled: {error}") from None
        return {"!pickle": base64.b64encode(data).decode(), "repr": repr(value).encode("utf-8", "replace").decode()}


class _Reader:
    def __init__(self) -> None:
        self._known: dict[int, Any] = {}

    def read(self, value: Any, into: Any | None = None) -> Any:
        if type(value) is list:
            items: list[Any] = [] if into is None else into
            items.extend(self.read(item) for item in value)
            return items
        if type(value) is not dict:
            return value
        tag = next(iter(value), "")
        if not tag.startswith("!"):
            mapping: dict[Any, Any] = {} if into is None else into
            for key, item in value.items():
                mapping[key] = self.read(item)
            return mapping
        inner = value[tag]
        if tag == "!id":
            content = value["value"]
            shared: Any = [] if type(content) is list else {}
            self._known[inner] = shared
            return self.read(content, shared)
        if tag == "!ref":
            return self._known[inner]
        if tag == "!map":
            mapping = {} if into is None else into
            for key, item in inner:
                mapping[self.read(key)] = self.read(item)
            return mapping
        if tag == "!tuple":
            return tuple(self.read(item) for item in inner)
        if tag == "!set":
            return {self.read(item) for item in inner}
        if tag == "!date":
            return timestamp(inner)
        if tag == "!bytes":
            return base64.b64decode(inner)
        if tag == "!complex":
            return complex(*inner)
        if tag == "!pickle":
            return pickle.loads(base64.b64decode(inner))
        raise ValueError(f"unknown value `{tag}`")


def timestamp(text: str) -> Any:
    """The date or time that YAML 1.1 reads in a text; the text itself where there is no such day."""
    match = _TIMESTAMP.match(text)
    if match is None:
        return text
    part = match.groupdict()
    try:
        day = datetime.date(int(part["year"]), int(part["month"]), int(part["day"]))
        if not part["hour"]:
            return day
        fraction = int((part["fraction"] or "")[:6].ljust(6, "0"))
        tzinfo = None
        if part["sign"]:
            delta = datetime.timedelta(hours=int(part["tz_hour"]), minutes=int(part["tz_minute"] or 0))
            tzinfo = datetime.timezone(-delta if part["sign"] == "-" else delta)
        elif part["tz"]:
            tzinfo = datetime.timezone.utc
        time = datetime.time(int(part["hour"]), int(part["minute"]), int(part["second"]), fraction, tzinfo)
        return datetime.datetime.combine(day, time)
    except ValueError:
        return text
