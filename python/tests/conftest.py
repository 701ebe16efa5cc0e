"""What the tests share: a repetition's process, and programs that run under cw2."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Callable

import pytest

from cw2.cw_data import cw_logging

REPOSITORY = Path(__file__).resolve().parents[2]


def pytest_configure(config: pytest.Config) -> None:
    # Set up before a test changes its level for a while, and back.
    cw_logging.getLogger()
    # A test is no repetition, whoever runs it.
    kept = ("CW2_BINARY", "CW2_ORIGINAL_PYTHON", "CW2_WHEEL", "CW2_TEST_CONFIGS")
    for name in [name for name in os.environ if name.startswith("CW2_") and name not in kept]:
        del os.environ[name]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Rep:
    """The directory of a repetition, and processes that are it."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        self.dir.mkdir(parents=True)
        self.params: dict[str, Any] = {}

    def environment(self, **more: str) -> dict[str, str]:
        """What the worker sets."""
        config = self.dir / "config.yml"
        config.write_text(json.dumps({"name": "exp", "params": self.params}))
        return {
            "CW2_REP_DIR": str(self.dir),
            "CW2_METRICS": str(self.dir / "metrics.jsonl"),
            "CW2_SURRENDER": str(self.dir / "surrender.json"),
            "CW2_CONFIG": str(config),
            "CW2_EXPERIMENT": "exp",
            "CW2_RUN": "exp__x1",
            "CW2_REP": "3",
            "CW2_SEED": "4711",
            "CW2_ATTEMPT": "1",
            "CW2_RESUME": "0",
            **more,
        }

    def config(self, **more: Any) -> dict[str, Any]:
        """What an experiment class is given."""
        return {
            "name": "exp",
            "_rep_idx": 3,
            "_rep_log_path": str(self.dir),
            "iterations": 3,
            "params": self.params,
            **more,
        }

    def run(self, call: Callable[[], Any], **environment: str) -> Any:
        """Calls this in a process that is the repetition, as the engine forks one: its output goes to the logs."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                for descriptor, name in ((1, "out.log"), (2, "err.log")):
                    file = os.open(self.dir / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
                    os.dup2(file, descriptor)
                sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
                sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
                os.environ.update(self.environment(**environment))
                with os.fdopen(writer, "wb") as pipe:
                    pickle.dump(call(), pipe)
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            data = pipe.read()
        status = os.waitpid(pid, 0)[1]
        assert status == 0, f"the process ended with {status}: {self.read('err.log')}"
        return pickle.loads(data)

    def script(
        self, text: str, inside: bool = True, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess:
        """Runs a script, as a repetition or plainly."""
        file = self.dir / "script.py"
        file.write_text(textwrap.dedent(text))
        variables = self.environment(**environment) if inside else environment
        done = subprocess.run(
            [sys.executable, str(file)], env={**os.environ, **variables}, cwd=self.dir, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def read(self, name: str) -> str:
        """The text of a file in the directory; empty where there is none."""
        path = self.dir / name
        return path.read_text() if path.exists() else ""

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`."""
        return [json.loads(line) for line in self.read("metrics.jsonl").splitlines()]


@pytest.fixture
def repetition(here: Path) -> Rep:
    """A repetition that has not begun."""
    return Rep(here / "log" / "rep_03")


class Project:
    """A folder with a program and its configuration."""

    def __init__(self, root: Path, python: str = sys.executable, ours: bool = True) -> None:
        self.root = root
        self.python = python
        self.ours = ours
        root.mkdir(parents=True, exist_ok=True)

    def write(self, **files: str) -> None:
        """Writes files: `main` and `config` are the program and the configuration."""
        ends = {"main": "main.py", "config": "config.yml"}
        for name, text in files.items():
            self.root.joinpath(ends.get(name, name)).write_text(textwrap.dedent(text))

    def environment(self, **more: str) -> dict[str, str]:
        """Of a user's shell."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "CW2_BINARY") if name in os.environ}
        ours = {"PYTHONPATH": str(REPOSITORY / "python")} if self.ours else {}
        return {**kept, **ours, "HOME": str(self.root), "NO_COLOR": "1", **more}

    def start(self, *words: str, **environment: str) -> subprocess.Popen:
        """Starts `python main.py` with these words."""
        return subprocess.Popen(
            [self.python, "main.py", *words],
            cwd=self.root,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess:
        """Runs `python main.py config.yml` with these words behind, to its end."""
        process = self.start("config.yml", *words, **environment)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def tree(self, folder: str = "results") -> list[str]:
        """All files below a folder."""
        return sorted(str(path.relative_to(self.root)) for path in (self.root / folder).rglob("*") if path.is_file())

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def reps(self) -> list[str]:
        """The directories of repetitions that were begun."""
        return sorted({str(path.parent.relative_to(self.root)) for path in self.root.glob("results/**/log/rep_*/*")})

    def states(self) -> dict[str, str]:
        """How each repetition stands."""
        found = self.root.glob("results/**/log/rep_*/status.json")
        return {
            str(path.parent.relative_to(self.root)): json.loads(path.read_text())["state"] for path in sorted(found)
        }

    def status(self, rep: str) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.read(f"{rep}/status.json"))
        return status


@pytest.fixture
def project(here: Path) -> Project:
    """A project of this package's."""
    if "CW2_BINARY" not in os.environ:
        pytest.skip("CW2_BINARY does not say where the engine is")
    return Project(here / "ours")


@pytest.fixture
def original(here: Path) -> Project:
    """A project of the original's."""
    python = os.environ.get("CW2_ORIGINAL_PYTHON")
    if not python:
        pytest.skip("CW2_ORIGINAL_PYTHON does not say where the original is installed")
    return Project(here / "original", python, ours=False)
