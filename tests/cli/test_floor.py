import errno
import json
import sys

import pytest

from recollect.cli import main
from recollect.cli.floor import parse_sizes
from recollect.floors import find_class
from recollect.floors.classes import BOUNDED
from recollect.report.charts.floor_by_size import floor_by_size

KEYS = {"model", "unit", "size", "lower", "attained", "binding", "how"}


@pytest.fixture
def floor(tmp_path, monkeypatch, capsys):
    """Run the command in an empty working directory, at 80 columns: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["recollect", "floor", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def floors(floor):
    """The answer as JSON."""

    def call(*arguments):
        code, output, errors = floor(*arguments, "--json")
        assert code == 0, errors
        return json.loads(output)

    return call


def test_a_table_stands_beside_the_law_and_a_chart_is_written(floor, tmp_path):
    code, output, _ = floor("polynomial", "--alpha", "1.1", "--horizon", "24", "--size", "1,2")
    assert code == 0
    lines = output.splitlines()
    assert lines[0] == "polynomial(alpha=1.1), horizon 24, H95 6, NMSE at the last position"
    assert "real states" in lines[2]
    assert [cell.strip() for cell in lines[3].split("┃")][:4] == ["size", "lower", "attained", "law"]
    rows = [line for line in lines if line.count("│") == 5]
    assert [row.split("│")[0].strip() for row in rows] == ["1", "2"]
    assert all("█" in row for row in rows)
    assert "not in the literature" in output
    assert all(len(line) <= 80 for line in lines[:-1])
    assert lines[-1] == f"Chart: {tmp_path / 'recollect-floor.html'}"


def test_json_is_a_list_of_plain_objects_that_enclose_the_error(floors, tmp_path):
    arguments = ["airy", "--alpha", "11", "--option", "width=3", "--horizon", "33", "--size", "1:3"]
    rows = floors(*arguments, "--model", "ssm", "--model", "fir")
    assert [(row["model"], row["size"]) for row in rows] == [
        (m, k) for m in ("ssm", "fir") for k in (1, 2, 3)
    ]
    assert all(set(row) == KEYS and 0 < row["lower"] <= row["attained"] <= 1 for row in rows)
    assert all(type(row["size"]) is int and row["binding"] is True and row["how"] for row in rows)
    window = floors(*arguments, "--model", "fir", "--weighting", "window")
    assert all(late["lower"] > early["lower"] for late, early in zip(rows[3:], window, strict=True))
    assert not list(tmp_path.iterdir())


def test_the_floor_of_a_convolution_is_the_energy_beyond_it(floors):
    (row,) = floors("impulse", "--alpha", "4", "--horizon", "9", "--model", "tcn", "--size", "4")
    assert row["lower"] == pytest.approx(1, rel=1e-12)
    assert row["attained"] == 1
    (row,) = floors("impulse", "--alpha", "4", "--horizon", "9", "--model", "tcn", "--size", "50")
    assert row["lower"] == row["attained"] == 0


def test_a_target_is_answered_with_the_smallest_size_of_each_class(floors):
    arguments = ["impulse", "--alpha", "2", "--horizon", "9", "--target", "0.01"]
    tcn, ssm, direct = (
        floors(*arguments, *more)[0]
        for more in (["--model", "tcn"], ["--model", "ssm"], ["--model", "ssm", "--feed-through"])
    )
    for answer, size in ((tcn, 3), (ssm, 3), (direct, 2)):
        assert (answer["impossible_below"], answer["smallest_attaining"], answer["size"]) == (
            size,
            size,
            size,
        )
        assert answer["target"] == 0.01
        assert answer["lower"] <= answer["attained"] <= 0.01
        assert [floor["size"] for floor in answer["computed"]] == sorted(
            {f["size"] for f in answer["computed"]}
        )
        assert set(answer) >= KEYS


def test_with_a_target_and_no_model_every_class_that_has_a_floor_answers(floor):
    code, output, _ = floor(
        "exponential", "--alpha", "0.5", "--horizon", "7", "--target", "0.02", "--size", "4", "-o", "a.svg"
    )
    assert code == 0
    rows = {cells[0]: cells for cells in _table_rows(output)}
    assert list(rows) == [
        "ssm", "lru", "real_ssm", "tcn", "linear_tcn",
        "alibi", "learned_alibi", "relative_bias", "no_positions",
    ]  # fmt: skip
    assert rows["ssm"][1:3] == ["≥ 1", "1"]
    assert rows["tcn"][1:3] == ["≥ 4", "4"]
    assert rows["no_positions"][1:3] == ["> 4", "none to 4"]


def test_a_class_without_a_floor_says_why(floor, floors, tmp_path):
    arguments = ["impulse", "--alpha", "3", "--horizon", "16", "--model", "gru", "--size", "4"]
    assert "gru: no floor; its gates" in floor(*arguments)[1]
    assert not list(tmp_path.iterdir())
    (row,) = floors(*arguments)
    assert (row["lower"], row["attained"], row["binding"]) == (0, None, False)
    (row,) = floors(*arguments, "--target", "0.1")
    assert (row["smallest_attaining"], row["impossible_below"], row["binding"]) == (None, None, False)
    assert "no floor" in floor(*arguments, "--target", "0.1")[1]


def test_memory_is_set_through_its_horizon_or_a_mapping(floor):
    arguments = ["--horizon", "32", "--model", "tcn", "--size", "1"]
    assert floor("impulse", "--h95", "9", *arguments)[1].startswith("impulse(alpha=8), horizon 32, H95 9")
    assert floor("{family: sine, frequency: 0.5}", *arguments)[1].startswith("sine(frequency=0.5)")
    mixed = (
        '{"family": "sum", "terms": [{"family": "impulse", "alpha": 3}, {"family": "impulse", "alpha": 7}]}'
    )
    assert floor(mixed, *arguments)[1].startswith("impulse(alpha=3) + impulse(alpha=7), horizon 32, H95 8")


@pytest.mark.parametrize("ending", ["html", "svg", "png", "pdf"])
def test_the_chart_is_written_as_its_ending_says_and_needs_no_network(floor, tmp_path, ending):
    path = tmp_path / "new folder" / f"chart.{ending}"
    arguments = ["polynomial", "--alpha", "0.8", "--horizon", "20", "--size", "1,2"]
    code, output, _ = floor(*arguments, "--model", "fir", "--model", "no_positions", "-o", str(path))
    assert code == 0
    assert output.splitlines()[-1].endswith(str(path))
    assert path.stat().st_size > 2000
    if ending == "html":
        text = path.read_text()
        assert "<title>polynomial(alpha=0.8)</title>" in text
        assert "<script src" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["polynomal", "--alpha", "1"], "did you mean 'polynomial'"),
        (["polynomial"], "polynomial needs a strength: --alpha, or --h95"),
        (["impulse", "--alpha", "3", "--h95", "4"], "give one of them"),
        (["impulse", "--alpha", "-1"], "greater than or equal to 0"),
        (["impulse", "--alpha", "nan"], "finite"),
        (["impulse", "--alpha", "300"], "zero at every lag below 256: take a larger --horizon"),
        (["impulse", "--h95", "0"], "h95 >= 1"),
        (["impulse", "--h95", "999"], "reachable are 1 to 256"),
        (["sine", "--h95", "9"], "with an alpha"),
        (["airy", "--alpha", "9", "--option", "widht=3"], "did you mean 'width'"),
        (["airy", "--alpha", "9", "--option", "width"], "expected NAME=VALUE"),
        (["airy", "--alpha", "9", "--option", "width=["], "as YAML or JSON"),
        (["{family: impulse", "--alpha", "9"], "as YAML or JSON"),
        (["{famly: impulse}", "--alpha", "9"], "unknown memory function"),
        (["impulse", "--alpha", "3", "--size", "0"], "sizes are at least 1, got 0"),
        (["impulse", "--alpha", "3", "--size", "8:2"], "write 2:8"),
        (["impulse", "--alpha", "3", "--size", "1:x"], "cannot read '1:x'"),
        (["impulse", "--alpha", "3", "--size", ""], "cannot read ''"),
        (["impulse", "--alpha", "3", "--size", "1:999999999"], "at most 4096 sizes"),
        (["impulse", "--alpha", "3", "--target", "-1"], "a target above 0, got -1"),
        (["impulse", "--alpha", "3", "--target", "nan"], "a target above 0, got nan"),
        (["impulse", "--alpha", "3", "--horizon", "0"], "--horizon"),
        (["impulse", "--alpha", "3", "--model", "lsmt"], "did you mean 'lstm'"),
        (["impulse", "--alpha", "3", "--weighting", "windows"], "--weighting"),
        (["impulse", "--alpha", "3", "-o", "chart.txt"], "ends in .html, .svg, .png, .pdf"),
        (["impulse", "--alpha", "3", "--option", "family=airy"], "the family is the first argument"),
        (
            ["{family: impulse}", "--alpha", "3", "--option", "family=airy"],
            "the family is the first argument",
        ),
        (["impulse", "--alpha", "3", "--size", "x", "-o", "new/chart.svg"], "cannot read 'x'"),
    ],
)
def test_a_bad_question_ends_with_2_and_one_message_before_anything_is_computed(
    floor, tmp_path, arguments, message
):
    code, output, errors = floor(*arguments)
    assert (code, output) == (2, "")
    assert message in " ".join(errors.split())
    assert "Traceback" not in errors
    assert "internal" not in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("folder.svg", "this is a folder; take folder.svg/recollect-floor.svg"),
        ("file/chart.svg", "-o file/chart.svg: cannot write there (File exists); name another place"),
        ("file/new/chart.svg", "-o file/new/chart.svg: cannot write there (Not a directory); name another"),
    ],
)
def test_a_place_for_no_chart_is_refused_before_anything_is_computed(
    floor, tmp_path, monkeypatch, output, message
):
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr("recollect.cli.floor._floors", None)
    code, printed, errors = floor("impulse", "--alpha", "3", "-o", output)
    assert (code, printed) == (2, "")
    assert errors.count("\n") == 1
    assert message in errors


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_computed(floor, monkeypatch):
    def refuse(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("recollect.cli.output_file.TemporaryFile", refuse)
    monkeypatch.setattr("recollect.cli.floor._floors", None)
    code, printed, errors = floor("impulse", "--alpha", "3", "-o", "closed/chart.svg")
    assert (code, printed) == (2, "")
    assert (
        errors == "error: -o closed/chart.svg: cannot write there (Permission denied); name another place.\n"
    )


def test_the_help_names_together_only_names_of_one_class(floor):
    output = " ".join(floor("--help")[1].replace("│", " ").split())
    assert (
        "ssm (or linear_rnn: any matrix), lru (or s4d: diagonal), real_ssm, tcn (or fir, gated_conv)"
        in output
    )
    for one, others in {"ssm": ["linear_rnn"], "lru": ["s4d"], "tcn": ["fir", "gated_conv"]}.items():
        assert all(find_class(other) == find_class(one) for other in others)
    assert len({repr(find_class(name)) for name in BOUNDED}) == len(BOUNDED)
    assert all(name in output for name in BOUNDED)


def test_every_bounded_class_has_a_mark_of_its_own_in_the_chart():
    rows = [_row(name, lower=0.1, attained=0.2) for name in BOUNDED]
    (points,) = [layer for layer in floor_by_size(rows, title="")["layer"] if "shape" in layer["encoding"]]
    scales = [points["encoding"][channel]["scale"] for channel in ("color", "shape")]
    for scale in scales:
        assert scale["domain"] == list(BOUNDED)
        assert len(set(scale["range"])) == len(BOUNDED)


@pytest.mark.parametrize(
    ("lower", "attained", "target", "is_said"),
    [(0.1, 0.2, None, False), (1e-20, 0.2, None, True), (0, 0, None, True), (1e-9, 0.2, 0.1, True)],
)
def test_the_chart_says_when_an_error_is_below_its_lower_end(lower, attained, target, is_said):
    spec = floor_by_size([_row("ssm", lower, attained)], title="", target=target)
    said = "Smaller errors are drawn at the lower end." in spec["title"]["subtitle"]
    assert said == is_said


def _row(name, lower, attained):
    return {"model": name, "unit": "states", "size": 4, "lower": lower, "attained": attained, "how": "so"}


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("4", [4]), ("1,2,4", [1, 2, 4]), ("3:6", [3, 4, 5, 6]), ("8, 2:3,2", [2, 3, 8]), ("7:7", [7])],
)
def test_sizes_are_numbers_lists_and_ranges(text, sizes):
    assert parse_sizes(text) == sizes


def _table_rows(output):
    return [
        [cell.strip() for cell in line.split("│")] for line in output.splitlines() if line.count("│") == 5
    ]
