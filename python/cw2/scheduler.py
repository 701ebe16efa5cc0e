"""Schedulers: in which order, how many at a time and on what part of the machine repetitions run.

The engine has a better one of its own: slots with CPUs and GPUs of their own, retries, time limits. It is used where
:meth:`ClusterWork.run <cw2.cluster_work.ClusterWork.run>` is given none, or one of those here. They do the same in Python, for
classes that are made of them.
"""

from __future__ import annotations

import abc
import concurrent.futures
import multiprocessing
import os
import queue
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable

from cw2.cw_config import cw_conf_keys as KEYS

if TYPE_CHECKING:
    from cw2.cw_config.cw_config import Config
    from cw2.job import Job

__all__ = [
    "AbstractScheduler",
    "CpuDistributingLocalScheduler",
    "GPUDistributingLocalScheduler",
    "HOREKAAffinityGPUDistributingLocalScheduler",
    "KlusterThreadLimitingScheduler",
    "LocalScheduler",
    "MPGPUDistributingLocalScheduler",
    "SlurmScheduler",
    "get_gpu_scheduler_cls",
]


class AbstractScheduler(abc.ABC):
    """A scheduler of one's own implements :meth:`run`.

    Attributes:
        joblist: the jobs, from :meth:`assign` on.
        config: the configuration, where it was given one.
    """

    def __init__(self, conf: Config | None = None) -> None:
        self.joblist: list[Job] = []
        self.config = conf

    def assign(self, joblist: list[Job]) -> None:
        """Hands it the jobs to run: all of them here, one of them in a job of Slurm's."""
        self.joblist = joblist

    @abc.abstractmethod
    def run(self, overwrite: bool = False) -> Any:
        """Runs every task of every job: ``job.run_task(task, overwrite)`` for ``job in self.joblist``, ``task in job.tasks``.

        It may do so from threads and from other processes. Each repetition gets the environment and the CPUs of whoever calls.

        Args:
            overwrite: hand it on.
        """


class LocalScheduler(AbstractScheduler):
    """Runs job after job, ``reps_in_parallel`` repetitions at a time."""

    def run(self, overwrite: bool = False) -> None:
        """Runs them."""
        for job in self.joblist:
            with concurrent.futures.ThreadPoolExecutor(job.n_parallel) as pool:
                _wait([pool.submit(self.execute_task, job, task, overwrite) for task in job.tasks])

    def execute_task(self, j: Job, c: dict[str, Any], overwrite: bool = False) -> None:
        """Runs one repetition."""
        j.run_task(c, overwrite)


class CpuDistributingLocalScheduler(AbstractScheduler):
    """Gives every repetition ``cpus_per_rep`` CPUs of its own."""

    def __init__(self, conf: Config | None = None) -> None:
        super().__init__(conf)
        slurm = _slurm(conf)
        self._total_num_cpus = _cpus(slurm)
        self._cpus_per_rep = _whole(slurm, "cpus_per_rep")
        self._queue_elements = _places(self._total_num_cpus, self._cpus_per_rep, "CPUs")

    def run(self, overwrite: bool = False) -> None:
        """Runs them."""
        _in_processes(self.joblist, self._queue_elements, self._execute_task, (self._cpus_per_rep, overwrite))

    @staticmethod
    def _execute_task(j: Job, c: dict[str, Any], q: Any, cpus_per_rep: int, overwrite: bool = False) -> None:
        with _Place(q) as place:
            c[KEYS.i_CPU_CORES] = _bind(place, cpus_per_rep)
            j.run_task(c, overwrite)

    @staticmethod
    def use_distributed_cpu_scheduling(conf: Config) -> bool:
        """Whether the configuration asks for it: ``scheduler: cpu_distribute``."""
        return conf.slurm_config is not None and conf.slurm_config.get("scheduler") == "cpu_distribute"


