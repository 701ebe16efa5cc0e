"""The names of the original, with its parameters."""

import importlib
import inspect
import json
from pathlib import Path

import pytest

pytest.importorskip("pandas")

NAMES = [json.loads(line) for line in (Path(__file__).parent / "original_api.jsonl").read_text().splitlines()]


def find(module, name):
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def signature(function):
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        parameters.append(parameter.name + default)
    return parameters


@pytest.mark.parametrize(("module", "name", "kind", "expected"), NAMES, ids=lambda value: str(value))
def test_a_name_of_the_original(module, name, kind, expected):
    found = find(module, name)
    if kind == "const":
        assert found == expected
    elif kind == "class":
        assert inspect.isclass(found)
        if "ABC" in expected:
            assert inspect.isabstract(found)
    else:
        assert signature(found) == expected


def test_what_is_abstract_is_what_was():
    from cw2.cw_data.cw_logging import AbstractLogger
    from cw2.experiment import AbstractExperiment, AbstractIterativeExperiment
    from cw2.scheduler import AbstractScheduler

    assert AbstractExperiment.__abstractmethods__ == {"initialize", "run", "finalize"}
    assert AbstractIterativeExperiment.__abstractmethods__ == {"initialize", "iterate", "save_state", "finalize"}
    assert AbstractLogger.__abstractmethods__ == {"initialize", "process", "finalize", "load"}
    assert AbstractScheduler.__abstractmethods__ == {"run"}


def test_all_that_is_public_is_documented():
    import cw2

    for name in cw2.__all__:
        assert inspect.getdoc(getattr(cw2, name)), name
