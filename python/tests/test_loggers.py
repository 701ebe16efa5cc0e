"""The loggers, and what they leave in a repetition's directory."""

import json
import logging
import math
import sys

import pytest

from cw2 import _metrics
from cw2.cw_data import cw_logging


def test_a_logger_filters():
    data = {"a": 1, "b": 2}
    assert cw_logging.Printer().filter(data) is data
    assert cw_logging.Printer(ignore_keys=["a"]).filter(data) == {"b": 2}
    assert cw_logging.Printer(allow_keys=iter(["a"])).filter(data) == {"a": 1}
    with pytest.raises(ValueError, match="not both"):
        cw_logging.Printer(ignore_keys=["a"], allow_keys=["b"])


def test_a_printer_prints(capsys):
    cw_logging.Printer(allow_keys=["loss"]).process({"loss": 1, "x": 2})
    assert capsys.readouterr().out == "{'loss': 1}\n"


def test_an_array_is_walked_and_hands_on(here):
    seen = []

    class Seen(cw_logging.Printer):
        def preprocess(self, *args):
            seen.append(args)

    array = cw_logging.LoggerArray()
    assert array.is_empty()
    array.add(cw_logging.PythonLogger())
    array.add(Seen())
    assert [type(logger).__name__ for logger in array] == ["PythonLogger", "Seen"]
    array.preprocess(1, "two")
    assert seen == [(1, "two")]


def test_loading_tells_of_a_logger_that_cannot():
    class Fails(cw_logging.Printer):
        def load(self):
            raise OSError("gone")

    class Loads(cw_logging.Printer):
        def load(self):
            return [1, 2]

    class Columns(cw_logging.Printer):
        def load(self):
            return {"x": 1}

    array = cw_logging.LoggerArray()
    for logger in (Fails(), Loads(), Columns(), cw_logging.Printer()):
        array.add(logger)
    assert array.load() == {"Fails": "Error when loading Fails", "Loads": [1, 2], "x": 1}


def test_a_python_logger_in_a_process_of_its_own(repetition):
    """What goes to standard output is in `out.log` already: nothing stands there twice."""

    def call():
        logger = cw_logging.PythonLogger()
        logger.initialize({}, 3, str(repetition.dir))
        cw_logging.getLogger().info("hello")
        cw_logging.getLogger().error("oh")
        logger.finalize()
        cw_logging.getLogger().error("after")

    repetition.run(call)
    out, err = repetition.read("out.log").splitlines(), repetition.read("err.log").splitlines()
    assert out[0] == "[cw2] [INFO] hello"
    assert [line.split("]", 1)[1] for line in out[1:]] == [":[cw2] [ERROR] oh", ":[cw2] [ERROR] after"]
    assert [line.split("]", 1)[1] for line in err] == [":[cw2] [ERROR] oh"]


def test_a_python_logger_in_a_process_of_many(repetition, capsys):
    logger = cw_logging.PythonLogger()
    logger.initialize({}, 3, str(repetition.dir))
    cw_logging.getLogger().info("hello")
    cw_logging.getLogger().error("oh")
    logger.finalize()
    cw_logging.getLogger().info("after")
    assert repetition.read("out.log").startswith("[cw2] [INFO] hello\n")
    assert repetition.read("err.log").endswith("[cw2] [ERROR] oh\n")
    assert "after" not in repetition.read("out.log")
    assert capsys.readouterr().out.startswith("[cw2] [INFO] hello\n")


def test_loading_makes_no_files(repetition):
    logger = cw_logging.PythonLogger()
    logger._find({}, 3, str(repetition.dir))
    assert logger.load() is None
    assert list(repetition.dir.iterdir()) == []


def test_the_logger_shows_itself_once():
    before = list(logging.getLogger("cw2").handlers)
    assert cw_logging.getLogger() is cw_logging.getLogger() is logging.getLogger("cw2")
    assert len(cw_logging.getLogger().handlers) == max(len(before), 1)
    assert cw_logging.getLogger().isEnabledFor(logging.INFO)


class Array:
    """What an array of numpy, torch or jax has in common."""

    def __init__(self, value, shape):
        self.value, self.shape = value, shape

    def item(self):
        return self.value

    def tolist(self):
        return self.value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (None, None),
        ("é\n", "é\n"),
        (10**30, 10**30),
        ({"a": {1: (2, {3})}}, {"a": {"1": [2, [3]]}}),
        (Array(1.5, ()), 1.5),
        (Array([1, 2], (2,)), [1, 2]),
        (Array([[7]], (1, 1)), [[7]]),
    ],
)
def test_metrics_of_any_type(value, expected):
    assert json.loads(_metrics.to_json({"x": value})) == {"x": expected}


def test_metrics_that_are_no_numbers_are_numbers_of_python():
    assert _metrics.to_json({"x": math.nan, "y": -math.inf}) == '{"x": NaN, "y": -Infinity}'


def test_what_is_no_metric_is_left_out_and_told_once(caplog):
    _metrics._told.clear()
    with caplog.at_level(logging.INFO, "cw2"):
        for _ in range(2):
            data = {"loss": 1, "figure": object(), "big": Array([0] * 10_001, (10_001,)), "class": int}
            assert json.loads(_metrics.to_json(data)) == {"loss": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "`figure` is left out of metrics.jsonl: a object has no form in JSON",
        "`big` is left out of metrics.jsonl: it has 10001 elements",
        "`class` is left out of metrics.jsonl: a type has no form in JSON",
    ]


def test_numpy_metrics():
    numpy = pytest.importorskip("numpy")
    data = {
        "a": numpy.float32(0.5),
        "b": numpy.int64(3),
        "c": numpy.arange(3),
        "d": numpy.bool_(True),
        "e": numpy.array(2),
    }
    assert json.loads(_metrics.to_json(data)) == {"a": 0.5, "b": 3, "c": [0, 1, 2], "d": True, "e": 2}
    assert _metrics.to_json({"x": numpy.float64(0.1)}) == '{"x": 0.1}'


def test_a_line_that_somebody_died_over_is_no_part_of_the_next(here):
    (here / "metrics.jsonl").write_text('{"a": 1}\n{"b"')
    _metrics.append("metrics.jsonl", {"c": 2})
    _metrics.append("metrics.jsonl", {"d": 3})
    assert (here / "metrics.jsonl").read_text() == '{"a": 1}\n{"b"\n{"c": 2}\n{"d": 3}\n'


def test_the_package_needs_nothing_but_python():
    import subprocess

    code = "import sys, cw2, cw2.cw_data.cw_pd_logger, cw2.cw_data.cw_wandb_logger\nprint({'pandas', 'wandb', 'numpy', 'yaml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
