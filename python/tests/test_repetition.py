"""One repetition of an experiment class: the order of calls, and every way to end."""

import os
import re
import signal
import sys
import time

import pytest

from cw2._repetition import Runner
from cw2.cw_data import cw_logging
from cw2.experiment import AbstractExperiment, AbstractIterativeExperiment, ExperimentSurrender

CALLS = []


class Recorder(cw_logging.AbstractLogger):
    def initialize(self, config, rep, rep_log_path):
        CALLS.append(("logger.initialize", rep, rep_log_path))

    def process(self, data):
        CALLS.append(("logger.process", {key: value for key, value in data.items() if key != "ts"}))

    def finalize(self):
        CALLS.append("logger.finalize")

    def load(self):
        return None


class Whole(AbstractExperiment):
    """Ends in `run` as its parameter says."""

    def initialize(self, cw_config, rep, logger):
        CALLS.append(("initialize", rep))
        cw_config["added"] = 1
        end(cw_config["params"].get("initialize"))

    def run(self, cw_config, rep, logger):
        CALLS.append(("run", cw_config["added"]))
        end(cw_config["params"].get("run"))

    def finalize(self, surrender=None, crash=False):
        CALLS.append(("finalize", surrender and surrender.payload, crash))
        end(os.environ.get("FINALIZE"))


class Steps(AbstractIterativeExperiment):
    def initialize(self, cw_config, rep, logger):
        CALLS.append("initialize")

    def iterate(self, cw_config, rep, n):
        CALLS.append(("iterate", n))
        if n == cw_config["params"].get("at"):
            end(cw_config["params"]["how"])
        return {"loss": n / 2}

    def save_state(self, cw_config, rep, n):
        CALLS.append(("save_state", n))

    def finalize(self, surrender=None, crash=False):
        CALLS.append(("finalize", surrender and surrender.payload, crash))


def end(how):
    if how == "surrender":
        raise ExperimentSurrender({"loss": 0.5, "why": "converged"})
    if how == "exception":
        raise ValueError("two\nlines")
    if how == "exit":
        sys.exit(0)
    if how == "keyboard":
        raise KeyboardInterrupt
    if how == "told":
        os.kill(os.getpid(), signal.SIGTERM)
        # Ended here: nobody asked.
        time.sleep(60)


def run(repetition, exp_cls, params=None, finalize=None, loggers=None, **config):
    """The outcome and the calls."""
    repetition.params = params or {}

    def call():
        array = cw_logging.LoggerArray()
        for logger in loggers or [cw_logging.PythonLogger(), Recorder()]:
            array.add(logger)
        outcome = Runner(exp_cls, array)(repetition.config(**config), 3)
        return outcome, CALLS

    return repetition.run(call, **({"FINALIZE": finalize} if finalize else {}))


def test_the_order_of_calls(repetition):
    outcome, calls = run(repetition, Whole)
    assert outcome.kind == "completed"
    assert calls == [
        ("logger.initialize", 3, str(repetition.dir)),
        ("initialize", 3),
        ("run", 1),
        ("finalize", None, False),
        "logger.finalize",
    ]


@pytest.mark.parametrize("phase", ["initialize", "run"])
@pytest.mark.parametrize(
    ("how", "kind", "message", "finalized"),
    [
        (None, "completed", "", (None, False)),
        ("surrender", "surrendered", "", ({"loss": 0.5, "why": "converged"}, False)),
        ("exception", "crashed", "ValueError: two lines", (None, True)),
        ("exit", "crashed", "SystemExit: 0", (None, True)),
        ("keyboard", "crashed", "KeyboardInterrupt", (None, True)),
        ("told", "interrupted", "", (None, True)),
    ],
)
def test_every_ending(repetition, phase, how, kind, message, finalized):
    outcome, calls = run(repetition, Whole, {phase: how})
    assert (outcome.kind, outcome.message) == (kind, message)
    assert calls[-2:] == [("finalize", *finalized), "logger.finalize"]
    assert ("run", 1) in calls or phase == "initialize"
    if kind == "surrendered":
        assert outcome.payload == {"loss": 0.5, "why": "converged"}
    if kind == "crashed":
        assert outcome.phase == phase
        assert outcome.traceback.startswith("Traceback (most recent call last):\n")
        assert re.search(r'File ".*test_repetition.py", line \d+, in end\n', outcome.traceback)
        assert "cw2/_repetition.py" not in outcome.traceback
        assert outcome.traceback in repetition.read("err.log")
        assert outcome.traceback in repetition.read("out.log")
    else:
        assert repetition.read("err.log") == ""


