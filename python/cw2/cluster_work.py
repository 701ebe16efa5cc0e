"""A program of experiments: the command line, a configuration, an experiment class, loggers."""

from __future__ import annotations

import glob
import os
import sys
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from cw2 import _arguments, _engine
from cw2._repetition import Runner
from cw2.cw_config import cw_conf_keys as KEYS
from cw2.cw_config.cw_config import Config
from cw2.cw_data import cw_logging
from cw2.cw_error import ConfigKeyError, ExperimentNotFoundError, MissingConfigError
from cw2.experiment import AbstractExperiment
from cw2.job import Job, JobFactory
from cw2.scheduler import BUILT_IN, AbstractScheduler, SlurmScheduler

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ClusterWork"]


class ClusterWork:
    """Runs an experiment class as its command line says; ``python main.py CONFIG.yml --help`` shows that.

    The command line is read when the object is made: a program may change ``sys.argv`` before. A command of cw2 behind the
    configuration (``python main.py CONFIG.yml status``) is run at once, and ends the program.

    Attributes:
        args: the command line.
        config: the configuration; what a program changes in ``config.exp_configs`` before :meth:`run` counts.
        logArray: the loggers.
        joblist: the jobs, once :meth:`run` had a scheduler or :meth:`load` was called.

    Args:
        exp_cls: the experiment class; without one the results can be loaded only.

    Raises:
        SystemExit: if the command line or the configuration is wrong, which is told on standard error.
    """

    def __init__(self, exp_cls: Callable[[], AbstractExperiment] | None = None) -> None:
        self.args, command = _arguments.parse()
        self.exp_cls = exp_cls
        try:
            self.config = Config(
                self.args["config"],
                self.args["experiments"],
                self.args["debug"],
                self.args["debugall"],
                self.args["prefix_with_timestamp"],
            )
        except (ConfigKeyError, ExperimentNotFoundError, MissingConfigError) as error:
            _give_up(error.__cause__ or error)
        except _engine.EngineError as error:
            _give_up(error)
        self._only_plan = command is not None and command[0] == _arguments.PLAN
        if command is not None and not self._only_plan:
            raise SystemExit(self._call(*command))
        self.logArray = cw_logging.LoggerArray()
        if not self.args["noconsolelog"]:
            self.add_logger(cw_logging.PythonLogger())
        self.joblist: list[Job] | None = None

    def add_logger(self, logger: cw_logging.AbstractLogger) -> None:
        """Adds a logger, which hears of every repetition."""
        self.logArray.add(logger)

    def run(self, root_dir: str = "", sch: AbstractScheduler | None = None) -> None:
        """Runs the repetitions on this machine, or submits them (``-s``).

        A repetition that crashes ends neither the others nor the program: its state tells of it.

        Args:
            root_dir: the folder that the paths in the configuration are relative to.
            sch: a scheduler of one's own, which runs the repetitions of a job.

        Raises:
            NotImplementedError: if there is no experiment class.
            SystemExit: if it cannot be done, or was interrupted; with the exit code of cw2.
        """
        if self.exp_cls is None:
            raise NotImplementedError("there is nothing to run: `ClusterWork` was given no experiment class")
        try:
            code = self._run(root_dir, sch)
        except _engine.EngineError as error:
            _give_up(error)
        # 1 says that a repetition failed, which the program may want to look at.
        if code > 1:
            raise SystemExit(code)

    def load(self, root_dir: str = "") -> pd.DataFrame:
        """What the loggers kept of all repetitions, as a table with the index ``name``, ``r``.

        Raises:
            ImportError: if pandas is not installed.
        """
        from cw2.cw_data import cw_loading

        factory = JobFactory(self.exp_cls, self.logArray, False, root_dir, read_only=True)
        table: pd.DataFrame = self._schedule(cw_loading.Loader(), factory.create_jobs(self.config.exp_configs))
        return table

    def _run(self, root_dir: str, sch: AbstractScheduler | None) -> int:
        assert self.exp_cls is not None and self.config._expansion is not None
        if self.logArray.is_empty():
            cw_logging.getLogger().warning("no logger was added: results go to metrics.jsonl alone")
        user = _engine.role().kind == "user"
        if user:
            self._prepare(root_dir)
        expansion, configs, options = self.config._expansion, self.config.exp_configs, self._options(root_dir)
        own = None if sch is None or type(sch) in (*BUILT_IN, SlurmScheduler) else sch
        if user and self._only_plan:
            plan = _engine.plan(expansion, configs, options=options, scheduler=own is not None)
            _print_scripts(plan, root_dir)
            return 0
        if user and (self.args["slurm"] or type(sch) is SlurmScheduler):
            return _engine.submit(expansion, configs, options=options, scheduler=own is not None)
        if own is None:
            return _engine.run(expansion, configs, Runner(self.exp_cls, self.logArray), options=options)
        plan = _engine.plan(expansion, configs, options=options)
        self._schedule(own, JobFactory(self.exp_cls, self.logArray, False, root_dir)._planned_jobs(configs, plan))
        return 0

    def _schedule(self, scheduler: AbstractScheduler, jobs: list[Job]) -> Any:
        self.joblist = jobs
        scheduler.assign(jobs)
        return scheduler.run(overwrite=self.args["overwrite"])

    def _prepare(self, root_dir: str) -> None:
        try:
            if root_dir:
                os.makedirs(root_dir, exist_ok=True)
            if self.config.exp_configs:
                self.config.to_yaml(os.path.join(root_dir, self.config.exp_configs[0][KEYS.i_BASIC_PATH]))
        except OSError as error:
            _give_up(_engine.EngineError(f"cannot write the expanded configuration: {error}"))

    def _options(self, root_dir: str) -> _engine.Options:
        args = self.args
        return _engine.Options(
            overwrite=args["overwrite"],
            job=args["job"],
            root=root_dir,
            nocodecopy=args["nocodecopy"],
            zip=args["zip"],
            multicopy=args["multicopy"],
            skipsizecheck=args["skipsizecheck"],
        )

    def _call(self, command: str, words: list[str]) -> int:
        """Calls a command of cw2 for this configuration."""
        if command in _arguments.ON_CONFIG:
            return _engine.call([command, self.args["config"], *words])
        folders = dict.fromkeys(str(config[KEYS.i_BASIC_PATH]) for config in self.config.exp_configs)
        return _engine.call([command, *folders, *words])


def _print_scripts(plan: list[list[_engine.Task]], root_dir: str) -> None:
    """Prints what to hand to `sbatch`, a line each, as `cw2 plan` does."""
    for folder in dict.fromkeys(task.plan for tasks in plan for task in tasks):
        for script in sorted(
            glob.glob(os.path.join(glob.escape(os.path.abspath(os.path.join(root_dir, folder))), "sbatch*.sh"))
        ):
            print(script)


def _give_up(error: BaseException) -> NoReturn:
    """Ends the program with what is wrong, where that was not said yet."""
    if not getattr(error, "said", False):
        print(f"error: {error}", file=sys.stderr)
    raise SystemExit(getattr(error, "code", 2))
