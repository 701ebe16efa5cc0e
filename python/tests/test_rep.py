"""`cw2.rep`, inside of cw2 and outside."""

import json
import os
import signal
import subprocess
import sys

import pytest

ALL = """
from cw2 import rep
print(rep.active, rep.params, rep.dir, rep.number, rep.seed, rep.attempt, rep.experiment, rep.run, rep.stopping)
rep.log(step=1, loss=0.5)
rep.log({"val/loss": 0.25}, step=2)
print(rep.resume(), rep.resume("none"))
rep.checkpoint({"step": 2})
rep.surrender({"reason": "converged"}, step=2)
print("never")
"""


def test_a_script_inside(repetition):
    repetition.params = {"lr": 0.1}
    done = repetition.script(ALL)
    assert done.stdout == f"True {{'lr': 0.1}} {repetition.dir} 3 4711 1 exp exp__x1 False\nNone none\n"
    assert repetition.metrics() == [{"step": 1, "loss": 0.5}, {"val/loss": 0.25, "step": 2}]
    assert json.loads(repetition.read("surrender.json")) == {"reason": "converged", "step": 2}
    left = {"config.yml", "script.py", "metrics.jsonl", "surrender.json", "checkpoint.pkl"}
    assert set(os.listdir(repetition.dir)) == left
    assert repetition.dir.joinpath("checkpoint.pkl").stat().st_mode & 0o777 == 0o666 & ~umask()


def test_a_script_outside(repetition):
    done = repetition.script(ALL, inside=False)
    assert done.stdout == (
        "False {} . 0 0 1   False\nstep=1 loss=0.5\nval/loss=0.25 step=2\nNone none\n"
        'surrender: {"reason": "converged", "step": 2}\n'
    )
    assert os.listdir(repetition.dir) == ["script.py"]


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


SAVE = """
from cw2 import rep
rep.checkpoint({"w": [1.5, 2], "attempt": rep.attempt})
"""
RESUME = """
from cw2 import rep
print(rep.resume())
"""


def status(repetition, *earlier):
    attempts = [{"attempt": number, "state": state} for number, state in enumerate(earlier, 1)]
    (repetition.dir / "status.json").write_text(json.dumps({"state": "running", "earlier": attempts}))


def test_a_checkpoint_is_for_the_attempt_that_goes_on(repetition):
    repetition.script(SAVE)
    status(repetition, "interrupted")
    assert repetition.script(RESUME, CW2_ATTEMPT="2", CW2_RESUME="1").stdout == "{'w': [1.5, 2], 'attempt': 1}\n"
    # One that begins anew finds none.
    assert repetition.script(RESUME, CW2_ATTEMPT="2", CW2_RESUME="0").stdout == "None\n"


def test_a_checkpoint_may_be_several_interruptions_old(repetition):
    repetition.script(SAVE)
    status(repetition, "interrupted", "running")
    assert repetition.script(RESUME, CW2_ATTEMPT="3", CW2_RESUME="1").stdout == "{'w': [1.5, 2], 'attempt': 1}\n"


@pytest.mark.parametrize("state", ["crashed", "timed_out", "completed"])
def test_a_checkpoint_of_an_earlier_beginning_is_none(repetition, state):
    """The second attempt began anew and was interrupted before it saved anything."""
    repetition.script(SAVE)
    status(repetition, state, "interrupted")
    assert repetition.script(RESUME, CW2_ATTEMPT="3", CW2_RESUME="1").stdout == "None\n"


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(repetition):
    repetition.script(SAVE)
    before = (repetition.dir / "checkpoint.pkl").read_bytes()
    script = """
        import resource
        from cw2 import rep
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        rep.checkpoint("x" * 10_000)
    """
    done = repetition.script(script, check=False)
    assert "OSError: [Errno 27] File too large" in done.stderr
    assert (repetition.dir / "checkpoint.pkl").read_bytes() == before
    assert set(os.listdir(repetition.dir)) == {"config.yml", "script.py", "checkpoint.pkl"}


