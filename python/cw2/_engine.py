"""The seam between the package and the engine, the binary ``cw2``.

Owns how the binary is found and called, and what goes over. It must not know experiments, loggers or the command line of the
original: what runs a repetition is handed in as a callable. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple, NoReturn

from . import _typed, _warm

Config = dict[str, Any]

#: Tells a process that a worker started what it is: JSON.
_ROLE = "CW2_PYTHON"
#: The environment as it was before the program could change it.
_INITIAL = _warm.initial_environment()
# With this torch asks for GPUs without starting CUDA, which no copy of the process could use then.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")


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
    #: The plan's folder; empty for ``"user"``.
    plan: str = ""
    #: The number of the job in it.
    job: int = 0
    #: For ``"rep"``: the place of the repetition in its job.
    index: int = 0  # type: ignore[assignment]  # not the method of a tuple
    #: For ``"rep"``: ``"run"`` or ``"finalize"``.
    phase: str = "run"
    #: For ``"rep"``: where it runs.
    dir: str = ""
    #: For ``"rep"``: the repetition's directory.
    rep_dir: str = ""


class Options(NamedTuple):
    """What the command line asks of a run or a submission."""

    overwrite: bool = False
    job: int | None = None
    jobs: int = 1
    echo: bool = True
    root: str = ""
    nocodecopy: bool = False
    zip: bool = False
    multicopy: bool = False
    skipsizecheck: bool = False


_DEFAULT = Options()


class Task(NamedTuple):
    """A repetition of a plan, for a scheduler of one's own; it can be pickled."""

    #: The plan's folder.
    plan: str
    #: The job's number in the plan.
    job: int
    #: The place of the repetition in its job.
    index: int  # type: ignore[assignment]  # not the method of a tuple
    #: The place of its dict among the configs handed to `plan`.
    config: int


class _Place(NamedTuple):
    """A repetition among what was expanded."""

    run: int
    rep: int


class Expansion:
    """A configuration, expanded: one dict a repetition, in the order of the original."""

    def __init__(self, request: dict[str, Any], head: dict[str, Any]) -> None:
        self.configs: list[Config] = []
        self.slurm: Config | None = _typed.decode(head.get("slurm"))
        self._request = request
        self._digest = head.get("digest", "")
        # Whether it was expanded before, and written.
        self._written = bool(head.get("written"))
        self._places: list[_Place] = []
        # As it was given out, to be compared with what the program makes of it.
        self._texts: list[str] = []

    def _add(self, line: dict[str, Any]) -> None:
        first = line.get("rep")
        for rep in range(line["reps"]) if first is None else [first]:
            config = _typed.decode(line["config"])
            config.setdefault("_rep_idx", rep)
            config.setdefault("_rep_log_path", os.path.join(config["log_path"], f"rep_{rep:02d}"))
            self.configs.append(config)
            self._places.append(_Place(line["run"], rep))
            self._texts.append(_typed.dumps(config))


def find_binary() -> str:
    """The path of the engine.

    Raises:
        EngineError: where it is not found.
    """
    given = os.environ.get("CW2_BINARY")
    if given:
        return given
    folders = [sysconfig.get_path("scripts")]
    for scheme in (f"{os.name}_user", "posix_local"):
        try:
            folders.append(sysconfig.get_path("scripts", scheme=scheme))
        except KeyError:
            pass
    # An environment of `pip install --target` has it beside the package.
    folders.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin"))
    for folder in folders:
        path = os.path.join(folder, "cw2")
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    found = shutil.which("cw2")
    if found is None:
        raise EngineError(
            f"the engine of this package, `cw2`, is in none of {', '.join(folders)} and not on PATH; install the package again"
        )
    return found


def role() -> Role:
    """What this process is: the user's own, or one that a worker started."""
    text = os.environ.get(_ROLE)
    if not text:
        return Role("user")
    return Role(**json.loads(text))


