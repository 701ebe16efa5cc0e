"""The seam between the package and the engine, the binary ``cw2``.

Owns how the binary is found and called, and what goes over. It must not know experiments, loggers or the command line of the
original: what runs a repetition is handed in as a callable. Standard library only.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

Config = Dict[str, Any]


class EngineError(Exception):
    """The engine could not do what was asked.

    Attributes:
        code: its exit code: 2 for a usage or configuration error, 3 for an environment failure.
        said: whether it printed what is wrong itself.
        kind: ``"missing"`` (no such file), ``"experiment"`` (no such experiment) or empty.
    """

    def __init__(self, message: str, code: int = 3, said: bool = False, kind: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.said = said
        self.kind = kind


class Outcome(NamedTuple):
    """How a repetition ended, as the runner tells it."""

    #: ``"completed"``, ``"surrendered"``, ``"crashed"`` or ``"interrupted"``.
    kind: str
    #: What failed: ``"initialize"``, ``"run"`` or ``"finalize"``.
    phase: str = ""
    #: One line, such as ``ValueError: bad``.
    message: str = ""
    #: The whole traceback.
    traceback: str = ""
    #: What a surrender carries.
    payload: Any = None


#: Runs one repetition's whole life in the current process, and never raises.
Runner = Callable[[Config, int], Outcome]


class Role(NamedTuple):
    """What this process is."""

    #: ``"user"``, ``"serve"``, ``"rep"`` or ``"job"``.
    kind: str


class Options(NamedTuple):
    """What the command line asks of a run or a submission."""

    overwrite: bool = False
    job: Optional[int] = None
    jobs: int = 1
    echo: bool = True
    root: str = ""
    nocodecopy: bool = False
    zip: bool = False
    multicopy: bool = False
    skipsizecheck: bool = False


class Expansion:
    """A configuration, expanded: one dict a repetition, in the order of the original."""

    configs: List[Config]
    slurm: Optional[Config]


class Task(NamedTuple):
    """A repetition of a plan, for a scheduler of one's own; it can be pickled."""

    #: The plan's folder.
    plan: str
    #: The job's number in the plan.
    job: int
    #: The place of the repetition in its job.
    index: int
    #: The place of its dict among the configs handed to `plan`.
    config: int


def find_binary() -> str:
    """The path of the engine.

    Raises:
        EngineError: where it is not found.
    """
    raise NotImplementedError


def role() -> Role:
    """What this process is: the user's own, or one that a worker started."""
    raise NotImplementedError


def expand(
    config_path: str,
    selections: Optional[Sequence[str]] = None,
    debug: bool = False,
    debug_all: bool = False,
    prefix: str = "",
) -> Expansion:
    """Reads a configuration: every repetition as one dict; in a job, those of the job as they were frozen.

    Raises:
        EngineError: what is wrong with it; said on standard error.
    """
    raise NotImplementedError


def run(expansion: Expansion, configs: List[Config], runner: Runner, *, options: Options = Options()) -> int:
    """Plans and runs everything here, and returns the exit code; in a process of a worker it never returns."""
    raise NotImplementedError


def submit(expansion: Expansion, configs: List[Config], *, options: Options = Options()) -> int:
    """Plans and hands all jobs to Slurm; returns the exit code."""
    raise NotImplementedError


def plan(
    expansion: Expansion, configs: List[Config], *, options: Options = Options(), scheduler: bool = True
) -> List[List[Task]]:
    """Plans for a scheduler of one's own: the tasks of each job. In a job, that job alone, as planned."""
    raise NotImplementedError


def run_task(task: Task, config: Config, runner: Runner, *, overwrite: bool = False) -> int:
    """Runs one repetition with the environment and the affinity of the caller, from any thread or process.

    Returns:
        The exit code: 0 where it is finished, 1 where it crashed or timed out, 75 where it was interrupted.
    """
    raise NotImplementedError


def call(args: Sequence[str]) -> int:
    """Calls a command of the engine with this terminal; returns its exit code."""
    raise NotImplementedError


