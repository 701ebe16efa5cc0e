"""Schedulers of one's own, and those of the original."""

import json
import os

import pytest

PROGRAM = '''
import concurrent.futures, json, multiprocessing, os, threading
from cw2 import cluster_work, experiment, scheduler


class Tells(experiment.AbstractExperiment):
    """Leaves what it sees of the machine."""

    def initialize(self, cw_config, rep, logger):
        self.path = os.path.join(cw_config["_rep_log_path"], "seen.json")
        self.seen = {
            "place": os.environ.get("PLACE"),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "cpus": sorted(os.sched_getaffinity(0)),
            "cpu_cores": sorted(cw_config.get("cpu_cores", [])),
            "added": cw_config.get("added"),
            "main": threading.current_thread() is threading.main_thread(),
        }

    def run(self, cw_config, rep, logger):
        if cw_config["params"]["x"] == 2 and rep == 1:
            raise ValueError("wrong")

    def finalize(self, surrender=None, crash=False):
        with open(self.path, "w") as file:
            json.dump(self.seen, file)


def execute(job, task, overwrite, place):
    os.environ["PLACE"] = str(place)
    job.run_task(task, overwrite)


class Loop(scheduler.AbstractScheduler):
    def run(self, overwrite=False):
        for number, job in enumerate(self.joblist):
            for task in job.tasks:
                task["added"] = number
                execute(job, task, overwrite, task["params"]["x"])


class Threads(scheduler.AbstractScheduler):
    def run(self, overwrite=False):
        os.environ["PLACE"] = "threads"
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(job.run_task, task, overwrite) for job in self.joblist for task in job.tasks]:
                future.result()


class Affinity(scheduler.AbstractScheduler):
    """Each in a thread that is bound to the last CPU."""

    def run(self, overwrite=False):
        for job in self.joblist:
            for task in job.tasks:
                thread = threading.Thread(target=self.bound, args=(job, task, overwrite))
                thread.start()
                thread.join()

    def bound(self, job, task, overwrite):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        job.run_task(task, overwrite)


class Processes(scheduler.AbstractScheduler):
    def run(self, overwrite=False):
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            tasks = [(job, task) for job in self.joblist for task in job.tasks]
            for future in [pool.submit(execute, job, task, overwrite, n) for n, (job, task) in enumerate(tasks)]:
                future.result()


class Pool(scheduler.AbstractScheduler):
    def run(self, overwrite=False):
        with multiprocessing.Pool(2) as pool:
            pool.starmap(execute, [(job, task, overwrite, "pool") for job in self.joblist for task in job.tasks])


class Joblib(scheduler.AbstractScheduler):
    def run(self, overwrite=False):
        from joblib import Parallel, delayed

        for job in self.joblist:
            Parallel(n_jobs=2)(delayed(execute)(job, task, overwrite, "joblib") for task in job.tasks)


class Mine(scheduler.LocalScheduler):
    """One of the original's, changed."""

    def execute_task(self, j, c, overwrite=False):
        super().execute_task(j, c, overwrite)


if __name__ == "__main__":
    cw = cluster_work.ClusterWork(Tells)
    name = os.environ["SCHEDULER"]
    cls = globals().get(name) or getattr(scheduler, name)
    cw.run(sch=cls(cw.config))
    print(len(cw.joblist or []), [len(job.tasks) for job in cw.joblist or []])
'''

CONFIG = """
    name: SLURM
    cpus-per-task: 2
    ntasks: 1
    cpus_per_rep: 1
    gpus_per_rep: 1
    sbatch_args: {gres: "gpu:2"}
    ---
    name: exp
    path: results
    repetitions: 2
    reps_per_job: 3
    reps_in_parallel: 2
    grid: {x: [1, 2]}
"""

PLACES = [(x, rep) for x in (1, 2) for rep in (0, 1)]


def folder(x, rep):
    return f"results/exp/exp__x{x}/log/rep_{rep:02d}"


