"""Results sent to Weights & Biases."""

from __future__ import annotations

import itertools
import os
import random
import time
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from cw2.cw_data import cw_logging

__all__ = ["WandBLogger", "group_parameters", "reset_wandb_env"]

#: What a run of wandb leaves in the environment is not for the next one; these are the user's.
_KEPT = (
    "WANDB_PROJECT",
    "WANDB_ENTITY",
    "WANDB_API_KEY",
    "WANDB_START_METHOD",
    "WANDB_MODE",
    "WANDB_BASE_URL",
    "WANDB_DIR",
)
_TRIES = 10
#: wandb takes no longer names.
_NAME_LENGTH = 63


class WandBLogger(cw_logging.AbstractLogger):
    """Sends results to Weights & Biases, as the key ``wandb`` of the configuration says; without it, nothing.

    Keys of ``wandb``: ``project``, ``entity``, ``group``, ``job_type``, ``enabled``, ``disable_stats``, ``log_interval``,
    ``histogram`` (names), ``use_group_parameters``, ``log_model`` and ``model_name``: with ``log_model`` the experiment finds the
    folder to save its model in at ``config["save_model_dir"]``, and the files there become an artifact at the end.

    Attributes:
        run: the run of wandb; None where there is none.
    """

    def __init__(self, ignore_keys: Iterable[Any] | None = None, allow_keys: Iterable[Any] | None = None) -> None:
        super().__init__(ignore_keys=ignore_keys, allow_keys=allow_keys)
        self.log_path = ""
        self.run: Any = None

    def initialize(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        """Starts a run of wandb.

        Raises:
            ImportError: if wandb is wanted and not installed.
            Exception: if wandb could not start after several tries.
        """
        self.run = None
        if "wandb" not in config:
            warnings.warn("the configuration has no key `wandb`: nothing is sent to Weights & Biases", stacklevel=2)
            return
        self.init_fields(config, rep, rep_log_path)
        self.connect_to_wandb()

    def init_fields(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        """Reads the configuration."""
        self.log_path = rep_log_path
        self.rep = rep
        self.config: dict[str, Any] = config["wandb"]
        self.cw2_config = config
        reset_wandb_env()
        self.job_name: str = config["_experiment_name"].replace("__", "_")
        self.use_group_parameters = self.config.get("use_group_parameters", False)
        if self.use_group_parameters:
            self.job_name = group_parameters(self.job_name.split("_"))[0]
        self.runname = f"{self.job_name}_rep_{rep:02d}"
        self.job_name = self.config.get("job_type", self.job_name)
        self.entity = self.config.get("entity")
        self.group = self.config.get("group")
        self.wandb_log_model = self.config.get("log_model", False)
        self.save_model_dir: str | None = None
        if self.wandb_log_model:
            self.save_model_dir = config["save_model_dir"] = os.path.join(rep_log_path, "model")
            self.model_name = self.config.get("model_name", "model")

    def connect_to_wandb(self) -> None:
        """Starts the run; where that fails, again after a while that grows from hundredths to ten seconds."""
        # A thread: the process that wandb would fork has this one's locks.
        os.environ.setdefault("WANDB_START_METHOD", "thread")
        import wandb

        for attempt in range(_TRIES):
            try:
                self.run = wandb.init(
                    project=self.config["project"],
                    entity=self.entity,
                    group=self.group,
                    job_type=self.job_name[:_NAME_LENGTH],
                    name=self.runname[:_NAME_LENGTH],
                    config=self.cw2_config.get("params", {}),
                    dir=self.log_path,
                    settings=_settings(wandb, self.config.get("disable_stats", False)),
                    mode=None if self.config.get("enabled", True) else "disabled",
                )
                return
            except Exception as error:
                if attempt == _TRIES - 1:
                    raise
                seconds = (random.random() / 50 + 0.01) * 2**attempt
                warnings.warn(f"wandb did not start: {error}; again in {seconds:.2f} s", stacklevel=2)
                time.sleep(seconds)

    def process(self, data: dict[Any, Any]) -> None:
        """Sends a result, at its iteration."""
        if self.run is None:
            return
        step = data.get("iter")
        interval = self.config.get("log_interval")
        if interval is not None and step is not None and step % interval != 0:
            return
        histograms = [name for name in self.config.get("histogram", ()) if name in data]
        if histograms:
            import wandb

            for name in histograms:
                self.run.log({name: wandb.Histogram(np_histogram=data[name])}, step=step)
        self.run.log(self.filter(data), step=step)

    def finalize(self) -> None:
        """Sends the model, where that is wanted, and ends the run."""
        if self.run is not None:
            try:
                self.log_model()
            finally:
                self.run.finish()
                self.run = None

    def load(self) -> None:
        """There is nothing to load here."""

    def log_model(self) -> None:
        """Sends the files in ``save_model_dir`` as an artifact."""
        if not self.wandb_log_model or self.save_model_dir is None:
            return
        files: Sequence[str] = ()
        if os.path.isdir(self.save_model_dir):
            files = sorted(entry.name for entry in os.scandir(self.save_model_dir) if entry.is_file())
        if not files:
            warnings.warn(f"no model is sent: there is no file in {self.save_model_dir}", stacklevel=2)
            return
        import wandb

        artifact = wandb.Artifact(name=self.model_name, type="model")
        for name in files:
            artifact.add_file(os.path.join(self.save_model_dir, name))
        self.run.log_artifact(artifact, aliases=["latest", f"finished-rep-{self.rep}"])

    def log_plot(
        self,
        x: Iterable[Any],
        y: Iterable[Any],
        column_names: tuple[str, str] = ("x", "y"),
        plot_id: str = "plot",
        title: str = "Plot",
    ) -> None:
        """Sends a line plot."""
        import wandb

        table = wandb.Table(data=[list(point) for point in zip(x, y)], columns=list(column_names))
        self.run.log({plot_id: wandb.plot.line(table, column_names[0], column_names[1], title=title)})

    def log_table(self, data: Any, table_id: str = "table") -> None:
        """Sends a pandas table."""
        import wandb

        self.run.log({table_id: wandb.Table(dataframe=data)})

    def _find(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        pass


def reset_wandb_env() -> None:
    """Removes what an earlier run of wandb left in the environment."""
    for name in list(os.environ):
        if name.startswith("WANDB_") and name not in _KEPT:
            del os.environ[name]


def group_parameters(list_of_strings: list[str]) -> tuple[str, int]:
    """Writes names that begin alike, up to a dot, as one, and how many there then are.

    ``local``, ``mod.enc.hd64``, ``mod.enc.tid``, ``mod.hea.nhl5`` become ``local,mod_[enc_[hd64,tid],hea_nhl5]``.
    """
    grouped = []
    for head, names in itertools.groupby(sorted(list_of_strings), lambda name: name.split(".")[0]):
        members = list(names)
        if len(members) == 1:
            grouped.append(members[0])
            continue
        below, count = group_parameters([name[len(head) :].lstrip(".") for name in members])
        grouped.append(f"{head}_[{below}]" if count > 1 else f"{head}_{below}")
    return ",".join(grouped), len(grouped)


def _settings(wandb: Any, disable_stats: bool) -> Any:
    if not disable_stats:
        return None
    try:
        return wandb.Settings(x_disable_stats=True)
    except Exception:
        # Its name until wandb 0.18.
        return wandb.Settings(_disable_stats=True)
