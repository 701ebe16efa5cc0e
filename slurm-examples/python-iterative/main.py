"""Fits a polynomial to noisy points, iteration by iteration, and goes on where it was after an interruption."""

import random

import cw2
from cw2 import cluster_work, cw_error, experiment
from cw2.cw_data import cw_logging


class Fit(experiment.AbstractIterativeExperiment):
    def initialize(self, cw_config, rep, logger):
        self.params = cw_config["params"]
        rng = random.Random(rep)
        xs = [i / 50 - 1 for i in range(101)]
        self.points = [(x, 1 - 2 * x + 3 * x**3 + rng.gauss(0, self.params["noise"])) for x in xs]
        # What an interrupted attempt saved; `iterate` then goes on with the iteration after it.
        self.weights = cw2.rep.resume([0.0] * (self.params["degree"] + 1))
        self.loss = float("inf")

    def iterate(self, cw_config, rep, n):
        gradient = [0.0] * len(self.weights)
        loss = 0.0
        for x, y in self.points:
            error = sum(w * x**i for i, w in enumerate(self.weights)) - y
            loss += error**2 / len(self.points)
            for i in range(len(gradient)):
                gradient[i] += 2 * error * x**i / len(self.points)
        self.weights = [w - self.params["lr"] * g for w, g in zip(self.weights, gradient)]
        before, self.loss = self.loss, loss
        if before - loss < self.params["tolerance"]:
            # This iteration's result, and what `finalize` is handed.
            raise cw_error.ExperimentSurrender({"loss": loss, "reason": "converged"})
        return {"loss": loss}

    def save_state(self, cw_config, rep, n):
        if n % 50 == 49 or cw2.rep.stopping:
            cw2.rep.checkpoint(self.weights)

    def finalize(self, surrender=None, crash=False):
        if not crash:
            word = "converged" if surrender else "all iterations"
            print(f"{word}: {' '.join(f'{w:.2f}' for w in self.weights)} with loss {self.loss:.4f}")


class Table(cw_logging.AbstractLogger):
    """A logger of one's own: the loss of every hundredth iteration, as CSV."""

    def initialize(self, config, rep, rep_log_path):
        self.file = open(f"{rep_log_path}/loss.csv", "a")

    def process(self, data):
        if data["iter"] % 100 == 0:
            print(data["iter"], data["loss"], sep=",", file=self.file, flush=True)

    def finalize(self):
        self.file.close()

    def load(self):
        return None


if __name__ == "__main__":
    cw = cluster_work.ClusterWork(Fit)
    cw.add_logger(Table())
    cw.run()