def run(project, name, *words, **environment):
    """What each repetition saw."""
    project.write(main=PROGRAM, config=CONFIG)
    out = project.run(*words, SCHEDULER=name, **environment).stdout
    states = {folder(x, rep): "crashed" if (x, rep) == (2, 1) else "completed" for x, rep in PLACES}
    assert project.states() == states
    assert "ValueError: wrong" in project.status(folder(2, 1))["error"]["message"]
    seen = {place: json.loads(project.read(f"{folder(*place)}/seen.json")) for place in PLACES}
    assert all(each["main"] for each in seen.values()), "signals and exceptions are those of a main thread"
    return seen, out


def test_a_loop(project):
    seen, out = run(project, "Loop")
    assert {place: each["place"] for place, each in seen.items()} == {(x, rep): str(x) for x, rep in PLACES}
    assert [seen[place]["added"] for place in PLACES] == [0, 0, 0, 1]
    assert out.splitlines()[-1] == "2 [3, 1]"
    assert json.loads(project.run("status", "--json", SCHEDULER="Loop").stdout)["total"]["completed"] == 3


@pytest.mark.parametrize(("name", "place"), [("Threads", "threads"), ("Pool", "pool"), ("Mine", None)])
def test_threads_and_processes(project, name, place):
    seen, _ = run(project, name)
    assert {each["place"] for each in seen.values()} == {place}


def test_a_pool_of_processes_with_an_environment_each(project):
    seen, _ = run(project, "Processes")
    assert [seen[place]["place"] for place in PLACES] == ["0", "1", "2", "3"]


def test_joblib(project):
    pytest.importorskip("joblib")
    seen, _ = run(project, "Joblib")
    assert {each["place"] for each in seen.values()} == {"joblib"}


def test_the_cpus_of_the_thread_that_calls(project):
    seen, _ = run(project, "Affinity")
    assert {tuple(each["cpus"]) for each in seen.values()} == {(max(os.sched_getaffinity(0)),)}


@pytest.mark.parametrize("name", ["LocalScheduler", "CpuDistributingLocalScheduler", "MPGPUDistributingLocalScheduler"])
def test_the_schedulers_of_the_original_are_the_engines_slots(project, name):
    _seen, out = run(project, name)
    assert out.splitlines()[-1] == "0 []"


def test_what_is_finished_is_left_alone_unless_told(project):
    run(project, "Loop")
    before = project.status(folder(1, 0))
    run(project, "Loop")
    assert project.status(folder(1, 0)) == before
    run(project, "Loop", "-o")
    assert project.status(folder(1, 0))["attempt"] == 2


DIRECT = (
    PROGRAM.replace("sch=cls(cw.config)", "sch=Sub(cw.config)")
    .replace("Mine(scheduler.LocalScheduler)", "Unused")
    .replace("class Unused:", "class Unused(scheduler.LocalScheduler):")
    .replace(
        'if __name__ == "__main__":',
        """
class Sub(getattr(scheduler, os.environ["SCHEDULER"])):
    pass


if __name__ == "__main__":""",
    )
)


@pytest.mark.parametrize(
    ("name", "gpus", "cores"),
    [
        ("CpuDistributingLocalScheduler", False, True),
        ("MPGPUDistributingLocalScheduler", True, False),
        ("HOREKAAffinityGPUDistributingLocalScheduler", True, True),
        ("KlusterThreadLimitingScheduler", True, False),
    ],
)
def test_a_class_made_of_one_of_the_originals(project, name, gpus, cores):
    project.write(main=DIRECT, config=CONFIG)
    project.run(SCHEDULER=name, CUDA_VISIBLE_DEVICES="GPU-a,7")
    seen = [json.loads(project.read(f"{folder(*place)}/seen.json")) for place in PLACES]
    if gpus:
        assert {each["gpus"] for each in seen} <= {"GPU-a", "7"}
    if cores:
        assert all(len(each["cpus"]) == 1 and each["cpus"] == each["cpu_cores"] for each in seen)
