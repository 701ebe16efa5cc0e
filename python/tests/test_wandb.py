"""The logger for Weights & Biases, with the real wandb, which stays on this machine."""

import os
import warnings

import pytest

from cw2.cw_data.cw_logging import Printer
from cw2.cw_data.cw_wandb_logger import WandBLogger, group_parameters, reset_wandb_env

CONFIG = {"_experiment_name": "exp__net.a1_net.b2", "params": {"lr": 0.1}}


def test_without_its_key_nothing_is_sent(repetition):
    logger = WandBLogger()
    with pytest.warns(UserWarning, match="no key `wandb`"):
        logger.initialize({**CONFIG}, 3, str(repetition.dir))
    logger.process({"loss": 1})
    logger.finalize()
    assert logger.load() is None and logger.run is None
    assert os.listdir(repetition.dir) == []


def test_a_run_is_kept_and_a_model_sent(repetition):
    pytest.importorskip("wandb")

    def call():
        wandb_key = {"project": "p", "log_model": True, "log_interval": 2, "use_group_parameters": True}
        config = {**CONFIG, "wandb": wandb_key}
        logger = WandBLogger(ignore_keys=["hidden"])
        logger.initialize(config, 3, str(repetition.dir))
        seen = [config["save_model_dir"], logger.run.name, logger.run.job_type, dict(logger.run.config)]
        os.mkdir(config["save_model_dir"])
        with open(os.path.join(config["save_model_dir"], "model.bin"), "w") as file:
            file.write("weights")
        for n in range(4):
            logger.process({"loss": n, "hidden": 1, "iter": n})
        seen.append({key for key in dict(logger.run.summary) if not key.startswith("_")})
        logger.finalize()
        return seen, logger.run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen, run = repetition.run(call, WANDB_MODE="offline", WANDB_SILENT="true", HOME=str(repetition.dir))
    name = "exp,net_[a1,b2]"
    assert seen == [str(repetition.dir / "model"), f"{name}_rep_03", name, {"lr": 0.1}, {"loss", "iter"}]
    assert run is None
    assert any(name.startswith("offline-run-") for name in os.listdir(repetition.dir / "wandb"))


def test_loading_starts_no_run(repetition):
    logger = WandBLogger()
    logger._find({**CONFIG, "wandb": {"project": "p"}}, 3, str(repetition.dir))
    assert logger.load() is None and logger.run is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["local", "mod.enc.tid", "mod.hea.nhl5", "mod.hea.io", "mod.enc.hd64"],
            "local,mod_[enc_[hd64,tid],hea_[io,nhl5]]",
        ),
        (["exp", "l0.1", "l0.2"], "exp,l0_[1,2]"),
        (["exp"], "exp"),
    ],
)
def test_parameters_are_grouped(names, expected):
    assert group_parameters(names)[0] == expected


def test_what_an_earlier_run_left_is_removed(monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "x")
    monkeypatch.setenv("WANDB_API_KEY", "y")
    reset_wandb_env()
    assert "WANDB_RUN_ID" not in os.environ and os.environ["WANDB_API_KEY"] == "y"


def test_it_is_a_logger():
    assert isinstance(WandBLogger(allow_keys=["a"]), type(Printer()).__mro__[1])