def expand(
    config_path: str,
    selections: Sequence[str] | None = None,
    debug: bool = False,
    debug_all: bool = False,
    prefix: str = "",
) -> Expansion:
    """Reads a configuration: every repetition as one dict; in a job, those of the job as they were frozen.

    Raises:
        EngineError: what is wrong with it; said on standard error.
    """
    own = role()
    if own.kind == "user":
        words = ["expand", config_path]
        words += [word for flag, wanted in (("--debug", debug), ("--debugall", debug_all)) if wanted for word in [flag]]
        words += [word for name in selections or [] for word in ("--experiment", name)]
        words += ["--prefix", prefix] if prefix else []
    else:
        words = ["configs", "--plan", own.plan, "--job", str(own.job)]
        words += ["--index", str(own.index)] if own.kind == "rep" else []
    lines = _ask(words)
    head = json.loads(next(lines))
    request = {
        "config": config_path,
        "experiments": list(selections or []),
        "debug": debug,
        "debug_all": debug_all,
        "prefix": prefix or None,
    }
    expansion = Expansion(request, head)
    for line in lines:
        expansion._add(json.loads(line))
    return expansion


def run(expansion: Expansion, configs: list[Config], runner: Runner, *, options: Options = _DEFAULT) -> int:
    """Plans and runs everything here, and returns the exit code; in a process of a worker it never returns."""
    own = role()
    if own.kind == "serve":
        _warm.serve(_socket(), _copies(runner, None), _INITIAL)
    if own.kind == "rep":
        _be_repetition(own, expansion, runner)
    root = os.path.abspath(options.root or ".")
    live = {os.path.abspath(os.path.join(root, str(config.get("_rep_log_path")))): config for config in configs}
    words = ["run", "--jobs", str(options.jobs)]
    words += [] if options.echo else ["--no-echo"]
    terminal = expansion._request["debug"]
    words += ["--terminal"] if terminal else []
    with _handed_over(expansion, configs, options) as path:
        return _with_warm([*words, path], _copies(runner, live), root, own_group=not terminal)


def submit(expansion: Expansion, configs: list[Config], *, options: Options = _DEFAULT, scheduler: bool = False) -> int:
    """Plans and hands all jobs to Slurm; returns the exit code. In a job a `scheduler` of the program's own runs it."""
    flags = ("nocodecopy", "zip", "multicopy", "skipsizecheck")
    words = ["submit", *(f"--{flag}" for flag in flags if getattr(options, flag))]
    with _handed_over(expansion, configs, options, scheduler) as path:
        return call(["python", *words, path], root=options.root)


def plan(
    expansion: Expansion, configs: list[Config], *, options: Options = _DEFAULT, scheduler: bool = True
) -> list[list[Task]]:
    """Plans for a scheduler of one's own: the tasks of each job. In a job, that job alone, as planned."""
    own = role()
    if own.kind != "user":
        _stop_when_told()
        return [[Task(own.plan, own.job, index, index) for index in range(len(expansion.configs))]]
    root = os.path.abspath(options.root or ".")
    places = {
        os.path.abspath(os.path.join(root, str(config.get("_rep_log_path")))): index
        for index, config in enumerate(configs)
    }
    with _handed_over(expansion, configs, options, scheduler) as path:
        lines = [json.loads(line) for line in _ask(["plan", path], root=options.root)]
    jobs: list[list[Task]] = []
    for line in lines:
        tasks = [
            Task(line["plan"], line["job"], index, places[os.path.abspath(folder)])
            for index, folder in enumerate(line["dirs"])
        ]
        jobs.append(tasks)
    return jobs


def run_task(task: Task, config: Config, runner: Runner, *, overwrite: bool = False) -> int:
    """Runs one repetition with the environment and the affinity of the caller, from any thread or process.

    Returns:
        The exit code: 0 where it is finished, 1 where it crashed or timed out, 75 where it was interrupted.
    """
    del overwrite  # Decided when the plan was made: what is finished then is none of its tasks.
    if _STOPPING:
        return _INTERRUPTED
    words = ["task", "--plan", task.plan, "--job", str(task.job), "--index", str(task.index)]
    return _with_warm(words, _copies(runner, config), None, own_group=False)


