"""Programs on this machine: the command line, the commands of cw2 behind it, errors, loggers, interruptions."""

import json
import signal

import pytest

CONFIG = """
    name: exp
    path: results
    repetitions: 2
    iterations: 3
    grid: {how: [well, surrender, exception]}
"""

PROGRAM = """
import os, sys
import cw2
from cw2 import cluster_work, experiment
from cw2.cw_data import cw_logging


class Steps(experiment.AbstractIterativeExperiment):
    def initialize(self, cw_config, rep, logger):
        print("hello from", rep)

    def iterate(self, cw_config, rep, n):
        how = cw_config["params"]["how"]
        if n == 1 and how == "surrender":
            raise cw2.ExperimentSurrender({"reason": "converged"})
        if n == 1 and how == "exception":
            raise ValueError("wrong")
        if n == 1 and how == "killed":
            os.kill(os.getpid(), 9)
        if n == 1 and how == "gone":
            os._exit(0)
        return {"loss": n / 2}

    def save_state(self, cw_config, rep, n):
        pass

    def finalize(self, surrender=None, crash=False):
        print("finalize", surrender and surrender.payload["reason"], crash)


if __name__ == "__main__":
    cw = cluster_work.ClusterWork(Steps)
    cw.run()
    print("after", type(cw.config.exp_configs[0]).__name__, cw.args["overwrite"], cw.joblist)
"""


@pytest.fixture
def ran(project):
    """The program, run."""
    project.write(main=PROGRAM, config=CONFIG)
    project.out = project.run()
    return project


def rep(how, number=0):
    return f"results/exp/exp__h{how}/log/rep_{number:02d}"


def test_the_program_goes_on_after_its_run(ran):
    assert ran.out.stdout.splitlines()[-1] == "after dict False None"
    ends = {"well": "completed", "surrender": "surrendered", "exception": "crashed"}
    assert ran.states() == {rep(how, n): ends[how] for how in sorted(ends) for n in range(2)}


def test_what_a_repetition_leaves(ran):
    assert ran.read(f"{rep('well', 1)}/out.log") == "hello from 1\nfinalize None False\n"
    assert [json.loads(line)["loss"] for line in ran.read(f"{rep('well')}/metrics.jsonl").splitlines()] == [0, 0.5, 1]
    assert ran.status(rep("surrender"))["payload"]["reason"] == "converged"
    assert "finalize converged False" in ran.read(f"{rep('surrender')}/out.log")
    lines = [json.loads(line) for line in ran.read(f"{rep('surrender')}/metrics.jsonl").splitlines()]
    assert [line.get("reason") for line in lines] == [None, "converged"]


def test_a_crash_is_told_with_its_traceback(ran):
    error = ran.status(rep("exception"))["error"]
    assert (error["phase"], "ValueError: wrong" in error["message"]) == ("run", True)
    assert "Traceback (most recent call last):" in error["stderr_tail"]
    assert 'main.py", line' in error["stderr_tail"]
    assert "finalize None True" in ran.read(f"{rep('exception')}/out.log")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("sys.stdout.close(); sys.stderr.close(); print('x')", "ValueError: I/O operation on closed file."),
        ("raise ValueError('half a \\udc80')", "ValueError: half a \\\\udc80"),
    ],
)
def test_a_crash_that_cannot_be_printed_is_told_all_the_same(project, how, message):
    program = PROGRAM.replace('raise ValueError("wrong")', how)
    # Two at a time, so that nothing of it is shown: half a character is no text.
    config = CONFIG.replace("well, surrender, ", "") + "    reps_per_job: 2\n    reps_in_parallel: 2\n"
    project.write(main=program, config=config)
    project.run()
    error = project.status(rep("exception"))["error"]
    assert (error["phase"], error["message"]) == ("run", message.replace("\\\\", "\\"))
    assert 'main.py", line' in error["traceback"]


def test_what_is_finished_is_left_alone_unless_told(ran):
    before = ran.read(f"{rep('well')}/status.json")
    ran.run()
    assert ran.read(f"{rep('well')}/status.json") == before
    assert ran.status(rep("exception"))["attempt"] == 2
    ran.run("-o", "-e", "exp")
    assert ran.status(rep("well"))["attempt"] == 2


def test_commands_of_cw2(ran):
    status = json.loads(ran.run("status", "--json").stdout)
    assert {key: status["total"][key] for key in ("completed", "surrendered", "crashed")} == {
        "completed": 2,
        "surrendered": 2,
        "crashed": 2,
    }
    assert "ValueError: wrong" in ran.run("logs", "--failed").stdout
    assert len(ran.run("list", "--json").stdout.splitlines()) == 6
    by_hand = ran.run("exec", "-r", "exp__hwell", "--rep", "1")
    assert (by_hand.stdout, by_hand.stderr) == ("hello from 1\nfinalize None False\n", "completed\n")
    assert "how: well" in ran.run("show", "--run", "exp__hwell").stdout
    assert ran.run("retry", "--only", "crashed").stdout.endswith("/results/plans/002/sbatch.sh\n")


def test_only_one_job(project):
    project.write(main=PROGRAM, config=CONFIG)
    project.run("-j", "3")
    assert list(project.states()) == [rep("surrender", 1)]
    assert "there is no job 6" in project.run("-j", "6", code=2).stderr


