import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

COMMAND = [str(Path(sys.executable).parent / "recollect")]
STUDY = {
    "name": "tiny",
    "tasks": [{"memory": {"family": "impulse", "alpha": [1, 2]}, "length": 8}],
    "models": [{"mixer": "gru", "dim": 3}, {"mixer": "s4d", "dim": 4}],
    "training": {
        "steps": 4,
        "batch_size": 2,
        "evaluate_every": 2,
        "validation_examples": 8,
        "test_examples": 64,
    },
}

MODULE = """
import torch

class {name}(torch.nn.Linear):
    def __init__(self, dim):
        super().__init__(dim, dim)

    def forward(self, x):
        if {condition}:
            raise RuntimeError("no eights")
        return super().forward(x)
"""


@pytest.fixture
def recollect(tmp_path):
    """Run the command in an empty working directory."""

    def call(*arguments):
        return subprocess.run(
            [*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    return call


@pytest.fixture
def study_file(tmp_path):
    def write(**fields):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(STUDY | fields))
        return path.name

    return write


def test_run_prints_a_table_writes_store_and_report_and_names_the_report_last(
    recollect, study_file, tmp_path
):
    done = recollect("run", study_file())
    assert done.returncode == 0, done.stderr
    for word in ("impulse(alpha=1)", "gru", "s4d", "★"):
        assert word in done.stdout
    assert done.stdout.strip().splitlines()[-1].endswith(str(tmp_path / "recollect-report.html"))
    assert (tmp_path / "recollect.db").exists()
    assert "<html" in (tmp_path / "recollect-report.html").read_text()[:500]
    assert "[4/4]" in done.stderr
    again = recollect("run", study_file())
    assert again.returncode == 0
    assert "/4]" not in again.stderr
    assert again.stdout == done.stdout


def test_json_is_one_document_on_standard_output(recollect, study_file):
    done = recollect("run", study_file(), "--json")
    document = json.loads(done.stdout)
    assert [run["status"] for run in document["runs"]] == ["done"] * 4
    assert {row["model"] for row in document["summary"]} == {"gru", "s4d"}
    runs = json.loads(recollect("runs", "--json", "--model", "gru").stdout)
    assert len(runs) == 2
    assert json.loads(recollect("show", runs[0]["id"][:8], "--json").stdout)["id"] == runs[0]["id"]
    assert json.loads(recollect("list", "--json").stdout)["studies"]["quick"]
    assert recollect("runs", "--status", "failed", "--json").stdout.strip() == "[]"


def test_a_users_mixer_joins_from_the_working_directory(recollect, study_file, tmp_path):
    (tmp_path / "mine.py").write_text(MODULE.format(name="Mine", condition="False"))
    done = recollect("run", study_file(), "--model", "mine:Mine", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    assert "Mine" in done.stdout
    assert "[12/12]" in done.stderr
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "# edited\n")
    assert "[12/12]" in recollect("run", study_file(), "--model", "mine:Mine", "--seeds", "2").stderr


def test_a_failing_model_gives_exit_code_1_and_its_traceback_on_demand(recollect, study_file, tmp_path):
    (tmp_path / "bad.py").write_text(MODULE.format(name="Bad", condition="x.shape[1] == 8"))
    done = recollect("run", study_file(models=[{"mixer": "bad:Bad", "dim": 3}]))
    assert done.returncode == 1
    assert "RuntimeError: no eights" in done.stderr
    assert "Traceback" not in done.stderr
    run_id = re.search(r"recollect show (\w+)", done.stderr)[1]
    assert "Traceback" in recollect("show", run_id).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quik"], "did you mean 'quick'"),
        (["run", "empty.yaml"], "an empty file"),
        (["run", "misspelt.yaml"], "did you mean 'models'"),
        (["run", "smoke", "--model", "lsmt"], "did you mean 'lstm'"),
        (["run", "smoke", "--model", "nowhere.at_all:Mixer"], "cannot import"),
        (["run", "smoke", "--store", "sqlite:////nowhere/at/all.db"], "unable to open"),
        (["run", "smoke", "--seeds", "0"], "--seeds"),
        (["show", "lsmt"], "did you mean 'lstm'"),
        (["show", "0123"], "nothing is called"),
        (["report"], "no finished runs"),
        (["report", "absent"], "has no study 'absent'"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_gives_exit_code_2_and_one_message(recollect, tmp_path, arguments, message):
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "misspelt.yaml").write_text(yaml.safe_dump({"name": "x", "tasks": [], "modles": []}))
    done = recollect(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    if message.startswith("did you"):
        assert "Traceback" in recollect(*arguments, "--debug").stderr


def test_init_writes_a_study_that_validates_and_does_not_overwrite(recollect, tmp_path):
    assert recollect("init").returncode == 0
    text = (tmp_path / "study.yaml").read_text()
    assert text.count("#") > 10
    from recollect.studies import load_study

    assert len(load_study(tmp_path / "study.yaml").runs()) == 6
    done = recollect("init")
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (tmp_path / "study.yaml").read_text() == text


def test_report_writes_tables_charts_and_pages(recollect, study_file, tmp_path):
    recollect("run", study_file())
    for kind, name in [("csv", "a.csv"), ("parquet", "a.parquet"), ("html", "a.html"), ("svg", "charts")]:
        done = recollect("report", "tiny", "--format", kind, "-o", name)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.split():
            assert Path(line).stat().st_size > 0
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 5


def test_every_name_that_list_prints_can_be_shown(recollect):
    listed = json.loads(recollect("list", "--json").stdout)
    assert set(listed) == {"memory", "tasks", "models", "layers", "studies"}
    for names in listed.values():
        assert all(names.values())
    for name in ("lstm", "airy", "functional", "smoke"):
        assert recollect("show", name).returncode == 0
    shown = json.loads(recollect("show", "lstm", "--json").stdout)
    assert shown["state size"].startswith("64 scalars")
    assert "Hochreiter" in shown["about"]


def test_layers_are_listed_with_their_choices_and_shown_with_their_description(recollect):
    listed = recollect("list", "layers").stdout
    row = next(line for line in listed.splitlines() if line.startswith("mesa"))
    assert [cell.strip() for cell in row.split("│")][2:] == ["linear", "exact,", "800", "2506.05233"]
    shown = json.loads(recollect("show", "longhorn", "--json").stdout)
    assert shown["layer"] == "longhorn"
    assert "step_t / (1 + step_t |k_t|^2)" in shown["at dim 32"]


def test_version():
    import recollect as package

    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"recollect {package.__version__}"


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(recollect, study_file, tmp_path):
    """In a terminal of its own, so that the interrupt reaches the whole process group as a key press does."""
    training = STUDY["training"] | {"steps": 3000, "evaluate_every": 50}
    name = study_file(training=training)
    driver, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", name, "--workers", "1"],
        cwd=tmp_path,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(terminal)
    shown = _read_until(driver, "1/4 runs", 100)
    assert "seed 0" in shown
    os.killpg(process.pid, signal.SIGINT)
    shown += _read_until(driver, "goes on from here", 30)
    assert process.wait(timeout=30) == 130
    os.close(driver)
    assert "Traceback" not in shown
    finished = len(json.loads(recollect("runs", "--json").stdout))
    assert 1 <= finished < 4
    done = recollect("run", name)
    assert done.returncode == 0
    assert f"[{finished + 1}/4]" in done.stderr
    assert f"[{finished}/4]" not in done.stderr


def _read_until(descriptor, text, timeout):
    shown, deadline = "", time.monotonic() + timeout
    while text not in shown:
        assert time.monotonic() < deadline, shown
        try:
            shown += os.read(descriptor, 4096).decode(errors="replace")
        except OSError:
            break
    return shown