#: The exit code of what was interrupted.
_INTERRUPTED = 75
#: In a job whose repetitions this process hands out: signals that asked it to stop.
_STOPPING: list[int] = []


def _stop_when_told() -> None:
    """Starts no further repetition once the job is told to stop; those under way are told by their workers."""

    def told(number: int, _frame: Any) -> None:
        _STOPPING.append(number)

    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, told)
    except ValueError:
        pass  # Not the main thread, which decides about signals itself.


def call(args: Sequence[str], root: str = "") -> int:
    """Calls a command of the engine with this terminal; returns its exit code."""
    _flush()
    return _wait_with_signals(subprocess.Popen([find_binary(), *args], cwd=root or None).pid, own_group=False)


# ---- what a program hands over ----


class _handed_over:
    """What a program hands over, in a file as long as the engine needs it."""

    def __init__(self, expansion: Expansion, configs: list[Config], options: Options, scheduler: bool = False) -> None:
        if expansion._written:
            raise EngineError(
                f"`{expansion._request['config']}` holds single repetitions, as `to_yaml` writes them: it can be loaded; "
                "to run them, give the configuration that they were made of",
                code=2,
            )
        root = os.path.abspath(options.root or ".")
        handed = {
            **expansion._request,
            "config": _below(expansion._request["config"], root),
            "overwrite": options.overwrite,
            "program": {**program(expansion._request, root), "scheduler": scheduler},
            "digest": expansion._digest,
            "changes": _changes(expansion, configs, options.job),
        }
        descriptor, self._path = tempfile.mkstemp(prefix="cw2-", suffix=".json")
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(handed, file, ensure_ascii=False)

    def __enter__(self) -> str:
        return self._path

    def __exit__(self, *_: object) -> None:
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass


