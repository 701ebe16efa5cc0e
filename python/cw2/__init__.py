"""Experiments on Slurm: one YAML file describes a sweep with repetitions, a class or a script is the experiment.

An experiment class, with the names and modules of the original cw2::

    from cw2 import cluster_work, experiment

    class Fit(experiment.AbstractIterativeExperiment):
        ...

    if __name__ == "__main__":
        cw = cluster_work.ClusterWork(Fit)
        cw.run()

``python main.py CONFIG.yml`` runs the sweep, ``-s`` submits it, ``python main.py CONFIG.yml status`` says how it goes.

A script without classes finds what it is in :data:`rep`, and :func:`results` reads results back.
"""

from __future__ import annotations

from cw2 import _conflict

_conflict.check()

from cw2._rep import Rep, rep  # noqa: E402
from cw2._results import results  # noqa: E402
from cw2.cluster_work import ClusterWork  # noqa: E402
from cw2.cw_error import (  # noqa: E402
    ConfigKeyError,
    ExperimentNotFoundError,
    ExperimentSurrender,
    MissingConfigError,
)
from cw2.experiment import AbstractExperiment, AbstractIterativeExperiment  # noqa: E402

__all__ = [
    "AbstractExperiment",
    "AbstractIterativeExperiment",
    "ClusterWork",
    "ConfigKeyError",
    "ExperimentNotFoundError",
    "ExperimentSurrender",
    "MissingConfigError",
    "Rep",
    "rep",
    "results",
]
