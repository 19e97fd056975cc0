import json
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from recollect.cli import main
from recollect.cli.lag_plot import lag_plot

RHO = 1.5 * 0.7 ** np.arange(8)


@pytest.fixture
def diagnose(tmp_path, monkeypatch, capsys):
    """Run the command in an empty working directory, at 80 columns: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["recollect", "diagnose", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def data(tmp_path):
    """A CSV file of 300 rows: y remembers u, and not v."""
    rng = np.random.default_rng(4)
    u, v, e = rng.standard_normal((3, 300))
    y = np.convolve(u, RHO)[:300] + 0.4 * e
    path = tmp_path / "data.csv"
    pd.DataFrame({"day": range(300), "u": u, "v": v, "y": y}).to_csv(path, index=False)
    return path


def test_a_simulated_system_is_found_within_its_band_through_the_command_line(diagnose, data, tmp_path):
    arguments = ["--input", "u", "--target", "y", "--time", "day", "--lags", "8", "--json"]
    code, output, errors = diagnose(data, *arguments)
    assert code == 0, errors
    document = json.loads(output)
    found = {name: np.array(values) for name, values in document["memory_function"].items()}
    assert ((found["lower"] <= RHO) & (found["upper"] >= RHO)).mean() >= 0.8
    assert document["noise_nmse"] == pytest.approx(0.16 / (0.16 + (RHO**2).sum()), rel=0.25)
    assert document["recommended"]["size"] >= 1
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"], "no page unless it is asked for"
    assert "estimating the memory function ..." in errors


def test_the_terminal_page_gives_the_answer_first_and_fits_into_80_columns(diagnose, data, tmp_path):
    code, output, errors = diagnose(
        data, "--input", "u,v", "--target", "y", "--lags", "8", "-o", "new/a.html"
    )
    assert code == 0, errors
    lines = output.splitlines()
    assert lines[0] == "y from u and v, 300 rows"
    assert lines[2].startswith("y remembers u (next to nothing of v) over ")
    assert all(len(line) <= 80 for line in lines[:-1])
    for part in (
        "y per u, by lag",
        "y per v, by lag",
        "horizon H95",
        "linear share",
        "suffices",
        "no floor;",
    ):
        assert part in output
    assert "█" in output
    assert lines[-1] == f"Page: {tmp_path / 'new' / 'a.html'}"
    page = (tmp_path / "new" / "a.html").read_text()
    assert "y remembers u (next to nothing of v) over " in page
    assert "<script src" not in page


@pytest.mark.skipif(find_spec("statsmodels") is None, reason="needs statsmodels")
def test_sunspots_are_predicted_from_their_own_past(diagnose, tmp_path):
    from statsmodels.datasets import sunspots

    sunspots.load_pandas().data.to_csv(tmp_path / "sunspots.csv", index=False)
    code, output, errors = diagnose("sunspots.csv", "--time", "YEAR", "--lags", "20", "--json")
    assert code == 0, errors
    document = json.loads(output)
    assert document["series"]["autonomous"]
    assert document["series"]["target"] == "SUNACTIVITY"
    assert document["linear_share"] > 0.7
    first, second = document["memory_function"]["values"][:2]
    assert first == pytest.approx(1.3, abs=0.3), "as autoregressions of order 2 and 9 in the literature say"
    assert second < 0
    assert "one step ahead from its own past" in document["sentences"][0]


@pytest.mark.skipif(find_spec("statsmodels") is None, reason="needs statsmodels")
def test_weekly_co2_has_missing_values_that_split_it_and_a_trend_that_is_named(diagnose, tmp_path):
    from statsmodels.datasets import co2

    co2.load_pandas().data.to_csv(tmp_path / "co2.csv", index_label="week")
    code, output, errors = diagnose("co2.csv", "--time", "week")
    assert (code, output) == (2, "")
    assert "column 'co2': the value is missing (the header is row 1; 59 values missing in all)" in errors
    code, output, errors = diagnose(
        "co2.csv", "--time", "week", "--missing", "split", "--lags", "8", "--json"
    )
    assert code == 0, errors
    document = json.loads(output)
    assert document["series"]["step"] == "7 days"
    assert document["series"]["sequences"] > 5
    assert any("straight line" in warning for warning in document["warnings"])


BAD = {
    "no file": (["nothing.csv"], "nothing.csv: there is no such file"),
    "folder": (["."], "expected a file that ends in"),
    "no target": (["data.csv", "--input", "u"], "which column of data.csv is the target? Columns"),
    "unknown": (["data.csv", "--target", "yy"], "no column 'yy' for the target; did you mean 'y'?"),
    "empty name": (["data.csv", "--target", "y", "--input", "u,"], "names of columns with a comma between"),
    "missing": (["holes.csv", "--target", "y"], "row 5, column 'y': the value is missing (the header"),
    "words": (["words.csv", "--target", "y"], "row 7, column 'y': 'n/a?' is not a number"),
    "infinite": (["infinite.csv", "--target", "y"], "row 6, column 'y': 'inf' is not finite"),
    "order": (["order.csv", "--target", "y", "--time", "t"], "row 9, column 't': the time 3 is before 6 of"),
    "twice": (["twice.csv", "--target", "y", "--time", "t"], "row 9, column 't': the time 6 stands in row"),
    "constant": (["constant.csv", "--target", "y"], "column 'y' is constant: 1 from row 2"),
    "short": (["short.csv", "--target", "y"], "has 6 rows that can be used"),
    "lags": (["data.csv", "--target", "y", "--lags", "295"], "lags"),
    "no lags": (["data.csv", "--target", "y", "--lags", "0"], "--lags"),
    "error": (["data.csv", "--target", "y", "--target-nmse", "0"], "a target NMSE above 0 and below 1"),
    "policy": (["data.csv", "--target", "y", "--missing", "drop"], "--missing"),
    "ending": (["data.csv", "--target", "y", "-o", "page.txt"], "ends in .html, .svg, .png, .pdf"),
    "place": (["data.csv", "--target", "y", "-o", "data.csv/page.html"], "cannot write there"),
}  # fmt: skip


def spoilt(folder):
    """Files that are not as they should be."""
    good = [f"{t},{(7 * t % 13) / 4}" for t in range(40)]

    def write(name, row, line):
        lines = ["t,y", *good]
        lines[row - 1] = line
        (folder / name).write_text("\n".join(lines) + "\n")

    write("holes.csv", 5, "3,")
    write("words.csv", 7, "5,n/a?")
    write("infinite.csv", 6, "4,inf")
    write("order.csv", 9, "3,1")
    write("twice.csv", 9, "6,1")
    (folder / "constant.csv").write_text("t,y\n" + "".join(f"{t},1\n" for t in range(40)))
    (folder / "short.csv").write_text("t,y\n" + "".join(f"{t},{t % 3}\n" for t in range(6)))


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_2_and_one_message(diagnose, data, tmp_path, arguments, message):
    spoilt(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, output, errors = diagnose(*arguments)
    assert (code, output) == (2, "")
    assert message in " ".join(errors.split())
    assert "Traceback" not in errors
    assert "internal" not in errors
    assert sorted(tmp_path.iterdir()) == before


def test_a_plot_of_many_lags_shows_the_largest_of_each_column():
    values = [0.0] * 200
    values[150] = -2.0
    lines = lag_plot(values, values, values, shown=200)
    column = lines[-2].index("█")
    assert column == len("       -2│") + 150 // 4
    assert sum(line.count("█") for line in lines) == 8
    assert max(map(len, lines)) <= 75


def test_a_plot_is_light_where_the_band_holds_0_and_marks_the_horizon():
    lines = lag_plot([1.0, 1.0, 0.1], [0.5, -0.5, -0.5], [1.5, 2.5, 0.5], shown=3, horizon=3)
    assert lines[0] == "        1│███ ░░░"
    assert lines[-2].index("┬") == 10 + 2 * 4
    assert lines[-1].split() == ["0", "H95"]
    assert lag_plot([0.0, 0.0], [0, 0], [0, 0], shown=2)[0] == "        1│"
