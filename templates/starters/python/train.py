"""Fits a line to noisy points by gradient descent: replace it by your program."""

import argparse
import json
import os
import random


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng = random.Random(args.seed)
    points = [(x / 10, 2 * x / 10 + 1 + rng.gauss(0, 0.1)) for x in range(-10, 11)]
    slope, offset, loss = 0.0, 0.0, 0.0

    # What cw2 collects: a line of JSON for each step. Without cw2 it goes nowhere.
    with open(os.environ.get("CW2_METRICS", os.devnull), "a", encoding="utf-8") as metrics:
        for step in range(args.steps):
            errors = [(x, slope * x + offset - y) for x, y in points]
            loss = sum(error**2 for _, error in errors) / len(errors)
            slope -= args.lr * 2 * sum(error * x for x, error in errors) / len(errors)
            offset -= args.lr * 2 * sum(error for _, error in errors) / len(errors)
            if step % 10 == 0 or step == args.steps - 1:
                print(json.dumps({"step": step, "loss": loss}), file=metrics, flush=True)
    print(f"lr={args.lr} slope={slope:.3f} offset={offset:.3f} loss={loss:.5f}")


if __name__ == "__main__":
    main()
