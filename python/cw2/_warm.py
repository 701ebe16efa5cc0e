"""A warm process: it has imported all there is to import, and each repetition is a copy of it.

It serves a worker at the other end of a socket (``SOCK_SEQPACKET``). A request is JSON with the descriptors of the repetition's
logs; the copy is made by two forks, so that it becomes the child of the worker, which adopts orphans, and is waited for,
limited, signalled and ended like any command. A copy does nothing of its own before the worker, which
knows it then, lets it in: the last descriptor of a request is a gate. The end of the socket ends the warm process.

The engine carries a copy of this file for scripts whose environment has no such package. Standard library only, Python 3.9 and
later, nothing imported from beside it.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import sys
import warnings
from typing import Any, Callable

#: A repetition that was run to its end, whatever that is, exits with this: anything else, 0 too, came of something else.
DONE = 97
#: One that was told to stop, and did: as a shell tells it of SIGINT.
STOPPED = 130

#: How long the canary may take.
_CANARY_SECONDS = 30

#: What tells libraries how many threads to start.
_THREADS = "OMP_NUM_THREADS"

Request = dict[str, Any]
Run = Callable[[Request], int]


def take_socket() -> socket.socket:
    """The socket that this process was given as its standard input, which is nothing from now on."""
    sock = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return sock


def initial_environment() -> dict[str, str]:
    """The environment that this process was started with."""
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = (entry.partition(b"=") for entry in file.read().split(b"\0") if entry)
            return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    except OSError:
        return dict(os.environ)


def serve(sock: socket.socket, run: Run, initial: dict[str, str]) -> None:
    """Answers requests until the worker is gone; never returns.

    Args:
        sock: the worker.
        run: what a copy does with its request; returns its exit code, and never raises.
        initial: the environment before this process changed it: what it changed stays as it is.
    """
    try:
        _serve(sock, run, initial)
    except BaseException as error:  # Nothing may get back into the user's program.
        _tell(sock, {"cold": f"the warm process failed: {_one_line(error)}"})
        _leave(1)
    _leave(0)


def _serve(sock: socket.socket, run: Run, initial: dict[str, str]) -> None:
    warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    why = _canary(sock)
    if why is not None:
        _tell(sock, {"cold": why})
        return
    gc.collect()
    gc.freeze()
    _tell(sock, {"ready": os.getpid()})
    while True:
        message, descriptors, _, _ = socket.recv_fds(sock, 1 << 20, 8)
        if not message:
            return
        request = json.loads(message)
        try:
            pid = _copy(sock, run, request, descriptors, initial)
            _tell(sock, {"started": request["start"], "pid": pid})
        except OSError as error:
            _tell(sock, {"failed": request["start"], "why": _one_line(error)})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _tell(sock: socket.socket, answer: dict[str, Any]) -> None:
    try:
        sock.send(json.dumps(answer).encode())
    except OSError:
        pass  # The worker is gone, which ends the loop.


def _copy(sock: socket.socket, run: Run, request: Request, descriptors: list[int], initial: dict[str, str]) -> int:
    """Makes the copy for a request, and returns its process number once the worker is its parent."""
    _flush()
    told, tell = os.pipe()
    between = os.fork()
    if between == 0:
        # Whatever happens here, the loop above must not go on in a second process.
        try:
            pid = os.fork()
            if pid == 0:
                _be_copy(sock, run, request, descriptors, initial, (told, tell))
            try:
                os.setpgid(pid, pid)
            except OSError:
                pass  # It did so itself, or has ended.
            os.write(tell, str(pid).encode())
        except OSError as error:
            os.write(tell, f"!{_one_line(error)}".encode())
        finally:
            os._exit(0)
    os.close(tell)
    with open(told, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(between, 0)
    if not text or text.startswith("!"):
        raise OSError(text[1:] or "it ended while it forked")
    return int(text)


def _be_copy(
    sock: socket.socket,
    run: Run,
    request: Request,
    descriptors: list[int],
    initial: dict[str, str],
    pipe: tuple[int, int],
) -> None:
    """Becomes the process of a repetition; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        sock.close()
        for descriptor in pipe:
            os.close(descriptor)
        *files, gate = descriptors
        # Nothing comes where the worker gave this copy up, or is gone: another one may be at the repetition by now.
        if not os.read(gate, 1):
            os._exit(1)
        os.close(gate)
        _take_descriptors(files)
        _clean(request, initial)
        code = run(request)
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException:
        _print_exception()
    finally:
        finish(code)


def finish(code: int) -> None:
    """Ends this process as an interpreter ends: threads, exit functions, buffers; never returns."""
    try:
        import threading

        threading._shutdown()  # type: ignore[attr-defined]
    except BaseException:
        _print_exception()
        code = code if code not in (0, DONE) else 1
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass  # It was printed; a process ends as it would have.
    _leave(code)


def _leave(code: int) -> None:
    _flush()
    os._exit(code)


def _take_descriptors(descriptors: list[int]) -> None:
    """Makes its own what the request came with: standard output and error, and input where there is one."""
    out, err = descriptors[0], descriptors[1]
    if len(descriptors) > 2:
        os.dup2(descriptors[2], 0)
    else:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in descriptors:
        os.close(descriptor)