def program(request: dict[str, Any], root: str) -> dict[str, Any]:
    """What a job calls to run this program: the interpreter with its options and the script, and what that is called with."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    words = [sys.executable, *subprocess._args_from_interpreter_flags()]  # type: ignore[attr-defined]
    if spec is not None and spec.name and spec.name != "__main__":
        name = spec.name[: -len(".__main__")] if spec.name.endswith(".__main__") else spec.name
        words += ["-m", name]
    elif file is not None:
        words.append(_below(sys.argv[0] if os.path.isfile(sys.argv[0]) else file, root))
    else:
        words = []
    args = [_below(request["config"], root)]
    args += ["-e", *request["experiments"]] if request["experiments"] else []
    args += ["--debug"] if request["debug"] else []
    args += ["--debugall"] if request["debug_all"] else []
    return {"program": words, "args": args}


def _below(path: str, root: str) -> str:
    """A path below a folder without that, so that a copy of the code is what runs; others as they are from anywhere."""
    relative = os.path.relpath(path, root)
    return os.path.abspath(path) if relative.split(os.sep)[0] == os.pardir else relative


def _changes(expansion: Expansion, configs: list[Config], job: int | None) -> dict[str, Any]:
    """What the program changed of what it was given."""
    where = {id(config): place for place, config in enumerate(expansion.configs)}
    paths: dict[str, int] = {}
    for known, text in enumerate(expansion._texts):
        paths[json.loads(text)["_rep_log_path"]] = known
    changed, seen, bundles = [], set(), {}
    for position, config in enumerate(configs):
        index = where.get(id(config))
        if index is None:
            index = paths.get(str(config.get("_rep_log_path")))
        if index is None and len(configs) == len(expansion.configs):
            index = position
        if index is None or index in seen:
            raise EngineError(
                f"entry {position} of `exp_configs` is none of the repetitions of the configuration; "
                "change or remove entries, but add none",
                code=2,
            )
        seen.add(index)
        name = str(config.get("name"))
        if name not in bundles:
            given = json.loads(expansion._texts[index])
            keys = [key for key in ("reps_per_job", "reps_in_parallel") if config.get(key) != given.get(key)]
            bundles[name] = {"experiment": name, **{key: config.get(key) for key in keys}}
        try:
            text = _typed.dumps(config)
        except _typed.CannotSend as error:
            raise EngineError(f"`exp_configs` cannot be frozen: {error}", code=2) from None
        if text != expansion._texts[index]:
            place = expansion._places[index]
            changed.append({"run": place.run, "rep": place.rep, "config": json.loads(text)})
    wanted = seen if job is None else _of_job(configs, where, job)
    dropped = [list(place) for index, place in enumerate(expansion._places) if index not in wanted]
    gone = {tuple(place) for place in dropped}
    return {
        "dropped": dropped,
        "changed": [change for change in changed if (change["run"], change["rep"]) not in gone],
        "bundles": [bundle for bundle in bundles.values() if len(bundle) > 1],
    }


def _of_job(configs: list[Config], where: dict[int, int], job: int) -> set[int]:
    """The places of one job, counted as the original counts them."""
    groups: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}
    for position, config in enumerate(configs):
        name = str(config.get("name"))
        groups.setdefault(name, []).append(where.get(id(config), position))
        sizes.setdefault(name, int(config.get("reps_per_job") or 1))
    jobs = [
        group[start : start + sizes[name]]
        for name, group in groups.items()
        for start in range(0, len(group), sizes[name])
    ]
    try:
        return set(jobs[job])
    except IndexError:
        raise EngineError(f"there is no job {job}: they are 0 to {len(jobs) - 1}", code=2) from None


# ---- the engine as a process ----


def _ask(words: Sequence[str], root: str = "") -> Any:
    """The lines that the engine answers with."""
    _flush()
    done = subprocess.run(
        [find_binary(), "python", *words], cwd=root or None, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        code = done.returncode if done.returncode in (2, 3) else 3
        path = words[1] if words[0] == "expand" else ""
        kind = "missing" if path and not os.path.exists(path) else ""
        raise EngineError(f"`cw2 {words[0]}` ended with {done.returncode}", code=code, said=True, kind=kind)
    # Not `splitlines`, which breaks at more than line feeds.
    return (line for line in done.stdout.decode("utf-8").split("\n") if line)


def _with_warm(words: list[str], copies: _warm.Run, root: str | None, own_group: bool) -> int:
    """Calls the engine with a copy of this process beside it, of which it makes the repetitions."""
    binary = find_binary()
    _flush()
    engine_end, warm_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    with warnings.catch_warnings():
        # Copies of a process with threads are tried before one is used: see the canary.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            warm = os.fork()
            if warm == 0:
                os.setpgid(0, 0)
                engine_end.close()
                _warm.serve(warm_end, copies, dict(os.environ))
            for group in (warm, 0) if own_group else (warm,):
                try:
                    os.setpgid(group, group)
                except OSError:
                    pass  # It did so itself, or has ended.
            if root is not None:
                os.chdir(root)
            os.dup2(engine_end.fileno(), 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            own = ["--warm", str(warm), "--parent", str(parent)]
            os.execv(binary, [binary, "python", words[0], *own, *words[1:]])
        except OSError as error:
            os.write(2, f"error: cannot start `{binary}`: {error}\n".encode())
        finally:
            os._exit(3)
    engine_end.close()
    warm_end.close()
    return _wait_with_signals(pid, own_group)


def _wait_with_signals(pid: int, own_group: bool) -> int:
    """Waits for the engine, and hands on what asks this process to end; in the same group it hears the keyboard itself."""
    handed: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before: list[tuple[int, Any]] = []

    def hand_on(number: int, _frame: Any) -> None:
        if number == signal.SIGINT and not own_group:
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    try:
        for number in handed:
            before.append((number, signal.signal(number, hand_on)))
    except ValueError:
        pass  # Not the main thread: whoever is asked to end is the process.
    try:
        _, status = os.waitpid(pid, 0)
    finally:
        for handed_on, handler in before:
            signal.signal(handed_on, handler if handler is not None else signal.SIG_DFL)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    print(
        f"error: cw2 was ended by {signal.Signals(-code).name}, and what it ran may run on: the same call ends that, and goes on",
        file=sys.stderr,
    )
    return 128 - code


_SOCKET: socket.socket | None = None
if role().kind == "serve":
    # At once, so that nothing reads from it that the worker says.
    _SOCKET = _warm.take_socket()


def _socket() -> socket.socket:
    if _SOCKET is None:
        raise EngineError("this process has no worker")
    return _SOCKET


# ---- one repetition ----


def _copies(runner: Runner, live: Any) -> _warm.Run:
    """What a copy of this process does with a request."""

    def run_one(request: _warm.Request) -> int:
        folder = os.path.abspath(request["rep_dir"])
        if isinstance(live, dict) and folder in live:
            config = live[folder]
        elif isinstance(live, dict) and "_rep_idx" in live:
            config = live
        else:
            config = _read_config(request["config"], request["rep"])
        return _live(runner, _placed(config, folder), request["rep"], request["phase"])

    return run_one


def _read_config(place: dict[str, Any], rep: int) -> Config:
    with open(place["file"], "rb") as file:
        file.seek(place["start"])
        text = file.read(place["length"]).decode("utf-8")
    config: Config = _typed.loads(text)
    config.setdefault("_rep_idx", rep)
    config.setdefault("_rep_log_path", os.path.join(config["log_path"], f"rep_{rep:02d}"))
    return config


def _placed(config: Config, rep_dir: str) -> Config:
    """The configuration with paths that lead there from the working directory, which need not be the one that they start in."""
    path = os.path.normpath(str(config["_rep_log_path"]))
    rep_dir = os.path.normpath(rep_dir)
    if os.path.abspath(path) == rep_dir:
        return config
    if rep_dir.endswith(os.sep + path):
        root = rep_dir[: -len(path)]
        for key in ("_basic_path", "path", "log_path"):
            if isinstance(config.get(key), str):
                config[key] = os.path.normpath(os.path.join(root, config[key]))
    config["_rep_log_path"] = rep_dir
    return config


def _be_repetition(own: Role, expansion: Expansion, runner: Runner) -> NoReturn:
    """A cold start: this process is the repetition."""
    _warm.buffer_lines()
    if own.dir:
        os.chdir(own.dir)
    config = _typed.loads(expansion._texts[0])
    config = _placed(config, own.rep_dir)
    _warm.finish(_live(runner, config, expansion._places[0].rep, own.phase))
    raise AssertionError


def _live(runner: Runner, config: Config, rep: int, phase: str) -> int:
    """One repetition to its end; returns the exit code that tells it."""
    if phase == "finalize":
        finalize = getattr(runner, "finalize", None)
        if finalize is not None:
            finalize(config, rep)
        return _warm.DONE
    try:
        outcome = runner(config, rep)
    except BaseException as error:
        text = traceback.format_exc()
        _warm._print_exception()
        outcome = Outcome("crashed", "run", _warm._one_line(error), text)
    if outcome.kind == "surrendered":
        with open(os.environ["CW2_SURRENDER"], "w", encoding="utf-8") as file:
            json.dump(outcome.payload, file, default=repr)
    if outcome.kind in ("completed", "surrendered"):
        return _warm.DONE
    _report(outcome)
    return _warm.STOPPED if outcome.kind == "interrupted" else 1


def _report(outcome: Outcome) -> None:
    """Leaves the worker what a crash was; without it the worker has what is in `err.log`."""
    path = os.environ["CW2_REPORT"]
    report = {"phase": outcome.phase, "message": outcome.message, "traceback": outcome.traceback}
    # What is half a character in Python is none in JSON.
    report = {key: text.encode("utf-8", "backslashreplace").decode("utf-8") for key, text in report.items()}
    try:
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(report, file)
        os.replace(path + ".new", path)
    except OSError as error:
        try:
            sys.stderr.write(f"cw2: cannot write {path}: {error}\n")
        except (OSError, ValueError):
            pass  # It is full or closed as well.


def _flush() -> None:
    _warm._flush()
