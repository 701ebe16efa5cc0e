"""Programs written for the original do the same under both, where the original works."""

import json
import re

import pytest

# Notes what it is called with, types included, in the directories that it is given.
PROGRAM = """
import json, os, sys
from cw2 import cluster_work, cw_error, experiment
from cw2.cw_config import cw_conf_keys
from cw2.cw_data import cw_logging, cw_pd_logger


def typed(value):
    if isinstance(value, dict):
        return {f"{type(key).__name__} {key}": typed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(typed, value)]
    return f"{type(value).__name__} {value!r}"


def note(config, *what):
    with open(os.path.join(config[cw_conf_keys.i_REP_LOG_PATH], "notes"), "a") as file:
        print(json.dumps(what, default=str), file=file)


class Noting(cw_logging.AbstractLogger):
    def initialize(self, config, rep, rep_log_path):
        self.config = config
        note(config, "logger.initialize", rep, rep_log_path, typed(config))
        config["by_logger"] = 1

    def process(self, data):
        note(self.config, "logger.process", {key: value for key, value in data.items() if key != "ts"}, str(type(data["ts"])))

    def preprocess(self, *args):
        note(self.config, "logger.preprocess", args)

    def finalize(self):
        note(self.config, "logger.finalize")

    def load(self):
        return {"noted": 1}


class Steps(experiment.AbstractIterativeExperiment):
    def initialize(self, cw_config, rep, logger):
        self.config = cw_config
        cw_config["by_experiment"] = cw_config["by_logger"] + 1
        note(cw_config, "initialize", rep, [type(each).__name__ for each in logger])
        logger.preprocess(1, "two")

    def iterate(self, cw_config, rep, n):
        assert cw_config is self.config
        note(cw_config, "iterate", rep, n, cw_config["by_experiment"])
        how = cw_config["params"].get("how")
        if n == 1:
            end(how)
        return {"loss": n / 2, "n": n}

    def save_state(self, cw_config, rep, n):
        note(cw_config, "save_state", rep, n)

    def finalize(self, surrender=None, crash=False):
        note(self.config, "finalize", type(surrender).__name__, crash)


class Whole(experiment.AbstractExperiment):
    def initialize(self, cw_config, rep, logger):
        self.config = cw_config

    def run(self, cw_config, rep, logger):
        logger.process({"ts": 0, "x": 1})
        end(cw_config["params"]["how"])

    def finalize(self, surrender=None, crash=False):
        note(self.config, "finalize", surrender and surrender.payload, crash)


def end(how):
    if how == "surrender":
        raise cw_error.ExperimentSurrender({"loss": -1})
    if how == "bare":
        raise cw_error.ExperimentSurrender()
    if how == "exception":
        raise ValueError("wrong")
    if how == "exit":
        sys.exit(0)


if __name__ == "__main__":
    sys.argv += os.environ.get("MORE", "").split()
    cw = cluster_work.ClusterWork(Whole if os.environ.get("WHOLE") else Steps)
    cw.add_logger(Noting())
    cw.add_logger(cw_pd_logger.PandasLogger(ignore_keys=["ts"]))
    exec(os.environ.get("CHANGE", ""))
    try:
        cw.run()
    except SystemExit:
        raise
    except:
        print("never")
    if os.environ.get("LOAD"):
        table = cw.load()
        print(json.dumps([list(table.index), list(table.columns), list(table["noted"]), [list(t["loss"]) for t in table["PandasLogger"]]]))
        print(json.dumps(list(table.cw2.filter({"lr": 0.1}).index)))
"""

PLAIN = """
    name: plain
    path: results
    repetitions: 2
    iterations: 3
    params: {lr: 0.1}
"""

TYPES = """
    name: SLURM
    partition: p
    job-name: j
    num_parallel_jobs: 1
    ntasks: 1
    cpus-per-task: 1
    time: 5
    ---
    name: DEFAULT
    path: results/deep
    repetitions: 1
    iterations: 1
    seed: 7
    rep: mine
    run: mine too
    wandb: {project: p}
    shared: &shared {a: [1, 2]}
    params:
        int: 1
        1: integer key
        float: 1.5
        small: 1.0e-3
        inf: .inf
        minus: -.inf
        really: yes
        none: ~
        text: "1"
        alias: *shared
        tuple: !!python/tuple [1, [2, a]]
        nested: {deep: {deeper: [1.0, {x: null}]}}
        empty: {}
        big: 12345678901234567890123
        octal: 0o14
        hex: 0x1F
        under: 1_000
        date: 2001-02-03
        moment: 2001-02-03 04:05:06
    ---
    name: swept
    grid:
        lr: [0.1, 1]
        nested: {deep: {width: [8]}}
    list_more:
        first: [a, b]
        second: [[1, 2], [3]]
    ---
    name: ablated
    ablative:
        lr: [5, 6]
        text: ["x y"]
    params: {own: 1}
    ---
    name: child
    import_exp: swept
    reps_per_job: 2
    params: {int: 2}
"""


def both(original, project, config, *words, main=PROGRAM, code=0, **environment):
    """Runs the same under both."""
    outputs = []
    for one in (original, project):
        one.write(main=main, config=config)
        outputs.append(one.run(*words, code=code, **environment).stdout)
    return outputs


