"""The warm process by itself: what a copy of it waits for, what it takes on, and what ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cw2 import _warm


class Served:
    """A warm process, and the worker's end of its socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.worker, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        initial = dict(os.environ)
        self.pid = os.fork()
        if self.pid == 0:
            self.worker.close()
            os.environ["CHANGED"] = "by the program"
            _warm.serve(other, self.run, initial)
        other.close()
        assert "ready" in self.answer()

    @staticmethod
    def run(request: _warm.Request) -> int:
        told = {name: os.environ.get(name) for name in ("CHANGED", "ADDED")}
        Path("ran").write_text(json.dumps([told, os.getcwd(), os.getpgrp() == os.getpid()]))
        os.write(1, b"printed\n")
        return int(request.get("code", _warm.DONE))

    def answer(self) -> Any:
        self.worker.settimeout(60)
        return json.loads(self.worker.recv(1 << 16))

    def start(self, gate: int, **more: Any) -> int:
        """Asks for a copy; returns its number."""
        env = [["CHANGED", "by the worker"], ["ADDED", "1"]]
        request = {"start": 1, "phase": "run", "env": env, "cpus": [], "dir": str(self.folder), **more}
        with open(self.folder / "out", "ab") as out:
            socket.send_fds(self.worker, [json.dumps(request).encode()], [out.fileno(), out.fileno(), gate])
        answer = self.answer()
        assert answer["started"] == 1
        return int(answer["pid"])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    process = Served(tmp_path)
    yield process
    process.worker.close()
    _, status = os.waitpid(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "it ends with its worker"


def wait_for_end(pid: int) -> None:
    """Waits for a process that is nobody's child here."""
    pidfd = os.pidfd_open(pid)
    try:
        import select

        assert select.select([pidfd], [], [], 60)[0], "it does not end"
    finally:
        os.close(pidfd)


def test_a_copy_that_is_given_up_does_nothing(served: Served) -> None:
    gate, key = os.pipe()
    pid = served.start(gate)
    os.close(gate)
    os.close(key)
    try:
        wait_for_end(pid)
    except ProcessLookupError:
        pass  # It has ended.
    assert not (served.folder / "ran").exists()


def test_a_copy_takes_on_what_it_is_told(served: Served) -> None:
    gate, key = os.pipe()
    pid = served.start(gate)
    pidfd = os.pidfd_open(pid)
    os.close(gate)
    os.write(key, b"!")
    os.close(key)
    import select

    assert select.select([pidfd], [], [], 60)[0]
    os.close(pidfd)
    told, folder, leads = json.loads((served.folder / "ran").read_text())
    # What the program changed itself after it was started stays.
    assert told == {"CHANGED": "by the program", "ADDED": "1"}
    assert folder == str(served.folder) and leads
    assert (served.folder / "out").read_text() == "printed\n"


def test_the_keyboard_is_not_for_a_warm_process(served: Served) -> None:
    os.kill(served.pid, signal.SIGINT)
    gate, key = os.pipe()
    assert served.start(gate) > 0
    os.close(gate)
    os.close(key)
