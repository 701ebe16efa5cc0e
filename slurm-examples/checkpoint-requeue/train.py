"""A training loop that is longer than its job: it saves its state when told to, and goes on where it was."""

import argparse
import json
import os
import signal
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--seconds-per-step", type=float, required=True)
args = parser.parse_args()

checkpoint = os.path.join(os.environ["CW2_REP_DIR"], "checkpoint.json")
stop = False


def on_signal(_signal, _frame):
    # Only noted here: the state is saved between two steps, when it is whole.
    global stop
    stop = True


for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, on_signal)

state = {"step": 0, "loss": 1.0}
if os.environ["CW2_RESUME"] == "1" and os.path.exists(checkpoint):
    with open(checkpoint) as file:
        state = json.load(file)
print(f"start at step {state['step']}", flush=True)

while state["step"] < args.steps:
    time.sleep(args.seconds_per_step)
    state = {"step": state["step"] + 1, "loss": state["loss"] * 0.95}
    if stop:
        # Written beside and renamed: a checkpoint is whole, or the one before.
        with open(checkpoint + ".new", "w") as file:
            json.dump(state, file)
        os.replace(checkpoint + ".new", checkpoint)
        print(f"checkpoint at step {state['step']}", flush=True)
        sys.exit(0)

print(f"done after {state['step']} steps, loss {state['loss']:.4f}", flush=True)