def notes(project):
    """What was noted, by repetition. Those of `--debug` have a folder of their own here."""

    def plain(text):
        return text.replace("results/deep/debug", "results/deep")

    return {
        plain(rep): [json.loads(plain(line)) for line in project.read(f"{rep}/notes").splitlines()]
        for rep in project.reps()
    }


def tables(project):
    """The tables of the PandasLogger. The original's numbers are whole or not as a row's other ones are."""

    def cell(text):
        return float(text) if re.fullmatch(r"-?[0-9.]+", text) else text

    csv = [name for name in project.tree() if name.endswith(".csv")]
    return {
        name.replace("/debug/", "/"): [
            [cell(text) for text in line.split(",")] for line in project.read(name).splitlines()
        ]
        for name in csv
    }


def same(original, project):
    theirs, ours = notes(original), notes(project)
    assert list(ours) == list(theirs)
    for rep, lines in theirs.items():
        assert ours[rep] == lines, rep
    assert tables(project) == tables(original)
    assert theirs


@pytest.mark.parametrize("config", [PLAIN, TYPES], ids=["plain", "types"])
def test_everything_it_is_called_with(original, project, config):
    both(original, project, config)
    same(original, project)
    relative = [name for name in original.tree() if "relative_" in name]
    assert [name for name in project.tree() if "relative_" in name] == relative


@pytest.mark.parametrize("how", ["surrender", "bare", "exception", "exit"])
@pytest.mark.parametrize("whole", ["", "1"], ids=["iterative", "whole"])
def test_every_ending(original, project, how, whole):
    both(original, project, PLAIN.replace("lr: 0.1", f"how: {how}"), WHOLE=whole)
    same(original, project)
    for one in (original, project):
        for rep in one.reps():
            # Ours leaves none that is empty.
            errors = one.read(f"{rep}/err.log") if (one.root / rep / "err.log").exists() else ""
            if how in ("exception", "exit"):
                last = "ValueError: wrong" if how == "exception" else "SystemExit: 0"
                assert re.search(r"\[ERROR\] EXCEPTION: .*\nTraceback", errors) and errors.endswith(f"{last}\n")
            else:
                assert "Traceback" not in errors


@pytest.mark.parametrize(
    "words",
    [
        ["-e", "swept", "child"],
        ["--debug"],
        ["--debugall"],
        ["-j", "1"],
        ["-o", "-e", "ablated"],
        ["--noconsolelog", "-e", "swept"],
    ],
    ids=" ".join,
)
def test_the_command_line(original, project, words):
    both(original, project, TYPES, *words)
    same(original, project)


def test_words_that_the_program_adds_itself(original, project):
    both(original, project, TYPES, MORE="-e swept")
    same(original, project)


@pytest.mark.parametrize(
    "change",
    [
        "for c in cw.config.exp_configs: c['seed'] = c['_rep_idx'] + 100; c['params']['added'] = [1, (2, 3)]",
        "for c in cw.config.exp_configs: c['_rep_log_path'] += '_changed'",
        "cw.config.exp_configs = [c for c in cw.config.exp_configs if c['_rep_idx'] == 1]",
        "cw.config.to_yaml('elsewhere', relpath=False); cw.config.config_path = 'other.yml'",
        "cw.config.exp_configs.reverse()",
    ],
)
def test_a_program_that_changes_its_configuration(original, project, change):
    both(original, project, PLAIN, CHANGE=change)
    same(original, project)


def test_what_is_finished_is_left_alone(original, project):
    for _ in range(2):
        both(original, project, PLAIN)
    same(original, project)
    assert [line[0] for line in notes(project)["results/plain/log/rep_00"]].count("initialize") == 1


def test_results_are_loaded(original, project):
    theirs, ours = both(original, project, PLAIN, LOAD="1")
    assert ours.splitlines()[-2:] == theirs.splitlines()[-2:]


def test_results_of_the_original_are_loaded(original, project):
    """Its folder, read by ours."""
    original.write(main=PROGRAM, config=PLAIN)
    theirs = original.run(LOAD="1").stdout
    project.root.rmdir()
    original.root.rename(project.root)
    code = PROGRAM.replace("        cw.run()\n", "        pass\n")
    project.write(main=code)
    assert project.run(LOAD="1").stdout.splitlines()[-2:] == theirs.splitlines()[-2:]


def test_an_expanded_configuration_is_read_back(original, project):
    both(original, project, TYPES)
    for one in (original, project):
        one.write(
            main=PROGRAM.replace(
                "        cw.run()\n", "        print(json.dumps([typed(c) for c in cw.config.exp_configs]))\n"
            )
        )
    name = "results/deep/relative_config.yml"
    outputs = []
    # Each reads its own, and that of the other one.
    for reader in (original, project):
        for writer in (original, project):
            reader.write(**{"back.yml": writer.read(name)})
            process = reader.start("back.yml")
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            outputs.append(sorted(json.dumps(config, sort_keys=True) for config in json.loads(out.splitlines()[-1])))
    assert outputs[1:] == outputs[:1] * 3
