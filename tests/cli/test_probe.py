import json
import sys

import numpy as np
import pandas as pd
import pytest

from recollect.cli import main
from recollect.probing import MemoryProfile

FAST = ["--length", "10", "--samples", "6"]


@pytest.fixture
def probe(tmp_path, monkeypatch, capsys):
    """Run the command in an empty working directory, at 80 columns: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["recollect", "probe", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def document(probe):
    """The answer as JSON."""

    def call(*arguments):
        code, output, errors = probe(*arguments, "--json")
        assert code == 0, errors
        return json.loads(output)

    return call


@pytest.fixture
def my_filter(tmp_path):
    """A module of the user's, by import path: three taps, of which one can be chosen."""
    text = (
        "import numpy as np\ndef fir(x):\n    y = 0.5 * x\n    y[:, 2:] -= 0.25 * x[:, :-2]\n    return y\n"
    )
    (tmp_path / "myfilter.py").write_text(text)
    yield "myfilter:fir"
    sys.modules.pop("myfilter", None)


def test_the_terminal_page_says_what_was_measured_and_fits_80_columns(probe, tmp_path):
    code, output, _ = probe("lru", *FAST, "--option", "dim=3")
    assert code == 0
    lines = output.splitlines()
    assert lines[0] == "lru (untrained, dim 3): jacobian, 10 lags, 6 sequences, 3 in, 3 out"
    text = " ".join(output.split())
    for words in (
        "Measured was: mean Jacobian", "white Gaussian, deviation 1", "magnitude, all channels together",
        "H95", "content adaptivity", "change from position",
        "Share of the output's variance due to a lag",
    ):  # fmt: skip
        assert words in text, words
    assert "█" in output
    assert all(len(line) <= 80 for line in lines[:-1])
    assert lines[-1] == f"Page: {tmp_path / 'recollect-probe.html'}"


def test_json_is_the_memory_function_and_nothing_is_written(document, tmp_path):
    found = document("lru", *FAST, "--option", "dim=2", "--seed", "3")
    assert not list(tmp_path.iterdir())
    assert found["channels"] == {"outputs": 2, "inputs": 2, "shown": 4}
    assert (found["estimator"], found["length"], found["samples"]) == ("jacobian", 10, 6)
    assert all(len(channel["values"]) == 10 for channel in found["memory_function"])


def test_the_same_seed_gives_the_same_numbers(document):
    arguments = ["gru", *FAST, "--option", "dim=2"]
    once, again = (document(*arguments, "--seed", "1") for _ in range(2))
    other = document(*arguments, "--seed", "2")
    assert once == again
    assert once["memory_function"] != other["memory_function"]


def test_a_black_box_of_known_memory_is_found_by_its_import_path(document, my_filter):
    found = document(my_filter, "--length", "4", "--samples", "64", "--input-size", "1")
    (channel,) = found["memory_function"]
    assert found["estimator"] in ("correlation", "jacobian")
    for value, lower, upper, true in zip(
        channel["values"], channel["lower"], channel["upper"], (0.5, 0.0, -0.25, 0.0), strict=True
    ):
        assert lower - 0.02 <= true <= upper + 0.02
        assert value == pytest.approx(true, abs=0.1)


def test_a_model_is_read_on_the_users_own_data(document, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"u": rng.normal(size=60).cumsum(), "v": rng.normal(size=60)})
    table.to_csv(tmp_path / "data.csv", index=False)
    found = document("gru", *FAST, "--option", "dim=2", "--background", "data.csv")
    assert not found["is_white_gaussian"]
    assert found["bracket"] is None
    assert "linear_share" in found["not_measured"]


def test_positions_and_parts_are_chosen(document):
    found = document("gru", *FAST, "--option", "dim=2", "--position", "4", "--position", "6")
    assert [each["position"] for each in found["positions"]] == [4, 6, 9]
    assert set(found["position_dependence"]) == {"4", "6"}


@pytest.mark.parametrize("ending", ["html", "svg", "png", "pdf"])
def test_a_page_or_a_chart_is_written_as_its_ending_says(probe, tmp_path, ending):
    path = tmp_path / "new folder" / f"probe.{ending}"
    code, output, errors = probe("lru", *FAST, "--option", "dim=2", "-o", str(path))
    assert code == 0, errors
    assert output.splitlines()[-1].endswith(str(path))
    assert path.stat().st_size > 2000


def test_parquet_holds_every_channel(probe, document, tmp_path):
    arguments = ["lru", *FAST, "--option", "dim=3"]
    code, _, errors = probe(*arguments, "-o", "all.parquet")
    assert code == 0, errors
    profile = MemoryProfile.load(tmp_path / "all.parquet")
    assert tuple(profile.values.shape) == (10, 3, 3)
    for channel in document(*arguments)["memory_function"]:
        assert profile.values[:, channel["output"], channel["input"]].tolist() == channel["values"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lsmt"], "did you mean 'lstm'"),
        (["nothing.py:model"], "nothing"),
        (["gru", "--option", "dim"], "expected NAME=VALUE"),
        (["gru", "--option", "dim=["], "as YAML or JSON"),
        (["gru", "--option", "dmi=3"], "dmi"),
        (["gru", "--estimator", "jacobi"], "--estimator"),
        (["gru", "--length", "0"], "--length"),
        (["gru", "--samples", "2"], "--samples"),
        (["gru", "--amplitude", "-1"], "amplitude"),
        (["gru", "--amplitude", "nan"], "amplitude"),
        (["gru", "--position", "999"], "positions"),
        (["gru", "--module", "nope"], "nope"),
        (["gru", "--background", "nope.csv"], "there is no such file"),
        (["gru", "--background", "words.csv"], "row 3, column 'v'"),
        (["gru", "--background", "gaps.csv"], "row 4, column 'u': the value is missing"),
        (["gru", "-o", "probe.txt"], "ends in .html, .svg, .png, .pdf, .parquet"),
        (["gru", "-o", "folder.svg"], "this is a folder"),
        (["gru", "--store", "nonsense", "-o", "a.svg", "--input-size", "0"], "--input-size"),
        (["attention", "--estimator", "step", *FAST], "Take estimator='jacobian'"),
    ],
)
def test_a_bad_question_ends_with_2_and_one_message(probe, tmp_path, arguments, message):
    (tmp_path / "words.csv").write_text("u,v\n1,2\n3,four\n")
    (tmp_path / "gaps.csv").write_text("u,v\n1,2\n3,4\n,6\n")
    (tmp_path / "folder.svg").mkdir()
    code, output, errors = probe(*arguments)
    assert (code, output) == (2, "")
    assert message in " ".join(errors.split())
    assert "Traceback" not in errors
    assert "internal" not in errors