@pytest.mark.parametrize(("how", "kind"), [(None, "crashed"), ("surrender", "crashed"), ("told", "crashed")])
def test_a_crash_in_finalize(repetition, how, kind):
    outcome, calls = run(repetition, Whole, {"run": how}, finalize="exception")
    assert (outcome.kind, outcome.phase, outcome.message) == (kind, "finalize", "ValueError: two lines")
    assert calls[-1] == "logger.finalize"


def test_a_crash_in_finalize_after_a_crash_tells_of_both(repetition):
    outcome, calls = run(repetition, Whole, {"run": "exit"}, finalize="exception")
    assert (outcome.phase, outcome.message) == ("run", "SystemExit: 0")
    assert "SystemExit: 0" in outcome.traceback and "ValueError: two\nlines" in outcome.traceback
    assert calls[-1] == "logger.finalize"


def test_a_logger_that_fails_at_the_end_keeps_no_other_from_its_own(repetition):
    class Broken(Recorder):
        def finalize(self):
            raise OSError("no space")

    outcome, calls = run(repetition, Whole, loggers=[Broken(), Recorder()])
    assert (outcome.kind, outcome.phase, outcome.message) == ("crashed", "finalize", "OSError: no space")
    assert calls[-1] == "logger.finalize"


def test_an_experiment_that_cannot_be_made(repetition):
    class Unmade(Whole):
        def __init__(self):
            raise RuntimeError("no GPU")

    outcome, calls = run(repetition, Unmade)
    assert (outcome.kind, outcome.phase, outcome.message) == ("crashed", "initialize", "RuntimeError: no GPU")
    assert calls == [("logger.initialize", 3, str(repetition.dir)), "logger.finalize"]


def test_iterations_are_logged_then_saved(repetition):
    outcome, calls = run(repetition, Steps)
    assert outcome.kind == "completed"
    assert calls[1:6] == [
        "initialize",
        ("iterate", 0),
        ("logger.process", {"loss": 0.0, "rep": 3, "iter": 0}),
        ("save_state", 0),
        ("iterate", 1),
    ]
    assert calls[-2:] == [("finalize", None, False), "logger.finalize"]
    assert [(line["iter"], line["rep"], line["loss"]) for line in repetition.metrics()] == [
        (0, 3, 0.0),
        (1, 3, 0.5),
        (2, 3, 1.0),
    ]


def test_a_surrender_in_an_iteration_is_its_result(repetition):
    outcome, calls = run(repetition, Steps, {"at": 1, "how": "surrender"})
    assert outcome.kind == "surrendered"
    assert calls[-4][0] == "logger.process"
    assert calls[-4][1] == {"loss": 0.5, "why": "converged", "rep": 3, "iter": 1}
    assert calls[-3] == ("save_state", 1)
    assert calls[-2][1]["why"] == "converged" and calls[-2][2] is False
    assert outcome.payload["why"] == "converged"
    assert repetition.metrics()[-1]["why"] == "converged"


def test_a_crash_in_an_iteration(repetition):
    outcome, calls = run(repetition, Steps, {"at": 1, "how": "exception"})
    assert (outcome.kind, outcome.phase) == ("crashed", "run")
    assert ("save_state", 1) not in calls and calls[-2] == ("finalize", None, True)


def test_the_traceback_is_on_standard_error_without_a_logger_too(repetition):
    outcome, _ = run(repetition, Whole, {"run": "exception"}, loggers=[Recorder()])
    assert outcome.traceback in repetition.read("err.log")


def test_finalize_alone(repetition):
    def call():
        Runner(Whole, cw_logging.LoggerArray()).finalize(repetition.config(), 3)
        return CALLS

    assert repetition.run(call) == [("finalize", None, True)]


def test_a_forked_helper_is_ended_by_the_signal_itself(repetition):
    class Forks(Whole):
        def run(self, cw_config, rep, logger):
            ready, begun = os.pipe()
            helper = os.fork()
            if helper == 0:
                os.write(begun, b"!")
                time.sleep(60)
                os._exit(0)
            os.read(ready, 1)
            os.kill(helper, signal.SIGTERM)
            CALLS.append(os.waitpid(helper, 0)[1])

    outcome, calls = run(repetition, Forks)
    assert outcome.kind == "completed"
    assert calls[2] == signal.SIGTERM
