"""Fits random cosine features to a noisy function by gradient descent. A plain program: it takes flags and knows no cw2."""

import argparse
import json
import math
import os
import random


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--net.width", type=int, required=True, dest="width")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="weights.json")
    args = parser.parse_args()

    rng = random.Random(args.seed)
    features = [(rng.gauss(0, 2), rng.uniform(0, math.tau)) for _ in range(args.width)]
    xs = [i / 20 for i in range(-20, 21)]
    data = [([math.cos(a * x + b) for a, b in features], math.sin(3 * x) + rng.gauss(0, 0.05)) for x in xs]
    weights = [0.0] * args.width

    # One JSON line a point: what cw2 collects. Without cw2 they go nowhere.
    metrics = open(os.environ.get("CW2_METRICS", os.devnull), "a", encoding="utf-8")
    loss = math.nan
    for step in range(args.steps):
        errors = [sum(w * f for w, f in zip(weights, row)) - y for row, y in data]
        loss = sum(e * e for e in errors) / len(errors)
        for i in range(args.width):
            gradient = 2 * sum(e * row[i] for e, (row, _) in zip(errors, data)) / len(errors)
            weights[i] -= args.lr * gradient
        if step % 50 == 0 or step == args.steps - 1:
            print(json.dumps({"step": step, "loss": round(loss, 6)}), file=metrics, flush=True)

    with open(args.out, "w", encoding="utf-8") as out:
        json.dump(weights, out)
    print(f"lr={args.lr} width={args.width} steps={args.steps} loss={loss:.4f}")


if __name__ == "__main__":
    main()
