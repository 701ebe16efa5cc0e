"""A configuration, expanded to one dictionary a repetition."""

from __future__ import annotations

import datetime
import os
from typing import Any

from cw2 import _engine, _yaml
from cw2.cw_config import cw_conf_keys as KEYS
from cw2.cw_error import ConfigKeyError, ExperimentNotFoundError, MissingConfigError

__all__ = ["Config"]

_ERRORS = {"missing": MissingConfigError, "experiment": ExperimentNotFoundError}


class Config:
    """What a configuration file says.

    Attributes:
        exp_configs: one dictionary a repetition. Changes made before ``ClusterWork.run`` count.
        slurm_config: what the jobs ask of this machine's cluster; None where the file does not say.
        config_path, f_name: the file, and its name alone.
        exp_selections: the experiments that were chosen; None for all.

    Args:
        config_path: the file; with None the configuration stays empty until :meth:`load_config`.
        experiment_selections: only these experiments.
        debug: one repetition of one iteration of each experiment's first run.
        debug_all: one repetition of one iteration of every run.
        prefix_with_timestamp: begin the names of the experiments with the time.

    Raises:
        MissingConfigError: if there is no such file.
        ExperimentNotFoundError: if none of the chosen experiments is in it.
        ConfigKeyError: if anything else is wrong with it; what that is was printed on standard error.
    """

    def __init__(
        self,
        config_path: str | None = None,
        experiment_selections: list[str] | None = None,
        debug: bool = False,
        debug_all: bool = False,
        prefix_with_timestamp: bool = False,
    ) -> None:
        self.slurm_config: dict[str, Any] | None = None
        self.exp_configs: list[dict[str, Any]] = []
        self.f_name: str | None = None
        self.config_path = config_path
        self.exp_selections = experiment_selections
        self.prefix_with_timestamp = prefix_with_timestamp
        #: What the engine read, which it compares with what the program made of it.
        self._expansion: _engine.Expansion | None = None
        if config_path is not None:
            self.load_config(config_path, experiment_selections, debug, debug_all)

    def load_config(
        self,
        config_path: str,
        experiment_selections: list[str] | None = None,
        debug: bool = False,
        debug_all: bool = False,
    ) -> None:
        """Reads a file; the arguments and errors are those of the class."""
        prefix = datetime.datetime.now().strftime("%m%d-%H%M%S") if self.prefix_with_timestamp else ""
        try:
            expansion = _engine.expand(config_path, experiment_selections, debug, debug_all, prefix)
        except _engine.EngineError as error:
            if error.code != 2:
                raise
            raise _ERRORS.get(error.kind, ConfigKeyError)(str(error)) from error
        self.config_path = config_path
        self.f_name = os.path.basename(config_path)
        self.exp_selections = experiment_selections
        # A list of the program's own, to change as it likes.
        self.exp_configs = list(expansion.configs)
        self.slurm_config = expansion.slurm
        self._expansion = expansion

    def to_yaml(self, dir_path: str = "", relpath: bool = True) -> None:
        """Writes the expanded configuration: one file of all experiments, and one for each in its folder.

        Args:
            dir_path: where to; the folder of the results if it is empty.
            relpath: write paths relative to the folder of the results, so that this can be moved.

        Raises:
            OSError: if a file cannot be written.
        """
        directory = dir_path or str(self.exp_configs[0][KEYS.i_BASIC_PATH])
        name = self.f_name or "config.yml"
        stem = os.path.splitext(name)[0]
        slurm = [] if self.slurm_config is None else [self.slurm_config]
        configs = [_relative(config) if relpath else config for config in self.exp_configs]

        experiments: dict[str, list[dict[str, Any]]] = {}
        for config in configs:
            experiments.setdefault(config[KEYS.NAME], []).append(config)
        for experiment, its_own in experiments.items():
            _write(os.path.join(directory, experiment, f"relative_{stem}_{experiment}.yml"), slurm + its_own)

        if self.exp_selections is not None:
            name = f"{stem}_{'_'.join(self.exp_selections)}.yml"
        _write(os.path.join(directory, f"relative_{name}"), slurm + configs)


def _relative(config: dict[str, Any]) -> dict[str, Any]:
    base = config[KEYS.i_BASIC_PATH]
    paths = (KEYS.LOG_PATH, KEYS.i_REP_LOG_PATH, KEYS.PATH, KEYS.i_BASIC_PATH)
    return {**config, **{key: os.path.join(".", os.path.relpath(config[key], base)) for key in paths}}


def _write(path: str, documents: list[dict[str, Any]]) -> None:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(_yaml.dump_all(documents))