class GPUDistributingLocalScheduler(AbstractScheduler):
    """What those have in common that give every repetition ``gpus_per_rep`` GPUs of its own."""

    def __init__(self, conf: Config | None = None) -> None:
        super().__init__(conf)
        slurm = _slurm(conf)
        self._total_num_gpus = _gpus(slurm)
        if "gpus_per_rep" not in slurm:
            raise ValueError("the SLURM document has no `gpus_per_rep`")
        self._gpus_per_rep: float = slurm["gpus_per_rep"]
        if self._gpus_per_rep >= 1 and self._gpus_per_rep != int(self._gpus_per_rep):
            raise ValueError(f"`gpus_per_rep` is `{self._gpus_per_rep}`: it is a whole number, or below 1")
        self._queue_elements = _places(self._total_num_gpus, self._gpus_per_rep, "GPUs")

    @staticmethod
    def use_distributed_gpu_scheduling(conf: Config) -> bool:
        """Whether the configuration asks for it: it requests GPUs, and other than all of them for a repetition."""
        slurm = conf.slurm_config
        return slurm is not None and _gpus(slurm) > 0 and slurm.get("gpus_per_rep", _gpus(slurm)) != _gpus(slurm)

    @staticmethod
    def get_gpu_str(queue_idx: int, gpus_per_rep: float) -> str:
        """The GPUs of a place, by their numbers: ``"2,3"`` of place 1 with 2 for each."""
        first = int(queue_idx * gpus_per_rep + 1e-6)
        return ",".join(str(first + gpu) for gpu in range(max(int(gpus_per_rep), 1)))

    @classmethod
    def _use(cls, place: int, gpus_per_rep: float) -> None:
        """Lets this process, and what it starts, see the GPUs of a place only."""
        gpus = cls.get_gpu_str(place, gpus_per_rep)
        # The job may have been given others than the first ones.
        visible = [gpu for gpu in _OUTER_GPUS.split(",") if gpu]
        if visible:
            gpus = ",".join(visible[int(gpu)] for gpu in gpus.split(",") if int(gpu) < len(visible))
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus


class MPGPUDistributingLocalScheduler(GPUDistributingLocalScheduler):
    """Gives every repetition GPUs of its own."""

    def run(self, overwrite: bool = False) -> None:
        """Runs them."""
        _in_processes(self.joblist, self._queue_elements, self._execute_task, (self._gpus_per_rep, overwrite))

    @staticmethod
    def _execute_task(j: Job, c: dict[str, Any], q: Any, gpus_per_rep: float, overwrite: bool = False) -> None:
        with _Place(q) as place:
            MPGPUDistributingLocalScheduler._use(place, gpus_per_rep)
            j.run_task(c, overwrite)


class HOREKAAffinityGPUDistributingLocalScheduler(GPUDistributingLocalScheduler):
    """Gives every repetition GPUs and CPUs of its own."""

    def __init__(self, conf: Config | None = None) -> None:
        super().__init__(conf)
        self._cpus_per_rep = _share(_cpus(_slurm(conf)), self._queue_elements)

    def run(self, overwrite: bool = False) -> None:
        """Runs them."""
        more = (self._gpus_per_rep, self._cpus_per_rep, overwrite)
        _in_processes(self.joblist, self._queue_elements, self._execute_task, more)

    @staticmethod
    def _execute_task(
        j: Job, c: dict[str, Any], q: Any, gpus_per_rep: float, cpus_per_rep: int, overwrite: bool = False
    ) -> None:
        with _Place(q) as place:
            c[KEYS.i_CPU_CORES] = _bind(place, cpus_per_rep)
            HOREKAAffinityGPUDistributingLocalScheduler._use(place, gpus_per_rep)
            j.run_task(c, overwrite)


class KlusterThreadLimitingScheduler(GPUDistributingLocalScheduler):
    """Gives every repetition GPUs of its own, and tells it how many threads to start."""

    def __init__(self, conf: Config | None = None) -> None:
        super().__init__(conf)
        self._num_threads = _share(_cpus(_slurm(conf)), self._queue_elements)

    def run(self, overwrite: bool = False) -> None:
        """Runs them."""
        more = (self._gpus_per_rep, self._num_threads, overwrite)
        _in_processes(self.joblist, self._queue_elements, self._execute_task, more)

    @staticmethod
    def _execute_task(
        j: Job, c: dict[str, Any], q: Any, gpus_per_rep: float, num_threads: int, overwrite: bool = False
    ) -> None:
        with _Place(q) as place:
            for name in ("MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS"):
                os.environ[name] = str(num_threads)
            KlusterThreadLimitingScheduler._use(place, gpus_per_rep)
            j.run_task(c, overwrite)


