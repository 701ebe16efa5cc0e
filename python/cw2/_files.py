"""Files that are whole or not there, and whose they are."""

from __future__ import annotations

import os
import tempfile
from typing import IO, Callable

__all__ = ["open_trusted", "replace"]

#: The owner of files whose owner this machine cannot name, one's own among them.
_UNKNOWN = 65534


def open_trusted(path: str) -> IO[bytes]:
    """Opens a file that will be obeyed, as a pickle is: one's own, root's, or of a user that ``CW2_TRUST`` names.

    Raises:
        OSError: if it cannot be opened.
        PermissionError: if it is somebody else's.
    """
    file = open(path, "rb")  # noqa: SIM115 (whoever asked closes it)
    owner = os.fstat(file.fileno()).st_uid
    if owner in (os.geteuid(), 0, _UNKNOWN) or owner == _owner_of_new(os.path.dirname(path)):
        return file
    name = _name(owner)
    if {name, str(owner)} & {word.strip() for word in os.environ.get("CW2_TRUST", "").split(",")}:
        return file
    file.close()
    raise PermissionError(
        f"it belongs to user {name}, and to read it runs what they put there; set CW2_TRUST={name} if you trust them"
    )


def _owner_of_new(folder: str) -> int | None:
    """Whose a file is that is made there: on some mounts every file seems to be somebody else's."""
    try:
        with tempfile.TemporaryFile(dir=folder or ".") as made:
            return os.fstat(made.fileno()).st_uid
    except OSError:
        return None


def _name(user: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(user).pw_name
    except (ImportError, KeyError):
        return str(user)


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
