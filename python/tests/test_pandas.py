"""The table that a PandasLogger keeps, and what reads it back; pandas 1 and 2 both do."""

import os

import pytest

pd = pytest.importorskip("pandas")

from cw2.cw_data import cw_loading, cw_logging, cw_pd_logger  # noqa: E402
from cw2.job import JobFactory  # noqa: E402


@pytest.fixture
def logger(repetition):
    logger = cw_pd_logger.PandasLogger(ignore_keys=["figure"])
    logger.initialize({}, 3, str(repetition.dir))
    logger.process({"loss": 1, "iter": 0, "figure": object()})
    logger.process({"loss": 0.5, "iter": 1, "accuracy": 0.75})
    logger.finalize()
    return logger


def test_a_table_grows(logger, repetition):
    assert repetition.read("rep_3.csv") == "index,loss,iter,accuracy\n0,1.0,0,\n1,0.5,1,0.75\n"
    assert sorted(os.listdir(repetition.dir)) == ["rep_3.csv", "rep_3.pkl"]
    expected = pd.DataFrame({"loss": [1, 0.5], "iter": [0, 1], "accuracy": [None, 0.75]}, dtype=None)
    pd.testing.assert_frame_equal(pd.read_pickle(repetition.dir / "rep_3.pkl"), expected.astype({"accuracy": float}))
    pd.testing.assert_frame_equal(logger.df, expected.astype({"accuracy": float}))


def test_a_table_begins_anew_with_each_repetition(logger, repetition):
    other = repetition.dir.parent / "rep_04"
    other.mkdir()
    logger.initialize({}, 4, str(other))
    logger.process({"loss": 9})
    assert (other / "rep_4.csv").read_text() == "index,loss\n0,9\n"


def test_a_table_that_cannot_be_written_is_told_of(repetition, caplog):
    logger = cw_pd_logger.PandasLogger()
    logger.initialize({}, 3, str(repetition.dir / "gone"))
    with caplog.at_level("WARNING", "cw2"):
        logger.process({"loss": 1})
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        f"could not save {repetition.dir}/gone/rep_3.{end}" for end in ("csv", "pkl")
    ]


def test_a_table_is_loaded(logger):
    loaded = logger.load()
    assert list(loaded) == ["PandasLogger"]
    pd.testing.assert_frame_equal(loaded["PandasLogger"], logger.df)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_pickle_of_another_user_is_read_as_text(logger, repetition, caplog):
    """To look at a colleague's results must not run what is in them."""
    (repetition.dir / "rep_3.pkl").write_bytes(b"cos\nabort\n(tR.")
    os.chown(repetition.dir / "rep_3.pkl", 41_234, -1)
    with caplog.at_level("WARNING", "cw2"):
        loaded = logger.load()["PandasLogger"]
    pd.testing.assert_frame_equal(loaded, logger.df.astype(loaded.dtypes))
    assert "belongs to user 41234" in caplog.text


def test_a_pickle_of_other_versions_is_read_as_text(repetition):
    """An `rep_N.pkl` can hold classes that another pandas or numpy does not have."""
    logger = cw_pd_logger.PandasLogger()
    logger.initialize({}, 3, str(repetition.dir))
    logger.process({"loss": 1.5, "ts": pd.Timestamp("2026-01-02 03:04:05.678")})
    expected = logger.df
    (repetition.dir / "rep_3.pkl").write_bytes(b"cnumpy.gone\nClass\n.")
    pd.testing.assert_frame_equal(logger.load()["PandasLogger"], expected, check_dtype=False)


def test_a_table_that_is_not_there(repetition):
    logger = cw_pd_logger.PandasLogger()
    logger._find({}, 3, str(repetition.dir))
    assert logger.load() == f"{repetition.dir}/rep_3.pkl does not exist"


@pytest.fixture
def table(here):
    """Two experiments with two repetitions each; the last one kept nothing."""
    array = cw_logging.LoggerArray()
    array.add(cw_logging.PythonLogger())
    array.add(cw_pd_logger.PandasLogger())
    configs = []
    for name, lr in (("a", 0.1), ("b", 0.2)):
        for rep in range(2):
            path = f"out/{name}/log/rep_{rep:02d}"
            os.makedirs(path)
            params = {"lr": lr, "net": {"layers": [8, 4], "bias": True}}
            configs.append({"name": name, "_rep_idx": rep, "_rep_log_path": path, "params": params, "reps_per_job": 2})
            if (name, rep) != ("b", 1):
                logger = cw_pd_logger.PandasLogger()
                logger.initialize({}, rep, path)
                for n in range(3):
                    logger.process({"loss": lr * n, "rep": rep, "iter": n})
    factory = JobFactory(None, array, read_only=True)
    loader = cw_loading.Loader()
    loader.assign(factory.create_jobs(configs))
    assert [len(job.tasks) for job in loader.joblist] == [2, 2]
    before = sorted(os.listdir("out/a/log/rep_00"))
    loaded = loader.run()
    assert sorted(os.listdir("out/a/log/rep_00")) == before, "loading writes nothing"
    return loaded


def test_all_repetitions_are_loaded(table):
    assert list(table.index) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert table.index.names == ["name", "r"]
    expected = ["PandasLogger", "rep_path", "params", "lr", "net_layers_0", "net_layers_1", "net_bias"]
    assert list(table.columns) == expected
    assert list(table["PandasLogger"].iloc[0]["loss"]) == [0, 0.1, 0.2]
    assert table["PandasLogger"].iloc[3] == "out/b/log/rep_01/rep_1.pkl does not exist"


def test_the_accessor_chooses(table):
    assert list(table.cw2.filter({"lr": 0.1, "net": {"bias": True}}).index) == [("a", 0), ("a", 1)]
    assert list(table.cw2.repetition(1).index) == [("a", 1), ("b", 1)]
    assert list(table.cw2.name("b").index) == [("b", 0), ("b", 1)]
    plain = table.reset_index()
    assert list(plain.cw2.repetition(1)["name"]) == ["a", "b"]
    for arguments in (
        {"l_name": "PandasLogger"},
        {"l_cls": cw_pd_logger.PandasLogger},
        {"l_obj": cw_pd_logger.PandasLogger()},
    ):
        assert table.cw2.logger(**arguments) is not None
        assert list(table.cw2.logger(**arguments).index) == list(table.index)


def test_the_accessor_flattens(table):
    flat = table.cw2.flatten_pd_log()
    assert list(flat.index) == [(name, r, n) for name, r in (("a", 0), ("a", 1), ("b", 0)) for n in range(3)]
    assert flat.index.names == ["name", "r", "iter"]
    assert list(flat["loss"]) == [0, 0.1, 0.2] * 2 + [0, 0.2, 0.4]
    assert flat["params"].iloc[0] == {"lr": 0.1, "net": {"layers": [8, 4], "bias": True}}
    assert flat["params"].iloc[0] is not flat["params"].iloc[1]
    assert list(flat["net_bias"]) == [True] * 9
    assert "PandasLogger" in table.columns and "name" not in table["PandasLogger"].iloc[0].columns


def test_what_holds_no_tables_is_flat_already(table):
    plain = table.drop(columns="PandasLogger")
    assert plain.cw2.flatten_pd_log() is plain
    assert list(table.cw2.name("b").cw2.repetition(1).cw2.flatten_pd_log().index) == []
