"""What an installation promises: pins for every direct dependency, and files that belong in the wheel."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_constraints_pin_every_direct_dependency_within_its_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + [
        d for extra in project["optional-dependencies"].values() for d in extra
    ]
    bounds = dict(re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([\d.]+)$", line).groups() for line in declared)
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert pins.keys() == bounds.keys()
    assert pins["torch"] == "2.13.0"
    for name, pin in pins.items():
        assert _numbers(pin) >= _numbers(bounds[name]), name


def test_data_files_are_installed():
    package = files("recollect")
    for name in (
        "py.typed",
        "studies/definitions/quick.yaml",
        "studies/migrations/env.py",
        "studies/migrations/versions/0001_baseline.py",
        "cli/study_template.yaml",
    ):
        assert (package / name).is_file(), name


def _numbers(version):
    return [int(part) for part in re.findall(r"\d+", version)[:3]]
