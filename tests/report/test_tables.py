import io
import json
import math

import pandas as pd
import pytest
from rich.console import Console

from recollect.cli.table import print_summary, summary_rows
from recollect.core import ConfigError
from recollect.report import runs_table, summarise, write_table
from recollect.report.results import results


def test_every_run_has_one_row(records):
    table = runs_table(records)
    assert table["id"].tolist() == [record.id for record in records]
    assert table["learning_rate"].tolist() == [
        record.config["training"]["learning_rate"] for record in records
    ]


def test_what_a_run_does_not_have_is_missing(make_record):
    table = runs_table([make_record("Transformer"), make_record(status="failed")])
    assert table["nmse_long"].isna().all()
    assert table["nmse"].isna().tolist() == [False, True]
    assert table["steps"].isna().tolist() == [False, True]
    assert table["error"][1].startswith("ValueError")


@pytest.mark.parametrize(("ending", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_a_written_table_reads_back_as_it_was(records, tmp_path, ending, read):
    path = write_table(records, tmp_path / f"runs.{ending}")
    table, back = runs_table(records), read(path)
    assert back.columns.tolist() == table.columns.tolist()
    pd.testing.assert_series_equal(back["nmse"], table["nmse"], check_exact=True)
    assert back["task"].tolist() == table["task"].tolist()


def test_another_ending_is_refused_with_what_is_expected(records, tmp_path):
    with pytest.raises(ConfigError, match=r"\.csv or \.parquet, got .\.xlsx"):
        write_table(records, tmp_path / "runs.xlsx")


def test_the_summary_holds_the_results(records):
    table, found = summarise(records), results(records)
    assert table["model"].tolist() == [result.model for result in found]
    assert table["value"].dropna().tolist() == [result.value for result in found if result.value is not None]
    assert table["best"].sum() == table["task"].nunique()


def test_no_records_give_empty_tables():
    assert len(runs_table([])) == len(summarise([])) == 0


def test_tables_hold_facts_and_metrics_of_every_kind(recall_records):
    runs, summary = runs_table(recall_records), summarise(recall_records)
    mqar = runs[runs["kind"] == "mqar"]
    assert set(mqar["num_pairs"]) == {4, 16}
    assert mqar["accuracy"].notna().all()
    assert runs.loc[runs["kind"] == "capacity", "learning_rate"].isna().all()
    assert (runs["validation_error"].isna() == (runs["kind"] == "capacity")).all()
    assert summary["criterion"].tolist() == ["accuracy"] * 6 + ["cross_entropy"] * 3 + ["capacity"] * 3
    assert summary.loc[summary["criterion"] == "accuracy", "success"].notna().all()
    assert summary.loc[summary["criterion"] != "accuracy", "success"].isna().all()


def test_the_first_records_keep_their_validation_error(make_record):
    assert runs_table([make_record(validation_nmse=0.25)])["validation_error"].tolist() == [0.25]


def shown(records, width=120):
    console = Console(width=width, file=io.StringIO())
    print_summary(records, console)
    return console.file.getvalue()


def row(text, name):
    """Cells of the row that begins with `name`."""
    line = next(line for line in text.splitlines() if line.startswith(f"│ {name}"))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_each_criterion_has_a_table_with_its_direction(recall_records, make_record):
    text = shown([*recall_records, make_record("rls")])
    for title in (
        "Normalised test error (NMSE); lower is better, 1 is no better than zero",
        "Accuracy over the asked positions; higher is better",
        "Cross-entropy (nats a token); lower is better",
        "Pairs recalled per key dimension; higher is better",
    ):
        assert title in text
    assert text.count("┏") == 4
    assert "┃ memory" in text
    assert text.count("┃ task") == 3


def test_accuracies_stand_beside_guessing_with_their_seeds_and_above_their_mean(recall_records):
    text = shown(recall_records, width=90)
    assert "guess" in text
    assert row(text, "mqar(length=64, num_pairs=4)")[1:3] == ["0.250", "0.995 3/3"]
    assert row(text, "mqar(length=64, num_pairs=16)")[1:] == ["0.062", "0.499 0/3", "0.239 0/3", "0.974★ 0/3"]
    assert row(text, "mean")[1:] == ["", "0.747", "0.613", "0.986"]
    assert "above 0.99" in text


def test_the_mean_of_mad_tasks_is_the_mad_score_and_needs_all_of_them(make_scored_record):
    records = [
        make_scored_record("mad_recall", model, vocabulary, accuracy=accuracy)
        for model, scores in (("rls", (0.5, 0.7)), ("gru", (0.25, None)))
        for vocabulary, accuracy in zip((16, 32), scores, strict=True)
    ]
    records[-1] = records[-1].model_copy(update={"status": "diverged"})
    text = shown(records)
    assert row(text, "MAD score")[1:] == ["0.600", "-"]
    assert "guess" not in text


def test_accuracies_below_a_hundredth_are_written_like_the_others(make_scored_record):
    text = shown([make_scored_record(accuracy=0.004, accuracy_se=None)])
    assert "0.004★" in text


def test_a_result_that_is_not_a_number_is_said_in_words(make_scored_record):
    text = shown([make_scored_record(accuracy=math.nan, status="diverged"), make_scored_record(model="gru")])
    assert row(text, "mqar")[2] == "diverged"
    assert "nan" not in text


def test_many_models_stand_below_one_another_when_the_tasks_are_fewer(make_scored_record):
    records = [make_scored_record("mqar", f"layer {i}", pairs) for i in range(20) for pairs in (4, 8)]
    text = shown(records, width=70)
    assert text.count("┏") == 1
    assert "┃ num_pairs=4" in text
    assert row(text, "guess")[1:] == ["0.250", "0.125", ""]
    assert sum(line.startswith("│ layer") for line in text.splitlines()) == 20


def test_a_capacity_beyond_what_was_measured_is_written_as_a_bound(make_scored_record):
    text = shown([make_scored_record("capacity", capacity=4.0, capacity_censored=True)])
    assert "≥4.000★" in text
    assert "beyond the largest load" in text


def test_json_rows_hold_no_infinity(make_scored_record):
    rows = summary_rows([make_scored_record(accuracy=None, status="diverged")])
    assert rows[0]["value"] is None
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_terminal_table_shows_every_model_and_error_in_full_however_narrow(make_record, width):
    records = [make_record(model) for model in ("LSTM", "GRU", "TCN", "S4D", "Transformer")]
    console = Console(width=width, file=io.StringIO())
    print_summary(records, console)
    text = console.file.getvalue()
    assert "…" not in text
    for record in records:
        assert record.model in text
    longest = max(map(len, text.splitlines()))
    assert longest <= width
