"""The wheel, installed as a user installs it."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

MAIN = """
import cw2

class Once(cw2.AbstractExperiment):
    def initialize(self, cw_config, rep, logger): pass
    def run(self, cw_config, rep, logger): logger.process({"step": 0, "x": cw_config["params"]["x"]})
    def finalize(self, surrender=None, crash=False): pass

cw2.ClusterWork(Once).run()
"""

CONFIG = "name: exp\npath: results\nrepetitions: 1\nreps_in_parallel: 2\ngrid: {x: [1, 2]}\n"


@pytest.fixture(scope="module")
def wheel():
    """The file that `scripts/wheel --quick` built."""
    file = os.environ.get("CW2_WHEEL")
    if not file:
        pytest.skip("CW2_WHEEL does not say where the wheel is")
    return Path(file)


class Environment:
    """A fresh virtual environment, in which nothing is said of this repository."""

    def __init__(self, folder):
        self.folder = folder
        venv.create(folder / "venv", with_pip=True)
        (folder / "main.py").write_text(MAIN)
        (folder / "config.yml").write_text(CONFIG)

    def run(self, program, *words, code=0):
        ours = {
            "HOME": str(self.folder),
            "PATH": f"{self.folder}/venv/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
        }
        pip = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "UV_", "SSL_", "http", "HTTP", "no_"))
        }
        done = subprocess.run(
            [f"{self.folder}/venv/bin/{program}", *words],
            cwd=self.folder,
            env={**pip, **ours},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done

    def pip(self, *words):
        self.run("python", "-m", "pip", "--quiet", "--disable-pip-version-check", *words)


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path)


def test_what_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    head = metadata.split("\n\n")[0].splitlines()
    assert "Name: clusterwork" in head and "Requires-Python: >=3.9" in head
    assert [line for line in head if line.startswith("Requires-Dist") and "extra ==" not in line] == [], (
        "the standard library alone"
    )
    assert "cw2/py.typed" in names
    assert [name for name in names if name.endswith("/scripts/cw2")]
    assert not [name for name in names if "tests" in name or "__pycache__" in name]
    assert wheel.name.startswith("clusterwork-") and "-py3-none-" in wheel.name


def test_it_is_installed_and_used(wheel, environment):
    environment.pip("install", str(wheel))
    assert environment.run("cw2", "--version").stdout.startswith("cw2 ")
    done = environment.run("python", "main.py", "config.yml")
    assert "2 repetitions: 2 completed" in done.stderr
    assert "exp" in environment.run("cw2", "status", "results").stdout
    # The interpreter of the environment finds its own program, whatever is on the path.
    code = "from cw2 import _engine; print(_engine.find_binary())"
    assert environment.run("python", "-c", code).stdout == f"{environment.folder}/venv/bin/cw2\n"
    listed = environment.run("python", "-m", "pip", "list").stdout
    assert "clusterwork" in listed and "pandas" not in listed


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the original needs an older Python")
def test_the_original_beside_it_is_noticed(wheel, environment):
    said = ["the original package `cw2` 2.5.1 is installed beside `clusterwork`", "pip uninstall cw2 clusterwork"]
    # Ours came last: its files are there.
    environment.pip("install", "--no-deps", "cw2==2.5.1")
    environment.pip("install", str(wheel))
    done = environment.run("python", "main.py", "config.yml", code=1)
    assert all(text in done.stderr for text in said), done.stderr
    assert not (environment.folder / "results").exists()
    # The original came last: only the program can say it.
    environment.pip("install", "--no-deps", "--force-reinstall", "cw2==2.5.1")
    done = environment.run("cw2", "list", "config.yml")
    assert (
        "warning: the original package `cw2` is installed beside `clusterwork`" in done.stderr
        and said[1] in done.stderr
    )
    # The cure.
    environment.pip("uninstall", "--yes", "cw2", "clusterwork")
    environment.pip("install", str(wheel))
    assert "2 repetitions: 2 completed" in environment.run("python", "main.py", "config.yml").stderr
    assert "original" not in environment.run("cw2", "status", "results").stderr
