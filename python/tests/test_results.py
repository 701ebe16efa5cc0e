"""`cw2.results`: what every repetition came to, as a table."""

import os
import sys

import pytest

MAIN = """
import cw2

class Steps(cw2.AbstractIterativeExperiment):
    def initialize(self, cw_config, rep, logger):
        self.lr = cw_config["params"]["lr"]

    def iterate(self, cw_config, rep, n):
        if self.lr == 1 and n == 1:
            raise ValueError("wrong")
        return {"loss": self.lr * n, "val/loss": 1, "lr": 7}

    def save_state(self, cw_config, rep, n): pass
    def finalize(self, surrender=None, crash=False): pass

cw2.ClusterWork(Steps).run()
"""

CONFIG = """
    name: exp
    path: results
    repetitions: 1
    iterations: 2
    params: {net: {width: 8}, rep: mine}
    grid: {lr: [0.5, 1]}
"""


@pytest.fixture
def table(project, monkeypatch):
    project.write(main=MAIN, config=CONFIG)
    project.run()
    monkeypatch.chdir(project.root)


def test_a_row_for_each_repetition(table):
    pandas = pytest.importorskip("pandas")
    import cw2

    found = cw2.results("results")
    assert isinstance(found, pandas.DataFrame)
    wanted = ["experiment", "run", "rep", "state", "net.width", "params.rep", "lr", "loss", "val/loss", "metrics.lr"]
    assert [name for name in found.columns if name in wanted] == wanted
    assert found[["run", "rep", "state", "lr", "loss", "metrics.lr"]].values.tolist() == [
        ["exp__l0.5", 0, "completed", 0.5, 0.5, 7],
        ["exp__l1", 0, "crashed", 1, 0, 7],
    ]
    assert len(cw2.results(["results/plans/001"], experiments=["exp"])) == 2


def test_a_row_for_each_step(table):
    pytest.importorskip("pandas")
    import cw2

    found = cw2.results("results", history=True)
    assert found[["run", "step", "lr", "loss"]].values.tolist() == [
        ["exp__l0.5", 0, 0.5, 0],
        ["exp__l0.5", 1, 0.5, 0.5],
        ["exp__l1", 0, 1, 0],
    ]


def test_polars_where_there_is_no_pandas(table, monkeypatch):
    polars = pytest.importorskip("polars")
    import cw2

    monkeypatch.setitem(sys.modules, "pandas", None)
    found = cw2.results("results")
    assert isinstance(found, polars.DataFrame)
    assert found["loss"].to_list() == [0.5, 0]


def test_nothing_to_read(project, capfd):
    import cw2

    with pytest.raises(Exception, match="cannot be read"):
        cw2.results(os.path.join(project.root, "gone"))
    assert "gone" in capfd.readouterr().err
