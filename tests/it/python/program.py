"""A program whose class does what its parameters say; the runner stands for the package's own."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback

from cw2 import _engine

with open("imports", "a") as imports:
    imports.write(f"{_engine.role().kind}\n")


def fail_before_fork_is_safe():
    """As a library that was used before the fork, and does not survive it."""

    class Torch:
        @staticmethod
        def get_num_threads():
            return 2

        @staticmethod
        def ones(*_):
            raise RuntimeError("used before")

    sys.modules["torch"] = Torch


if os.path.exists("unsafe"):
    fail_before_fork_is_safe()
if os.path.exists("broken") and _engine.role().kind == "serve":
    raise ImportError("no such luck")


def act(how, config):
    if how == "raise":
        raise ValueError("bad luck\nin two lines")
    if how == "exit0":
        sys.exit(0)
    if how == "os0":
        os._exit(0)
    if how == "os3":
        os._exit(3)
    if how == "segv":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "abort":
        os.abort()
    if how == "hang":
        time.sleep(1000)
    if how == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    if how == "nap":
        time.sleep(1)
    if how == "child":
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        with open(os.path.join(os.environ["CW2_REP_DIR"], "child"), "w") as file:
            file.write(str(child.pid))
    if how == "wait":
        while not os.path.exists("go"):
            time.sleep(0.01)


class Runner:
    def __call__(self, config, rep):
        params = config.get("params", {})
        here = os.environ["CW2_REP_DIR"]
        with open(os.path.join(here, "started"), "a") as started:
            started.write(f"{os.getpid()} {os.environ['CW2_ATTEMPT']} {os.environ['CW2_RESUME']}\n")
        print("out", rep, config.get("mark"), params, flush=True)
        assert os.path.samefile(config["_rep_log_path"], here), config["_rep_log_path"]
        assert os.path.samefile(os.path.dirname(config["_rep_log_path"]), config["log_path"]), config["log_path"]
        told = []
        if params.get("checkpoint"):
            signal.signal(signal.SIGUSR2, lambda *_: told.append(1))
        try:
            if params.get("checkpoint"):
                while not told:
                    time.sleep(0.01)
                with open(os.path.join(here, "saved"), "w"):
                    pass
                return _engine.Outcome("interrupted", "run", "told to stop")
            act(params.get("how"), config)
            if params.get("how") == "surrender":
                return _engine.Outcome("surrendered", payload={"why": (1, "two")})
            if params.get("how") == "finalize":
                return _engine.Outcome("crashed", "finalize", "KeyError: 'x'", "Traceback of finalize")
        except BaseException as error:
            text = traceback.format_exc()
            sys.stderr.write(text)
            return _engine.Outcome("crashed", "run", f"{type(error).__name__}: {error}".splitlines()[0], text)
        return _engine.Outcome("completed")

    def finalize(self, config, rep):
        with open(os.path.join(os.environ["CW2_REP_DIR"], "finalized"), "a") as file:
            file.write(os.environ["CW2_OUTCOME"] + "\n")


def hand_out(task):
    task, config, place = task
    os.environ["CUDA_VISIBLE_DEVICES"] = str(place)
    return _engine.run_task(task, config, Runner())


def main():
    expansion = _engine.expand(sys.argv[1], debug="--debug" in sys.argv)
    configs = expansion.configs
    for config in configs:
        if "--mark" in sys.argv:
            config["mark"] = {1: (_engine.role().kind, len(configs))}
        if "--seed" in sys.argv:
            config.setdefault("params", {})["seed"] = config["_rep_idx"]
        if "--place" in sys.argv:
            for key in ("log_path", "_rep_log_path"):
                config[key] = config[key].replace("log", "log_elsewhere")
        if "--outside" in sys.argv:
            config.update(log_path="elsewhere", _rep_log_path=f"elsewhere/{config['_rep_idx']}")
        if "--object" in sys.argv:
            config["object"] = lambda: None
    if "--only-last" in sys.argv:
        del configs[:-1]
    if "--plan" in sys.argv and _engine.role().kind == "user":
        _engine.plan(expansion, configs, scheduler="--scheduler" in sys.argv)
        return 0
    if "--scheduler" in sys.argv or _engine.role().kind == "job":
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        jobs = _engine.plan(expansion, configs)
        tasks = [(task, configs[task.config], place) for job in jobs for place, task in enumerate(job)]
        pool = ThreadPoolExecutor if os.path.exists("threads") else ProcessPoolExecutor
        with pool(2) as workers:
            return max(workers.map(hand_out, tasks))
    return _engine.run(expansion, configs, Runner())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except _engine.EngineError as error:
        if not error.said:
            print(f"error: {error}", file=sys.stderr)
        sys.exit(error.code)
