import io

import pandas as pd
import pytest
from rich.console import Console

from recollect.cli.table import print_summary
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
    assert table["nmse"].dropna().tolist() == [result.nmse for result in found if result.nmse is not None]
    assert table["best"].sum() == table["task"].nunique()


def test_no_records_give_empty_tables():
    assert len(runs_table([])) == len(summarise([])) == 0


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