def test_a_checkpoint_that_is_no_such_file(repetition):
    (repetition.dir / "checkpoint.pkl").write_bytes(b"garbage")
    done = repetition.script(RESUME, check=False, CW2_ATTEMPT="2", CW2_RESUME="1")
    assert done.returncode == 1
    assert "checkpoint.pkl" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_checkpoint_of_another_user_is_not_obeyed(repetition):
    repetition.script(SAVE)
    os.chown(repetition.dir / "checkpoint.pkl", 41_234, -1)
    done = repetition.script(RESUME, check=False, CW2_ATTEMPT="2", CW2_RESUME="1")
    assert done.returncode == 1
    assert "checkpoint.pkl" in done.stderr.splitlines()[-1] and "belongs to user 41234" in done.stderr.splitlines()[-1]
    done = repetition.script(RESUME, CW2_ATTEMPT="2", CW2_RESUME="1", CW2_TRUST="alice,41234")
    assert done.stdout == "{'w': [1.5, 2], 'attempt': 1}\n"


LOOP = """
import sys, time
from cw2 import rep
done = 0 if rep.resume() is None else rep.resume()
while done < 1000 and not rep.stopping:
    print(done, flush=True)
    done += 1
    time.sleep(0.05)
rep.checkpoint(done)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_script_that_is_told_to_stop_saves_and_returns(repetition, name):
    (repetition.dir / "script.py").write_text(LOOP)
    variables = repetition.environment(CW2_CHECKPOINT_SIGNAL="SIGUSR1")
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=repetition.dir,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "0\n"
    process.send_signal(getattr(signal, name))
    seen = 1 + len(process.stdout.read().splitlines())
    assert process.wait(10) == 0
    status(repetition, "interrupted")
    assert repetition.script(RESUME, CW2_ATTEMPT="2", CW2_RESUME="1").stdout == f"{seen}\n"


def test_an_unasked_script_is_ended_by_the_signal(repetition):
    script = "import os, signal\nfrom cw2 import rep\nrep.log(x=1)\nos.kill(os.getpid(), signal.SIGTERM)\n"
    assert repetition.script(script, check=False).returncode == -signal.SIGTERM


CLASS = """
import os, signal, sys
import cw2
from cw2._repetition import Runner
from cw2.cw_data.cw_logging import LoggerArray

class Steps(cw2.AbstractIterativeExperiment):
    def initialize(self, cw_config, rep, logger):
        self.x = cw2.rep.resume(0)

    def iterate(self, cw_config, rep, n):
        self.x += 1
        if n == 1 and cw2.rep.attempt == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"x": self.x}

    def save_state(self, cw_config, rep, n):
        cw2.rep.checkpoint(self.x)

    def finalize(self, surrender=None, crash=False):
        print("finalize", surrender, crash)
"""


def test_an_iterative_experiment_goes_on_after_its_checkpoint(repetition):
    """It ends between two iterations, and the next attempt begins with the one after."""
    script = (
        CLASS
        + f"""
outcome = Runner(Steps, LoggerArray())({{"name": "exp", "_rep_idx": 3, "_rep_log_path": {str(repetition.dir)!r}, "iterations": 4}}, 3)
print(outcome.kind)
"""
    )
    assert repetition.script(script).stdout.splitlines()[-2:] == ["finalize None True", "interrupted"]
    assert [line["iter"] for line in repetition.metrics()] == [0, 1]
    status(repetition, "interrupted")
    second = repetition.script(script, CW2_ATTEMPT="2", CW2_RESUME="1")
    assert second.stdout.splitlines()[-2:] == ["finalize None False", "completed"]
    assert [(line["iter"], line["x"]) for line in repetition.metrics()] == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_surrender_in_an_experiment_class(repetition):
    script = f"""
import cw2
from cw2._repetition import Runner
from cw2.cw_data.cw_logging import LoggerArray

class Once(cw2.AbstractExperiment):
    def initialize(self, cw_config, rep, logger): pass
    def run(self, cw_config, rep, logger): cw2.rep.surrender(reason="enough")
    def finalize(self, surrender=None, crash=False): print(surrender.payload, crash)

print(Runner(Once, LoggerArray())({{"_rep_idx": 3, "_rep_log_path": {str(repetition.dir)!r}}}, 3).payload)
"""
    done = repetition.script(script)
    assert done.stdout.splitlines()[-2:] == ["{'reason': 'enough'} False", "{'reason': 'enough'}"]
