"""Jobs: bundles of repetitions, as a scheduler of one's own is given them."""

from __future__ import annotations

import os
from typing import Any, Callable

from cw2 import _engine
from cw2._repetition import Runner
from cw2.cw_config import cw_conf_keys as KEYS
from cw2.cw_data import cw_logging
from cw2.experiment import AbstractExperiment

__all__ = ["Job", "JobFactory"]

Config = dict[str, Any]


class Job:
    """A bundle of repetitions.

    Attributes:
        tasks: the repetitions' configurations.
        n_parallel: how many of them may run at once, ``reps_in_parallel``.
        exp: the experiment class; an object is made for each repetition.
        logger: the loggers.

    Args:
        tasks: the repetitions' configurations, at least one.
        exp_cls: the experiment class.
        logger: the loggers.
        delete_old_files: accepted, and without effect, as in the original.
        root_dir: the folder that the paths in the configurations are relative to.
        read_only: only for loading: nothing is made.
    """

    def __init__(
        self,
        tasks: list[Config],
        exp_cls: Callable[[], AbstractExperiment] | None,
        logger: cw_logging.LoggerArray,
        delete_old_files: bool = False,
        root_dir: str = "",
        read_only: bool = False,
    ) -> None:
        self.tasks = tasks
        self.exp = exp_cls
        self.logger = logger
        self.n_parallel: int = tasks[0].get(KEYS.REPS_PARALL, 1)
        self._root_dir = root_dir
        #: What the engine calls each of them, by its directory.
        self._planned: dict[str, _engine.Task] = {}
        if not read_only:
            for task in tasks:
                os.makedirs(os.path.join(root_dir, task[KEYS.i_REP_LOG_PATH]), exist_ok=True)

    def run_task(self, c: Config, overwrite: bool) -> None:
        """Runs a repetition in a process of its own, with the environment and the CPUs of the caller, and waits for its end.

        May be called from threads and from other processes. What is finished is left alone. How the repetition ended is in its
        state; no exception tells of it.

        Args:
            c: one of :attr:`tasks`.
            overwrite: run it also where it is finished.

        Raises:
            KeyError: if it is none of this job's.
            cw2._engine.EngineError: if the engine could not start it.
        """
        if self.exp is None:
            raise NotImplementedError("this job has no experiment class: it can only be loaded")
        task = self._planned[c[KEYS.i_REP_LOG_PATH]]
        _engine.run_task(task, c, Runner(self.exp, self.logger), overwrite=overwrite)

    def load_task(self, c: Config) -> dict[str, Any]:
        """What the loggers kept of a repetition."""
        self.logger._find(c, c[KEYS.i_REP_IDX], os.path.join(self._root_dir, c[KEYS.i_REP_LOG_PATH]))
        loaded = self.logger.load()
        return loaded if isinstance(loaded, dict) else {}


class JobFactory:
    """Bundles repetitions into jobs, ``reps_per_job`` of one experiment each. The arguments are those of :class:`Job`."""

    def __init__(
        self,
        exp_cls: Callable[[], AbstractExperiment] | None,
        logger: cw_logging.LoggerArray,
        delete_old_files: bool = False,
        root_dir: str = "",
        read_only: bool = False,
    ) -> None:
        self.exp_cls = exp_cls
        self.logger = logger
        self.delete_old_files = delete_old_files
        self.root_dir = root_dir
        self.read_only = read_only

    def create_jobs(self, exp_configs: list[Config]) -> list[Job]:
        """The jobs of these repetitions, in order."""
        experiments: dict[str, list[Config]] = {}
        for config in exp_configs:
            experiments.setdefault(config[KEYS.NAME], []).append(config)
        bundles = []
        for configs in experiments.values():
            size = configs[0].get(KEYS.REPS_P_JOB, 1)
            bundles += [configs[start : start + size] for start in range(0, len(configs), size)]
        return [self._job(bundle) for bundle in bundles]

    def _planned_jobs(self, exp_configs: list[Config], plan: list[list[_engine.Task]]) -> list[Job]:
        """The jobs as the engine planned them."""
        jobs = []
        for tasks in plan:
            job = self._job([exp_configs[task.config] for task in tasks])
            job._planned = {config[KEYS.i_REP_LOG_PATH]: task for config, task in zip(job.tasks, tasks)}
            jobs.append(job)
        return jobs

    def _job(self, tasks: list[Config]) -> Job:
        return Job(tasks, self.exp_cls, self.logger, self.delete_old_files, self.root_dir, self.read_only)
