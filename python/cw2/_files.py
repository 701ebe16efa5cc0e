"""Files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from typing import IO, Callable

__all__ = ["replace"]


def replace(path: str, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file in place of the one that is there; it is on the disk when this returns.

    Raises:
        OSError: if it cannot be written. The one that is there is left as it is.
    """
    folder, name = os.path.split(path)
    descriptor, new = tempfile.mkstemp(prefix=f".{name}.", dir=folder or ".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(new, 0o666 & ~mask)
        os.replace(new, path)
    except BaseException:
        try:
            os.remove(new)
        except OSError:
            pass
        raise
    directory = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