def test_a_name_with_the_time(project):
    project.write(main=PROGRAM, config=CONFIG.replace(", exception", ""))
    project.run("-t")
    (folder,) = {name.split("/")[1] for name in project.states()}
    assert folder.endswith("_exp") and len(folder) == len("0131-154500_exp")


@pytest.mark.parametrize(
    ("words", "config", "said"),
    [
        (["-s", "-t"], CONFIG, "error: -t is for runs on this machine"),
        (["-x"], CONFIG, "error: unrecognized arguments: -x"),
        ([], "name: exp\nrepetitions: 1", "path"),
        (["-e", "other"], CONFIG, "`other`"),
        ([], "name: [", "config.yml:"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(project, words, config, said):
    project.write(main=PROGRAM, config=config)
    done = project.run(*words, code=2)
    assert said in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and not (project.root / "results").exists()


def test_a_configuration_that_is_not_there(project):
    project.write(main=PROGRAM)
    done = project.run(code=2)
    assert "config.yml" in done.stderr and "Traceback" not in done.stderr


def test_errors_of_a_configuration_are_exceptions_of_the_original(project):
    project.write(
        main="""
        import sys
        from cw2.cw_config import cw_config
        from cw2 import cw_error
        for path, names in (("gone.yml", None), ("bad.yml", None)):
            try:
                cw_config.Config(path, names)
            except (cw_error.MissingConfigError, cw_error.ConfigKeyError) as error:
                print(type(error).__name__)
        empty = cw_config.Config()
        print(empty.config_path, empty.slurm_config, empty.exp_configs)
        """,
        **{"bad.yml": "name: exp"},
    )
    assert project.run().stdout == "MissingConfigError\nConfigKeyError\nNone None []\n"


def test_nothing_to_run(project):
    project.write(main="from cw2 import cluster_work\ncluster_work.ClusterWork().run()\n", config=CONFIG)
    assert "NotImplementedError: there is nothing to run" in project.run(code=1).stderr


def test_a_folder_for_the_results(project):
    project.write(
        main=PROGRAM.replace("cw.run()", 'cw.run("elsewhere")'), config=CONFIG.replace(", surrender, exception", "")
    )
    project.run()
    assert (project.root / "elsewhere" / rep("well") / "status.json").exists()


def test_a_program_without_loggers(project):
    project.write(main=PROGRAM, config=CONFIG)
    out = project.run("--noconsolelog").stdout
    assert "[cw2] [WARNING] no logger was added" in out
    assert "Traceback" in project.read(f"{rep('exception')}/err.log")


@pytest.mark.parametrize("how", ["killed", "gone"])
def test_a_process_that_is_gone_is_a_crash(project, how):
    project.write(main=PROGRAM, config=CONFIG.replace("exception", how))
    project.run()
    assert project.states()[rep(how)] == "crashed" and project.states()[rep("well")] == "completed"
    assert "finalize None True" in project.read(f"{rep(how)}/out.log"), "of a fresh object"


SLOW = """
import time
import cw2

class Slow(cw2.AbstractIterativeExperiment):
    def initialize(self, cw_config, rep, logger):
        self.x = RESUME
        print("from", self.x, flush=True)

    def iterate(self, cw_config, rep, n):
        self.x += 1
        print("iterate", n, flush=True)
        if cw2.rep.attempt == 1 and n == 3:
            print("ready", flush=True)
            time.sleep(SECONDS)
        return {"x": self.x}

    def save_state(self, cw_config, rep, n):
        SAVE

    def finalize(self, surrender=None, crash=False):
        print("finalize", surrender, crash)

cw2.ClusterWork(Slow).run()
print("after")
"""
SAVING = {"RESUME": "cw2.rep.resume(0)", "SAVE": "cw2.rep.checkpoint(self.x)", "SECONDS": "0.5"}
PLAIN = {"RESUME": "0", "SAVE": "pass", "SECONDS": "60"}


def slow(project, how):
    text = SLOW
    for name, value in how.items():
        text = text.replace(name, value)
    project.write(main=text, config="name: exp\npath: results\nrepetitions: 1\niterations: 6\n")


def interrupt(project, number):
    """Tells the program to end once its repetition is under way; returns its exit code and output."""
    process = project.start("config.yml")
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "ready\n":
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, "".join(lines) + out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_an_experiment_that_does_not_ask(project, number):
    slow(project, PLAIN)
    code, out, err = interrupt(project, number)
    assert code == 75, err
    assert "finalize None True" in out and "after" not in out
    (place,) = project.states()
    assert project.states() == {place: "interrupted"}
    assert "Traceback" not in project.read(f"{place}/err.log")
    project.run()
    assert project.states() == {place: "completed"}
    assert project.read(f"{place}/out.log").count("iterate 0\n") == 2


def test_an_interruption_lets_an_experiment_save_that_can_go_on(project):
    slow(project, SAVING)
    code, _out, err = interrupt(project, signal.SIGINT)
    assert code == 75, err
    (place,) = project.states()
    assert project.states() == {place: "interrupted"}
    project.run()
    assert project.states() == {place: "completed"}
    log = project.read(f"{place}/out.log")
    assert [line for line in log.splitlines() if line.startswith("iterate")] == [f"iterate {n}" for n in range(6)]
    assert "from 4\n" in log
    metrics = [json.loads(line) for line in project.read(f"{place}/metrics.jsonl").splitlines()]
    assert [(line["iter"], line["x"]) for line in metrics] == [(n, n + 1) for n in range(6)]
