"""Rules of the project that a machine can check: style, types, imports between packages, documentation."""

import ast
import doctest
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import recollect

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = Path(sys.executable).parent
MODULES = [
    module.name
    for module in pkgutil.walk_packages(recollect.__path__, "recollect.")
    if ".migrations" not in module.name
]


def run(*command, **environment):
    done = subprocess.run(
        [str(SCRIPTS / command[0]), *command[1:]],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def test_ruff_finds_nothing():
    run("ruff", "check", ".")


def test_code_is_formatted():
    run("ruff", "format", "--check", ".")


def test_types_check():
    run("basedpyright")


def test_packages_import_only_those_above_them():
    run("lint-imports")


def test_documentation_builds_without_warnings(tmp_path):
    run("mkdocs", "build", "--strict", "--site-dir", str(tmp_path), NO_MKDOCS_2_WARNING="1")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_file_is_one_idea(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 500
    assert path.stem not in {"utils", "helpers", "common", "misc"}
    assert ast.get_docstring(tree) or not tree.body
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno - _documentation_lines(node)
            assert length <= 60, f"{node.name} is longer than 60 lines"


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    results = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE, extraglobs=_common_names()
    )
    assert results.failed == 0


@pytest.mark.parametrize("module", ["recollect", "recollect.cli"])
def test_help_and_completion_do_not_wait_for_pytorch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _documentation_lines(function):
    """A signature in full needs its arguments described in full; that makes no function longer."""
    if ast.get_docstring(function) is None:
        return 0
    return function.body[0].end_lineno - function.body[0].lineno + 1


def _common_names():
    import torch

    return {"torch": torch}
