import numpy as np
import pandas as pd
import pytest

from recollect.core import ConfigError
from recollect.diagnosis import DataError, read_series
from recollect.diagnosis.stationarity import drift_warnings, unit_root_statistic

N = 30
RNG = np.random.default_rng(3)
U, V, Y = (RNG.standard_normal(N).round(4) for _ in range(3))


def rows(*, first="t", times=None):
    """The lines of a well-formed file: a time, two inputs, a target."""
    times = range(N) if times is None else times
    return [f"{first},u,v,y", *(f"{t},{u},{v},{y}" for t, u, v, y in zip(times, U, V, Y, strict=True))]


def written(folder, lines, name="data.csv"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def read(folder, lines, **options):
    return read_series(written(folder, lines), **({"inputs": ["u", "v"], "target": "y"} | options))


def test_inputs_and_target_are_the_named_columns_in_the_order_asked(tmp_path):
    series = read(tmp_path, rows(), inputs=["v", "u"])
    np.testing.assert_array_equal(series.inputs, np.stack([V, U], axis=1))
    np.testing.assert_array_equal(series.target, Y)
    assert (series.input_names, series.target_name) == (("v", "u"), "y")
    assert (series.num_segments, series.step, series.autonomous, series.notes) == (1, None, False, ())
    assert series.source == str(tmp_path / "data.csv")


def test_every_kind_of_file_and_of_object_gives_the_same_series(tmp_path):
    frame = pd.DataFrame({"u": U, "y": Y})
    csv, tsv, semicolons, parquet, npz = (
        tmp_path / n for n in ("a.csv", "a.tsv", "b.csv", "a.parquet", "a.npz")
    )
    frame.to_csv(csv)
    frame.to_csv(tsv, sep="\t", index=False)
    frame.to_csv(semicolons, sep=";", decimal=",", index=False)
    frame.to_parquet(parquet)
    np.savez(npz, u=U, y=Y)
    for source in (csv, str(tsv), semicolons, parquet, npz, frame):
        series = read_series(source, inputs=["u"], target="y")
        np.testing.assert_array_equal(series.inputs[:, 0], U)
        np.testing.assert_array_equal(series.target, Y)
    npy = tmp_path / "a.npy"
    np.save(npy, np.stack([U, Y], axis=1))
    for source in (npy, np.load(npy)):
        np.testing.assert_array_equal(read_series(source, inputs=["0"], target="1").target, Y)


def test_without_inputs_the_input_is_the_value_before():
    series = read_series(Y)
    np.testing.assert_array_equal(series.inputs[:, 0], Y[:-1])
    np.testing.assert_array_equal(series.target, Y[1:])
    assert series.autonomous
    assert "one step ahead" in series.notes[-1]
    beside = read_series(pd.DataFrame({"u": U, "y": Y}), inputs=["u"], target="y", own_past=True)
    np.testing.assert_array_equal(beside.inputs, np.stack([U[1:], Y[:-1]], axis=1))
    assert beside.input_names == ("u", "past of y")
    assert not beside.autonomous


def test_the_only_column_of_numbers_beside_time_and_group_is_the_target(tmp_path):
    lines = ["day,place,y", *(f"{day},{'ab'[day % 2]},{y}" for day, y in enumerate(Y))]
    series = read_series(written(tmp_path, lines), time="day", group="place")
    assert series.target_name == "y"
    with pytest.raises(DataError, match=r"which column .* numbers: day, y"):
        read_series(written(tmp_path, lines))


def test_interleaved_groups_become_sequences_of_their_own():
    frame = pd.DataFrame({"g": np.arange(N) % 2, "y": Y})
    series = read_series(frame, target="y", group="g")
    np.testing.assert_array_equal(series.target, np.concatenate([Y[::2][1:], Y[1::2][1:]]))
    np.testing.assert_array_equal(series.segments, np.repeat([0, 1], N // 2 - 1))
    assert series.notes[0] == "2 sequences by g."


def test_a_gap_in_the_times_ends_a_sequence_and_no_past_crosses_it(tmp_path):
    times = [t if t < 10 else t + 3 for t in range(N)]
    series = read(tmp_path, rows(times=times), inputs=[], time="t")
    np.testing.assert_array_equal(series.target, np.delete(Y, [0, 10]))
    np.testing.assert_array_equal(series.inputs[:, 0], np.delete(Y, [9, N - 1]))
    np.testing.assert_array_equal(series.segments, np.repeat([0, 1], [9, N - 11]))
    assert "1 gap in t (after row 11)" in series.notes[0]


def test_a_missing_value_splits_the_sequence_if_that_is_asked(tmp_path):
    lines = rows()
    lines[8] = f"7,{U[7]},,{Y[7]}"
    series = read(tmp_path, lines, missing="split")
    np.testing.assert_array_equal(series.target, np.delete(Y, 7))
    np.testing.assert_array_equal(series.segments, np.repeat([0, 1], [7, N - 8]))
    assert series.notes == ("1 row with missing values cut out, 2 sequences left.",)
    alone = read(tmp_path, lines, inputs=["u"])
    assert alone.num_segments == 1, "a column that is not used may have gaps"


def test_an_empty_line_is_a_missing_row_unless_it_is_at_the_end(tmp_path):
    lines = ["y", *map(str, Y)]
    assert read_series(written(tmp_path, [*lines, "", ""])).num_rows == N - 1
    with pytest.raises(DataError, match=r"row 7, column 'y': the value is missing"):
        read_series(written(tmp_path, [*lines[:6], "", *lines[6:]]))


def test_differences_are_taken_inside_each_sequence_and_keep_a_linear_relation(tmp_path):
    series = read(tmp_path, rows(times=[*range(10), *range(20, 40)]), time="t", difference=True)
    kept = np.delete(np.arange(N), [0, 10])
    np.testing.assert_allclose(series.target, np.diff(Y, prepend=0)[kept], atol=0)
    np.testing.assert_allclose(series.inputs[:, 1], np.diff(V, prepend=0)[kept], atol=0)
    assert series.num_segments == 2


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (pd.date_range("2001-01-31", periods=N, freq="ME"), "month"),
        (pd.date_range("2001-01-01", periods=N, freq="QS").strftime("%Y-%m"), "quarter"),
        ([f"{2001 + i // 4}Q{i % 4 + 1}" for i in range(N)], "quarter"),
        (pd.date_range("2001-01-01", periods=N, freq="YS"), "year"),
        (pd.date_range("2001-01-03", periods=N, freq="B"), "working day"),
        (pd.date_range("2001-02-03", periods=N, freq="D").strftime("%d/%m/%Y"), "day"),
        (pd.date_range("2001-02-03", periods=N, freq="7D"), "7 days"),
        (pd.date_range("2001-02-03", periods=N, freq="15min"), "00:15:00"),
        (1700 + np.arange(N) / 12, "0.0833333"),
        (np.arange(N) + 0.01 * U, "1.0"),
    ],
)
def test_regular_times_of_every_kind_have_no_gaps(times, step):
    series = read_series(pd.DataFrame({"t": times, "y": Y}), target="y", time="t")
    assert series.num_segments == 1
    assert series.step is not None
    assert series.step.startswith(step[:3] if step == "1.0" else step) or abs(float(series.step) - 1) < 0.02


def test_an_index_of_dates_is_a_column(tmp_path):
    frame = pd.DataFrame({"y": Y}, index=pd.date_range("2001-01-31", periods=N, freq="ME", name="month"))
    frame.to_parquet(tmp_path / "a.parquet")
    for source in (frame.drop(frame.index[9]), tmp_path / "a.parquet"):
        assert read_series(source, time="month").step == "month"
    assert read_series(frame.drop(frame.index[9]), time="month").num_segments == 2


def test_a_word_among_dates_is_named_and_whole_numbers_can_be_dates():
    days = pd.date_range("2001-12-20", periods=N).strftime("%Y%m%d")
    series = read_series(pd.DataFrame({"t": days.astype(int), "y": Y}), target="y", time="t")
    assert (series.step, series.num_segments) == ("day", 1)
    words = [*pd.date_range("2001-12-20", periods=N - 1).strftime("%Y-%m-%d"), "soon"]
    with pytest.raises(DataError, match=r"row 30, column 't': cannot read 'soon' as a time"):
        read_series(pd.DataFrame({"t": words, "y": Y}), target="y", time="t")


def changed(row, line):
    """The lines of a well-formed file, one row of it (as the user counts them) another."""
    lines = rows()
    lines[row - 1] = line
    return lines


BAD_FILES = {
    "missing": (changed(8, "6,,1,2"), {}, "row 8, column 'u': the value is missing"),
    "not a number": (changed(9, "7,1,?,2"), {}, "row 9, column 'v': '?' is not a number"),
    "infinite": (changed(9, "7,1,-inf,2"), {}, "row 9, column 'v': '-inf' is not finite"),
    "time twice": (changed(9, "6,1,1,2"), {"time": "t"}, "row 9, column 't': the time 6 stands in row 8 too"),
    "time falls": (changed(9, "3,1,1,2"), {"time": "t"}, "row 9, column 't': the time 3 is before 6 of row"),
    "half a step": (changed(9, "6.5,1,1,2"), {"time": "t"}, "row 9, column 't': 0.5 steps after the row bef"),
    "time missing": (changed(9, ",1,1,2"), {"time": "t"}, "row 9, column 't': the time is missing"),
    "no time": (changed(9, "noon,1,1,2"), {"time": "t"}, "row 9, column 't': 'noon' is not a number"),
    "group missing": (changed(9, ",1,1,2"), {"group": "t"}, "row 9, column 't': the group is missing"),
    "many groups": (rows(), {"group": "t", "time": "u", "inputs": []}, "no group of"),
    "long row": (changed(9, "7,1,1,2,3"), {}, "row 9 has 5 cells, the header 4"),
    "long first row": (changed(2, "0,1,1,2,3"), {}, "row 2 has more cells than the 4"),
    "open quotation": (changed(31, '29,"1,1,2'), {}, "a quotation mark that opens in row 31 is never closed"),
    "constant input": (["u,v,y", *(f"3,{v},{v}" for v in V)], {}, "column 'u' is constant: 3 from row 2"),
    "nearly constant": (
        ["u,v,y", *(f"{1 + i % 2 * 2e-16},{v},{v}" for i, v in enumerate(V))], {},
        "column 'u' is constant"),
    "straight line": (
        ["u,v,y", *(f"{u},{v},{i}" for i, (u, v) in enumerate(zip(U, V, strict=True)))],
        {"difference": True},
        "column 'y' is constant after differencing",
    ),
    "short": (rows()[:10], {}, "has 9 rows that can be used"),
    "named twice": (["t,u,u,y", *rows()[1:]], {}, "names the column 'u' twice"),
    "unnamed": (["u,,v,y", *rows()[1:]], {}, "row 1 has no name for column 2"),
    "no header": (rows()[1:], {}, "row 1 holds numbers"),
    "only a header": (rows()[:1], {}, "no rows of values"),
    "unknown input": (rows(), {"inputs": ["uu"]}, "no column 'uu' for an input; did you mean 'u'? Columns:"),
    "unknown target": (rows(), {"target": "Y "}, "no column 'Y ' for the target"),
    "unknown time": (rows(), {"time": "time"}, "no column 'time' for the time"),
    "unknown group": (rows(), {"group": "tt"}, "no column 'tt' for the group"),
    "input twice": (rows(), {"inputs": ["u", "u"]}, "'u' is named twice"),
    "target is an input": (rows(), {"inputs": ["u", "y"]}, "'y' is both target and input"),
    "time is an input": (rows(), {"time": "u"}, "'u' is the time"),
    "group is the target": (rows(), {"group": "y"}, "'y' is the group"),
    "group is the time": (rows(), {"group": "t", "time": "t"}, "cannot be the group and the time"),
    "no target": (rows(), {"target": None}, "which column of"),
    "words for numbers": (rows(), {"missing": "drop"}, "missing='drop'. Possible: refuse, split"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "options", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_data_are_refused_with_row_and_column(tmp_path, lines, options, message):
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, lines, **options)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", "größe\n1\n".encode("latin-1"), "not text in UTF-8"),
        ("a.xlsx", b"PK", "ends in .csv, .tsv, .txt, .parquet, .npy, .npz"),
        ("a.parquet", b"PAR1", "cannot read"),
        ("a.npy", b"no array", "holds no plain array"),
        ("a.npz", b"no arrays", "holds no plain array"),
        ("b.csv", None, "there is no such file"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_series(tmp_path / name, target="y")


def test_columns_of_other_kinds_and_arrays_of_other_shapes_are_refused():
    frame = pd.DataFrame({"y": Y, "day": pd.date_range("2001-01-01", periods=N), "z": Y + 1j})
    with pytest.raises(DataError, match=r"'day' of the DataFrame holds datetime64"):
        read_series(frame, inputs=["day"], target="y")
    with pytest.raises(DataError, match=r"'z' .* holds complex128; the target needs numbers"):
        read_series(frame, target="z")
    with pytest.raises(DataError, match=r"expected the shape .* got \(2, 3, 4\)"):
        read_series(np.zeros((2, 3, 4)))


def test_the_unit_root_statistic_is_that_of_the_regression_solved_directly():
    y = RNG.standard_normal(80).cumsum()
    change, lags = np.diff(y), int(79 ** (1 / 3))
    design = np.stack(
        [y[lags:-1], np.ones(79 - lags), *(change[lags - i : 79 - i] for i in range(1, lags + 1))], axis=1
    )
    found, (squares,), rank, _ = np.linalg.lstsq(design, change[lags:])
    deviation = np.sqrt(squares / (79 - lags - rank) * np.linalg.inv(design.T @ design)[0, 0])
    assert unit_root_statistic(y) == pytest.approx(found[0] / deviation, rel=1e-9)


def test_walks_and_trends_are_warned_of_and_stationary_series_are_not():
    noise = np.random.default_rng(5).standard_normal(300)
    assert drift_warnings(read_series(noise)) == ()
    (walk,) = drift_warnings(read_series(noise.cumsum()))
    assert "unit root" in walk or "straight line" in walk
    (trend,) = drift_warnings(read_series(noise + 0.05 * np.arange(300)))
    assert "0 follows a straight line" in trend
    assert "--difference" in trend
    assert drift_warnings(read_series(noise.cumsum(), difference=True)) == ()
    both = pd.DataFrame({"u": noise + 0.05 * np.arange(300), "y": noise})
    (one,) = drift_warnings(read_series(both, inputs=["u"], target="y"))
    assert one.startswith("u follows")
