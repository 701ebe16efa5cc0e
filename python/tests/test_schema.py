"""`cw2 schema`, by a validator: what the examples and the tests of the configuration hold."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    if "CW2_BINARY" not in os.environ:
        pytest.skip("CW2_BINARY does not say where the engine is")
    call = subprocess.run([os.environ["CW2_BINARY"], "schema"], check=True, capture_output=True, text=True)
    schema = json.loads(call.stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def complaints(validator: jsonschema.Draft7Validator, documents: list[Any]) -> list[str]:
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for document in documents
        for error in validator.iter_errors(document)
    ]


EXAMPLES = sorted(
    path for folder in ("slurm-examples", "templates", "tests/corpus") for path in (ROOT / folder).rglob("*.yml")
)


def test_good_files_are_accepted(validator: jsonschema.Draft7Validator) -> None:
    assert len(EXAMPLES) > 60
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in EXAMPLES
        if (found := complaints(validator, list(yaml.safe_load_all(path.read_text()))))
    }
    assert wrong == {}


#: Messages about the shape of a single document, which a schema can say. What needs another key, another document, a file, the
#: cluster or the machine it cannot.
SHAPE = re.compile(
    r"^error: (?:`[^`]*` must (?:be|name|not be) (?!less than)|document \d+ (?:is|has no)|an experiment cannot be named"
    r"|`[^`]*` (?:has no values|is an empty mapping|is empty$|has no `run`|names no host|cannot be an option of sbatch"
    r"|is not a key of `(?:command|retries)`|names neither|names a `file` and|has no key|takes `in`|wants a text))",
    re.MULTILINE,
)


def test_what_the_tests_of_the_configuration_hold(validator: jsonschema.Draft7Validator) -> None:
    folder = os.environ.get("CW2_TEST_CONFIGS")
    if folder is None:
        pytest.skip("CW2_TEST_CONFIGS does not say where the tests of the configuration left them")
    good, bad = 0, 0
    wrong = []
    for path in sorted(Path(folder).glob("*.json")):
        case = json.loads(path.read_text())
        found = complaints(validator, case["documents"])
        if case["error"] is None:
            good += 1
            if found:
                wrong.append(f"refused, though it is right: {case['text']}\n{found}")
        elif SHAPE.search(case["error"]):
            bad += 1
            if not found:
                wrong.append(f"accepted, though it is wrong: {case['text']}\n{case['error']}")
    assert wrong == []
    assert good > 40
    assert bad > 20


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"path": "out"}, ""),
        ({"name": 5}, "name"),
        ({"name": "a", "repetitions": 0}, "repetitions"),
        ({"name": "DEFAULT", "repetitions": "many"}, "repetitions"),
        ({"name": "a", "grid": {"lr": 0.1}}, "grid.lr"),
        ({"name": "a", "ablative_base": "perhaps"}, "ablative_base"),
        ({"name": "a", "slurm": {"time": "soon"}}, "slurm.time"),
        ({"name": "slurm", "time": "soon"}, "time"),
        ({"name": "SLURM_", "time": 5}, "name"),
        ({"name": "SLURM", "sbatch_args": {"--gres": "gpu"}}, "sbatch_args"),
        ({"name": "SLURM", "partition": "a\nb"}, "partition"),
        ({"name": "a/b"}, "name"),
        ({"name": "a", "command": {"finalize": "x"}}, "command"),
        ({"name": "a", "command": []}, "command"),
        ({"name": "a", "timeout": "1 week"}, "timeout"),
        ({"name": "a", "gpus_per_rep": 1.5}, "gpus_per_rep"),
    ],
)
def test_the_place_is_told(validator: jsonschema.Draft7Validator, document: Any, place: str) -> None:
    places = [".".join(map(str, error.absolute_path)) for error in validator.iter_errors(document)]
    assert place in places


def test_every_key_is_described(validator: jsonschema.Draft7Validator) -> None:
    definitions = validator.schema["definitions"]
    assert definitions["experiment"]["properties"]["retries"]["default"] == 0
    for scope in ("experiment", "slurm"):
        for name, key in definitions[scope]["properties"].items():
            assert key["description"], name
