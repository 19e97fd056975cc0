"""The gallery and the README's examples run, and print what their pages show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "docs" / "gallery"
SCRIPTS = sorted(path.stem for path in GALLERY.glob("*.py"))
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def run(code, folder):
    """Run a script (a path) or source (text) in an empty folder; what it prints."""
    command = [sys.executable, *([str(code)] if isinstance(code, Path) else ["-c", code])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def words_and_numbers(text):
    """The text with every number masked, and the numbers."""
    words = " ".join(NUMBER.sub("#", text).split())
    return words, [float(number) for number in NUMBER.findall(text)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_and_draws_what_its_page_shows(name, tmp_path):
    words, numbers = words_and_numbers(run(GALLERY / f"{name}.py", tmp_path))
    stored_words, stored_numbers = words_and_numbers((GALLERY / f"{name}.txt").read_text())
    assert words
    assert words == stored_words
    # Training amplifies the last digits in which two machines differ; what a page says survives that.
    assert numbers == pytest.approx(stored_numbers, rel=0.2, abs=1e-3)
    page = (GALLERY / f"{name}.md").read_text()
    assert f'--8<-- "gallery/{name}.py"' in page
    assert f'--8<-- "gallery/{name}.txt"' in page
    for chart in tmp_path.glob("*.svg"):
        assert f"({chart.name})" in page
        assert (GALLERY / chart.name).read_text().startswith("<svg")


def test_every_script_has_a_page_in_the_navigation_and_every_page_a_script():
    (entries,) = [
        entry["Gallery"]
        for entry in yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
        if "Gallery" in entry
    ]
    assert sorted(Path(entry).stem for entry in entries) == SCRIPTS
    assert sorted(path.stem for path in GALLERY.glob("*.md")) == SCRIPTS


def test_the_python_examples_of_the_readme_run(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        run(block, tmp_path)