class SlurmScheduler(AbstractScheduler):
    """Stands for Slurm: ``cw.run(sch=SlurmScheduler())`` submits, as ``-s`` does."""

    def run(self, overwrite: bool = False) -> None:
        """Cannot be called: the engine submits.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("submit with `-s`, or by `cw.run(sch=SlurmScheduler())`")


def get_gpu_scheduler_cls(scheduler: str) -> type[GPUDistributingLocalScheduler]:
    """The class of that name in the key ``scheduler``: ``mp``, ``horeka`` or ``kluster``.

    Raises:
        NotImplementedError: for any other.
    """
    classes: dict[str, type[GPUDistributingLocalScheduler]] = {
        "mp": MPGPUDistributingLocalScheduler,
        "horeka": HOREKAAffinityGPUDistributingLocalScheduler,
        "kluster": KlusterThreadLimitingScheduler,
    }
    if scheduler not in classes:
        raise NotImplementedError(f"there is no GPU scheduler `{scheduler}`, only {', '.join(classes)}")
    return classes[scheduler]


#: For these the engine's own does what they say.
BUILT_IN = (
    LocalScheduler,
    CpuDistributingLocalScheduler,
    MPGPUDistributingLocalScheduler,
    HOREKAAffinityGPUDistributingLocalScheduler,
    KlusterThreadLimitingScheduler,
)

#: What this process was given itself, before any place narrowed it.
_OUTER_GPUS = os.environ.get("CUDA_VISIBLE_DEVICES", "")


class _Place:
    """One of the numbered places in a queue, while it is taken."""

    def __init__(self, places: Any) -> None:
        self.places = places

    def __enter__(self) -> int:
        self.place = int(self.places.get())
        return self.place

    def __exit__(self, *_: Any) -> None:
        self.places.put(self.place)


def _in_processes(jobs: Sequence[Job], places: int, execute: Callable[..., None], more: tuple[Any, ...]) -> None:
    """Runs all tasks in as many processes as there are places: environment and affinity are a process's own."""
    with multiprocessing.Manager() as manager, concurrent.futures.ProcessPoolExecutor(places) as pool:
        free: queue.Queue[int] = manager.Queue()
        for place in range(places):
            free.put(place)
        _wait([pool.submit(execute, job, task, free, *more) for job in jobs for task in job.tasks])


def _wait(futures: Sequence[concurrent.futures.Future[None]]) -> None:
    """Waits for all, then raises the first error: one that fails keeps none of the others from running."""
    concurrent.futures.wait(futures)
    for future in futures:
        future.result()


def _bind(place: int, count: int) -> set[int]:
    """Binds this process to a place's share of the CPUs it was given, which need not be the first ones."""
    global _outer_cpus
    if _outer_cpus is None:
        _outer_cpus = sorted(os.sched_getaffinity(0))
    cpus = set(_outer_cpus[place * count : (place + 1) * count]) or set(_outer_cpus)
    os.sched_setaffinity(0, cpus)
    return cpus


_outer_cpus: list[int] | None = None


def _slurm(conf: Config | None) -> dict[str, Any]:
    if conf is None or conf.slurm_config is None:
        raise ValueError("this scheduler needs a configuration with a SLURM document")
    return conf.slurm_config


def _gpus(slurm: dict[str, Any]) -> int:
    """How many GPUs a job requests: ``gres: gpu:4`` or ``gpu:a100:4``."""
    last = str((slurm.get("sbatch_args") or {}).get("gres", "")).rsplit(":", 1)[-1]
    return int(last) if last.isdigit() else 0


def _cpus(slurm: dict[str, Any]) -> int:
    return int(slurm.get("cpus-per-task", 1)) * int(slurm.get("ntasks", 1))


def _whole(slurm: dict[str, Any], key: str) -> int:
    value = slurm.get(key)
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"`{key}` of the SLURM document is `{value}`, not a whole number of at least 1")
    return value


def _places(total: float, each: float, of: str) -> int:
    places = int(total / each + 1e-6)
    if places < 1:
        raise ValueError(f"a repetition is to have {each} {of}, and the job has {total}")
    return places


def _share(cpus: int, places: int) -> int:
    if cpus < places:
        raise ValueError(f"{cpus} CPUs are not enough for {places} repetitions at a time")
    return cpus // places
