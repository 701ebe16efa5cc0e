"""Checks that a binary needs no newer glibc than this one, and no other library: glibc.py VERSION FILE."""

import re
import sys
from pathlib import Path

LIBRARIES = {b"libc.so.6", b"libm.so.6", b"libpthread.so.0", b"libdl.so.2", b"librt.so.1", b"libgcc_s.so.1"}

wanted, file = sys.argv[1:]
binary = Path(file).read_bytes()
# The names of versions and libraries stand in the string table of the dynamic section, each before a zero byte.
versions = {tuple(map(int, version.split(b"."))) for version in re.findall(rb"\0GLIBC_([0-9.]+)(?=\0)", binary)}
libraries = set(re.findall(rb"\0(lib[A-Za-z0-9_+.-]+\.so(?:\.[0-9.]+)?)(?=\0)", binary))
newest = ".".join(map(str, max(versions, default=())))
if not versions:
    sys.exit(f"error: {file} names no version of glibc: is it linked to it?")
if max(versions) > tuple(map(int, wanted.split("."))):
    sys.exit(f"error: {file} needs glibc {newest}")
if libraries - LIBRARIES:
    sys.exit(f"error: {file} needs {b', '.join(sorted(libraries - LIBRARIES)).decode()}")
print(f"glibc {newest}")
