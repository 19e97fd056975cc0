"""Boundary studies on the command line: a table in place of all errors, and the report of what is stored."""

import json
from pathlib import Path

import pytest
import yaml

from recollect.cli.report import report_command
from recollect.cli.run import run_command
from recollect.studies import SerialExecutor, Store, Study, load_study, run_study

STUDY = {
    "name": "fails",
    "tasks": [
        {"memory": {"family": "impulse", "h95": [2, 4, 6, 9]}, "length": 12},
        {"memory": {"family": "exponential", "h95": [2, 4, 6, 9]}, "length": 12},
    ],
    "models": [
        {"label": "SSM", "mixer": "ssm", "options": {"states": "complex", "num_states": 2}, "dim": 1},
        {"label": "GRU", "mixer": "gru", "dim": 3},
    ],
    "training": {
        "steps": 4, "batch_size": 2, "evaluate_every": 2, "validation_examples": 8, "test_examples": 64,
    },
    "tuned": {"SSM": {"loss": "population", "steps": 40, "learning_rate": 0.03}},
    "boundary": {"budget": 4, "draws": 40},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study file and a store that holds all its runs."""
    folder = tmp_path_factory.mktemp("boundary")
    (folder / "fails.yaml").write_text(yaml.safe_dump(STUDY))
    with Store(f"sqlite:///{folder / 'recollect.db'}") as store:
        run_study(load_study(folder / "fails.yaml"), store, SerialExecutor())
    return folder


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """`recollect run` of a study that is stored already; what it prints."""

    def called(*, as_json=False):
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "110")
        report = Path("recollect-report.html")
        run_command("fails.yaml", None, [], None, 1, None, report, retry_failed=False, as_json=as_json)
        return capsys.readouterr()

    return called


def test_run_prints_the_boundaries_in_place_of_all_errors_and_says_where_these_are(folder, run):
    done = run()
    assert "H95 at which the NMSE passes 0.1" in done.out
    for words in ("impulse", "exponential", "SSM", "GRU", "class", "no theory: GRU"):
        assert words in done.out, words
    assert "h95=" not in done.out
    assert "alpha=" not in done.out
    assert "★" not in done.out
    assert "recollect runs --study fails" in done.err
    assert "Where models fail" in (folder / "recollect-report.html").read_text(encoding="utf-8")


def test_json_holds_the_boundaries_of_every_model_and_series(run):
    document = json.loads(run(as_json=True).out)
    assert [(row["model"], row["series"]) for row in document["boundaries"]] == [
        ("SSM", "impulse"), ("GRU", "impulse"), ("SSM", "exponential"), ("GRU", "exponential"),
    ]  # fmt: skip
    for row in document["boundaries"]:
        assert row["binding"] == (row["model"] == "SSM")
        assert row["num_runs"] >= 3
        assert row["h95_range"] == [2, 9]
    assert len(document["runs"]) == sum(row["num_runs"] for row in document["boundaries"])


def report(folder, kind, output, name="fails"):
    report_command(name, kind, folder / output, f"sqlite:///{folder / 'recollect.db'}")
    return folder / output


def test_the_report_of_a_stored_study_shows_its_boundaries(folder, monkeypatch):
    assert "Where models fail" in report(folder, "html", "stored.html").read_text(encoding="utf-8")
    drawn = []
    monkeypatch.setattr(
        "recollect.cli.report.write_charts",
        lambda records, output, kind, *, boundaries: drawn.extend(boundaries) or [output],
    )
    report(folder, "svg", "charts")
    assert {(found.model, found.series) for found in drawn} == {
        (model, series) for model in ("SSM", "GRU") for series in ("impulse", "exponential")
    }
    assert all(found.num_runs >= 3 for found in drawn)
    header = report(folder, "csv", "runs.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "nmse" in header


def test_a_definition_that_no_longer_fits_costs_the_boundaries_and_not_the_report(
    folder, monkeypatch, capsys
):
    def refuse(self, name):
        return Study.parse({"name": name, "mixers": []}, name)

    monkeypatch.setattr(Store, "definition", refuse)
    assert "Where models fail" not in report(folder, "html", "plain.html").read_text(encoding="utf-8")
    assert "goes without the study's definition" in capsys.readouterr().err


def test_a_definition_whose_runs_have_other_ids_is_told(folder, monkeypatch, capsys):
    other = STUDY | {"training": STUDY["training"] | {"test_examples": 65}}
    monkeypatch.setattr(Store, "definition", lambda self, name: Study.parse(other))
    page = report(folder, "html", "other.html").read_text(encoding="utf-8")
    assert "too few runs" in page
    assert "no boundary is known" in " ".join(capsys.readouterr().err.split())
