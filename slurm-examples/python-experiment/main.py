"""Estimates how often a dice game is won, by playing it: an experiment class, as a whole."""

import math
import os
import random

from cw2 import cluster_work, experiment
from cw2.cw_error import ExperimentSurrender


class DiceGame(experiment.AbstractExperiment):
    def initialize(self, cw_config, rep, logger):
        self.params = cw_config["params"]
        self.random = random.Random(f"{self.params} {rep}")
        # The repetition's own directory.
        self.summary = os.path.join(cw_config["_rep_log_path"], "summary.txt")
        self.games = self.won = 0

    def run(self, cw_config, rep, logger):
        for batch in range(self.params["batches"]):
            for _ in range(1000):
                self.games += 1
                self.won += self.play()
            share = self.won / self.games
            error = math.sqrt(share * (1 - share) / self.games)
            # For the loggers, and for `metrics.jsonl`.
            logger.process({"step": batch, "share": share, "error": error})
            if error < self.params["precision"]:
                raise ExperimentSurrender({"reason": "precise enough", "games": self.games})

    def play(self):
        """Whether one of several rolls is a six."""
        return any(self.random.randint(1, 6) == 6 for _ in range(self.params["rolls"]))

    def finalize(self, surrender=None, crash=False):
        # Always called, however it ended.
        why = "crashed" if crash else surrender.payload["reason"] if surrender else "all batches played"
        with open(self.summary, "w") as file:
            file.write(f"{self.params['rolls']} rolls: won {self.won / max(self.games, 1):.2f} of the games, {why}\n")


if __name__ == "__main__":
    cw = cluster_work.ClusterWork(DiceGame)
    cw.run()