def _clean(request: Request, initial: dict[str, str]) -> None:
    """Forgets what belongs to the process this is a copy of, and takes on what the request says."""
    _default_signals()
    _forget_exits()
    cpus = request.get("cpus")
    if cpus:
        os.sched_setaffinity(0, cpus)
    set_environment(dict(request.get("env", [])), initial)
    if request.get("dir"):
        os.chdir(request["dir"])
    buffer_lines()
    _limit_threads()
    _reseed()


def set_environment(wanted: dict[str, str], initial: dict[str, str]) -> None:
    """Sets variables, except those that the program changed itself after it was started."""
    for name, value in wanted.items():
        if os.environ.get(name) == initial.get(name):
            os.environ[name] = value
    added = [path for path in wanted.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    sys.path[1:1] = added


def _default_signals() -> None:
    for number in signal.valid_signals():
        try:
            if number == signal.SIGINT:
                signal.signal(number, signal.default_int_handler)
            elif number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_IGN)
            elif signal.getsignal(number) is not signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError, TypeError):
            pass  # SIGKILL, SIGSTOP and what the C library keeps for itself.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _forget_exits() -> None:
    """Leaves alone at the end what the other process made; what is made from here on is cleaned up."""
    atexit._clear()
    modules = sys.modules
    if "weakref" in modules:
        finalize = modules["weakref"].finalize
        finalize._registry.clear()
        finalize._registered_with_atexit = False
    if "logging" in modules:
        atexit.register(modules["logging"].shutdown)
    # Threads of pools, none of which is in this process.
    for name, threads in (("thread", "_threads_queues"), ("process", "_threads_wakeups")):
        known = getattr(modules.get(f"concurrent.futures.{name}"), threads, None)
        if known is not None:
            known.clear()
    if "multiprocessing.process" in modules:
        modules["multiprocessing.process"]._children = set()  # type: ignore[attr-defined]
    util = modules.get("multiprocessing.util")
    if util is not None:
        util._finalizer_registry.clear()
        util._run_after_forkers()
        atexit.register(util._exit_function)


def buffer_lines() -> None:
    """Lets every line appear in the log as it is printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        except (AttributeError, ValueError, OSError):
            pass  # The program replaced it.


def _limit_threads() -> None:
    torch = sys.modules.get("torch")
    threads = os.environ.get(_THREADS, "")
    if torch is not None and threads.isdigit() and int(threads) > 0:
        try:
            torch.set_num_threads(int(threads))
        except Exception:
            pass  # It is still being imported, or is something else of that name.


def _reseed() -> None:
    """Gives each copy random numbers of its own, as a process of its own would have; a seed that was set stays."""
    numpy = sys.modules.get("numpy.random")
    try:
        generator = numpy.mtrand._rand._bit_generator  # type: ignore[union-attr]
        # None once it was seeded.
        if generator._seed_seq is not None:
            numpy.seed()  # type: ignore[union-attr]
    except AttributeError:
        pass
    torch = sys.modules.get("torch")
    try:
        # 53 random bits where nobody chose a seed.
        if torch is not None and torch.initial_seed() >= 1 << 40:
            torch.seed()
    except Exception:
        pass


def _canary(sock: socket.socket) -> str | None:
    """Whether copies of this process work: tried with one. Returns why they do not."""
    _flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            sock.close()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_CANARY_SECONDS)
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            code = _sing()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return None
    if code == -signal.SIGALRM:
        return f"a copy of the program hung for {_CANARY_SECONDS} s: threads that were used before `run` do not survive a fork"
    if code == 10:
        return "the program started CUDA before `run`, and a copy cannot use it then"
    return f"a copy of the program did not work (it ended with {code})"


def _sing() -> int:
    modules = sys.modules
    numpy = modules.get("numpy")
    if numpy is not None and hasattr(numpy, "ones"):
        numpy.ones((64, 64)) @ numpy.ones((64, 64))
    torch = modules.get("torch")
    if torch is not None and hasattr(torch, "ones"):
        if torch.get_num_threads() < 2:
            torch.set_num_threads(2)
        torch.ones(1 << 20).sum()
        (torch.ones(256, 256) @ torch.ones(256, 256)).sum()
    if _maps("libcuda.so"):
        import ctypes

        # 3 is CUDA_ERROR_NOT_INITIALIZED, which a copy of a process gets that had started it.
        if ctypes.CDLL("libcuda.so.1").cuInit(0) == 3:
            return 10
    return 0


def _maps(library: str) -> bool:
    try:
        with open("/proc/self/maps", errors="replace") as maps:
            return any(library in line for line in maps)
    except OSError:
        return False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # Closed, or its disk is full: not this one's matter.


def _print_exception() -> None:
    import traceback

    try:
        traceback.print_exc()
    except Exception:
        pass


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")


def _exit_code(error: SystemExit) -> int:
    """What an interpreter makes of it."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def run_script(request: Request) -> int:
    """Runs a script, or a module, as the interpreter would that is called with these words."""
    import runpy

    words = request["argv"]
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path[0] = os.path.dirname(os.path.realpath(words[0]))
        runpy.run_path(words[0], run_name="__main__")
    return 0


def main(modules: list[str]) -> None:
    """A warm process for scripts: imports modules, and serves the worker at its standard input."""
    import importlib

    initial = initial_environment()
    sock = take_socket()
    try:
        for name in modules:
            importlib.import_module(name)
    except BaseException as error:
        _tell(sock, {"cold": f"`import {name}` fails: {_one_line(error)}"})
        _leave(1)
    serve(sock, run_script, initial)


if __name__ == "__main__":
    main(sys.argv[1:])
