import dataclasses
import json
import math

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import t as student

from recollect.core import ConfigError
from recollect.memory import energy_horizon
from recollect.probing import LagEstimate, MemoryProfile, memory_of, sequence_map

LAGS, OUTPUTS, INPUTS = 9, 2, 3


def _estimate(**changed):
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(LAGS, OUTPUTS, INPUTS, dtype=torch.float64, generator=rng)
    values *= 0.6 ** torch.arange(LAGS, dtype=torch.float64)[:, None, None]
    known = {
        "estimator": "jacobian",
        "quantity": "mean Jacobian",
        "values": values,
        "standard_errors": 0.01 + 0.01 * torch.rand(values.shape, dtype=torch.float64, generator=rng),
        "degrees_of_freedom": 31,
        "rms": values.abs() + 0.1,
        "output_variance": torch.tensor([40.0, 50.0], dtype=torch.float64),
        "input_variance": torch.tensor([1.0, 4.0, 0.25], dtype=torch.float64),
        "background": "white Gaussian, deviations 1, 2, 0.5",
        "amplitude": 1.3,
        "position": LAGS - 1,
        "samples": 32,
        "length": LAGS,
        "is_white_gaussian": True,
    }
    return LagEstimate(**{**known, **changed})


def _early(estimate, position):
    lags = slice(position + 1)
    rms = None if estimate.rms is None else estimate.rms[lags]
    return dataclasses.replace(
        estimate,
        values=estimate.values[lags],
        standard_errors=estimate.standard_errors[lags],
        rms=rms,
        position=position,
        length=position + 1,
    )


def _filtered(taps):
    """The linear map with these taps of one input."""

    def apply(x):
        padded = torch.nn.functional.pad(x[..., 0], (len(taps) - 1, 0))
        return torch.nn.functional.conv1d(padded[:, None], taps.flip(0)[None, None].to(x.dtype)).transpose(
            1, 2
        )

    return sequence_map(apply, input_size=1, name="filter")


def _before(x, lag=1):
    return torch.nn.functional.pad(x, (0, 0, lag, 0))[:, : x.shape[1]]


TAPS = torch.tensor([0.5, -0.25, 0.0, 1.0, 0.125], dtype=torch.float64)


def test_the_band_is_student_s():
    profile = MemoryProfile(_estimate(), 0.9)
    reach = student.ppf(0.95, 31) * profile.estimate.standard_errors
    torch.testing.assert_close(profile.upper - profile.values, reach, rtol=1e-10, atol=0)
    torch.testing.assert_close(profile.values - profile.lower, reach, rtol=1e-10, atol=0)


def test_the_magnitude_is_cleared_of_noise():
    estimate = _estimate()
    magnitude = MemoryProfile(estimate, 0.95).magnitude
    energy = (estimate.values**2 - estimate.standard_errors**2).sum((1, 2)).clamp(min=0)
    torch.testing.assert_close(magnitude.square(), energy, rtol=1e-10, atol=1e-12)
    silent = _estimate(values=torch.zeros(LAGS, OUTPUTS, INPUTS, dtype=torch.float64))
    assert MemoryProfile(silent, 0.95).magnitude.max() == 0


def test_the_bracket_is_an_equality_for_a_linear_map():
    profile = memory_of(_filtered(TAPS), length=12, samples=16)
    lower, upper = profile.bracket
    torch.testing.assert_close(lower, upper, rtol=0, atol=1e-12)
    torch.testing.assert_close(upper[:5, 0, 0], TAPS.square(), rtol=0, atol=1e-10)
    assert profile.content_adaptivity.value == pytest.approx(0, abs=1e-10)
    assert profile.linear_share.lower <= 1 <= profile.linear_share.upper
    assert profile.numbers.h95.value == energy_horizon(TAPS, 0.95)
    assert profile.numbers.delay == 0


def test_the_bracket_weighs_each_input_by_its_variance():
    estimate = _estimate()
    lower, upper = MemoryProfile(estimate, 0.95).bracket
    torch.testing.assert_close(upper[:, :, 1], 4 * estimate.rms[:, :, 1] ** 2, rtol=1e-10, atol=0)
    assert (lower <= upper).all()


def test_a_product_of_two_inputs_is_all_content():
    """y_t = x_t x_{t-1}: no mean memory, slopes of mean square 1 at two lags, variance 1."""
    product = sequence_map(lambda x: x * _before(x), input_size=1, name="product")
    profile = memory_of(product, length=8, samples=2000)
    content = profile.content_adaptivity
    assert content.value == pytest.approx(1, abs=0.01)
    assert content.upper == 1
    assert profile.linear_share.value == pytest.approx(0, abs=0.01)
    lower, upper = profile.bracket
    assert upper[:2, 0, 0].tolist() == pytest.approx([1, 1], rel=0.15)
    assert lower.max() < 0.01
    # Its variance of 1 lies between the sums: it is due to either lag, or to both.
    assert lower.sum() <= 1 <= upper.sum()


def test_a_saturated_filter_has_its_closed_form_shares():
    """y = sign-like tanh(g x_{t-2}): k = E tanh', by quadrature."""
    gain, nodes = 1.5, 80
    points, weights = (torch.tensor(part) for part in _gauss(nodes))
    slope = gain / (gain * points).cosh().square()
    mean, square = float(weights @ slope), float(weights @ slope.square())
    variance = float(weights @ (gain * points).tanh().square())
    bent = sequence_map(lambda x: torch.tanh(gain * _before(x, 2)), input_size=1, name="bent")
    profile = memory_of(bent, length=6, samples=3000)
    assert profile.content_adaptivity.value == pytest.approx(1 - mean**2 / square, abs=0.03)
    share = profile.linear_share
    assert share.lower < mean**2 / variance < share.upper
    assert profile.numbers.delay == 2


def _gauss(nodes):
    from numpy.polynomial.hermite_e import hermegauss

    points, weights = hermegauss(nodes)
    return points, weights / math.sqrt(2 * math.pi)


def test_a_map_that_does_not_change_along_the_sequence_does_not_depend_on_position():
    bent = sequence_map(lambda x: torch.tanh(x + 0.8 * _before(x) * x), input_size=1, name="bent")
    # Another seed of the positions would be another sample: the interval holds 0 at its rate.
    held = [
        interval.lower
        for seed in range(20)
        for interval in memory_of(bent, length=16, samples=32, seed=seed).position_dependence.values()
    ]
    assert sum(lower > 0 for lower in held) <= 5


def test_a_mean_over_the_past_depends_on_position():
    def mean(x):
        return x.cumsum(1) / torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]

    profile = memory_of(sequence_map(mean, input_size=1, name="mean"), length=16, samples=8, positions=[3, 7])
    # 4 lags of 1/4 against 4 lags of 1/16, 8 lags of 1/8 against 8 lags of 1/16.
    expected = {3: (1 / 4 - 1 / 16) ** 2 / (1 / 16 + 1 / 256), 7: (1 / 16) ** 2 / (1 / 64 + 1 / 256)}
    for position, value in expected.items():
        interval = profile.position_dependence[position]
        assert (interval.lower, interval.value, interval.upper) == pytest.approx((value,) * 3, abs=1e-10)


def test_opposite_memories_differ_by_two_and_disjoint_ones_by_one():
    exact = _estimate(standard_errors=torch.zeros(LAGS, OUTPUTS, INPUTS, dtype=torch.float64))
    early = _early(exact, 4)
    opposite = dataclasses.replace(early, values=-early.values)
    assert MemoryProfile(exact, 0.95, {4: opposite}).position_dependence[4].value == pytest.approx(2)
    first = torch.zeros(LAGS, 1, 1, dtype=torch.float64)
    first[0], second = 1, torch.zeros(5, 1, 1, dtype=torch.float64)
    second[1] = 1
    one = torch.ones(1, dtype=torch.float64)
    ones = {"input_variance": one, "output_variance": one, "rms": None}
    late = dataclasses.replace(exact, values=first, standard_errors=0 * first, **ones)
    other = dataclasses.replace(early, values=second, standard_errors=0 * second, **ones)
    assert MemoryProfile(late, 0.95, {4: other}).position_dependence[4].value == pytest.approx(1)


def test_the_linear_share_is_cleared_of_noise():
    """With 4,000 estimates of noise alone, the mean share is 0 before it is cut at 0; half are cut."""
    rng = torch.Generator().manual_seed(2)
    cut = 0
    for _ in range(200):
        noise = torch.randn(LAGS, OUTPUTS, INPUTS, dtype=torch.float64, generator=rng)
        estimate = _estimate(values=noise, standard_errors=torch.ones_like(noise))
        cut += MemoryProfile(estimate, 0.95).linear_share.value == 0
    assert 80 <= cut <= 130


def test_what_cannot_be_said_is_none_with_a_reason():
    black_box = MemoryProfile(_estimate(rms=None, estimator="impulse", is_white_gaussian=False), 0.95)
    assert (black_box.bracket, black_box.linear_share, black_box.content_adaptivity) == (None, None, None)
    assert set(black_box.not_measured) == {
        "bracket",
        "linear_share",
        "content_adaptivity",
        "position_dependence",
    }
    assert "estimator='jacobian'" in black_box.not_measured["content_adaptivity"]
    assert "white Gaussian" in black_box.not_measured["linear_share"]
    coloured = MemoryProfile(_estimate(is_white_gaussian=False), 0.95, {4: _early(_estimate(), 4)})
    assert set(coloured.not_measured) == {"bracket", "linear_share"}


def test_the_summary_is_plain_json():
    silent = torch.zeros(LAGS, OUTPUTS, INPUTS, dtype=torch.float64)
    for estimate in (_estimate(), _estimate(values=silent, standard_errors=silent, rms=silent)):
        summary = MemoryProfile(estimate, 0.95, {4: _early(estimate, 4)}, "mine").summary()
        assert json.loads(json.dumps(summary, allow_nan=False)) == summary
        assert summary["name"] == "mine"
        assert {"h50", "h95"} == set(summary["horizon"])


def test_the_frame_has_a_row_for_each_number():
    profile = MemoryProfile(_estimate(), 0.95)
    frame = profile.frame()
    assert len(frame) == LAGS * OUTPUTS * INPUTS
    row = frame[(frame["lag"] == 4) & (frame["output"] == 1) & (frame["input"] == 2)].iloc[0]
    assert row["value"] == float(profile.values[4, 1, 2])
    assert row["upper"] == float(profile.upper[4, 1, 2])
    assert row["rms"] == float(profile.rms[4, 1, 2])


@pytest.mark.parametrize("rms", ["kept", None])
def test_a_saved_profile_is_read_back_to_the_bit(tmp_path, rms):
    estimate = _estimate() if rms == "kept" else _estimate(rms=None, estimator="step", jump=0.1 + 0.2)
    saved = MemoryProfile(estimate, 0.9, {4: _early(estimate, 4), 2: _early(estimate, 2)}, "a/b: ü")
    loaded = MemoryProfile.load(saved.save(tmp_path / "profile.parquet"))
    assert (loaded.name, loaded.confidence, set(loaded.by_position)) == ("a/b: ü", 0.9, {2, 4})
    pairs = [(loaded.estimate, saved.estimate)]
    pairs += [(loaded.by_position[position], saved.by_position[position]) for position in (2, 4)]
    for got, want in pairs:
        for each in dataclasses.fields(LagEstimate):
            ours, theirs = getattr(got, each.name), getattr(want, each.name)
            same = torch.equal(ours, theirs) if isinstance(theirs, torch.Tensor) else ours == theirs
            assert same, each.name
    assert loaded.summary() == saved.summary()
    assert str(loaded) == str(saved)


def test_the_file_is_a_table_for_every_program(tmp_path):
    profile = MemoryProfile(_estimate(), 0.95, {4: _early(_estimate(), 4)})
    table = pd.read_parquet(profile.save(tmp_path / "profile.parquet"))
    last = table[table["position"] == LAGS - 1].drop(columns="position").reset_index(drop=True)
    pd.testing.assert_frame_equal(last, profile.frame())


def test_other_files_are_refused_with_the_reason(tmp_path):
    profile = MemoryProfile(_estimate(), 0.95)
    with pytest.raises(ConfigError, match=r"saved as \.parquet"):
        profile.save(tmp_path / "profile.csv")
    with pytest.raises(ConfigError, match="cannot write"):
        profile.save(tmp_path / "nowhere" / "profile.parquet")
    with pytest.raises(ConfigError, match="cannot read"):
        MemoryProfile.load(tmp_path / "absent.parquet")
    text = tmp_path / "text.parquet"
    text.write_text("no table")
    with pytest.raises(ConfigError, match="cannot read"):
        MemoryProfile.load(text)
    other = tmp_path / "other.parquet"
    pd.DataFrame({"value": [1.0]}).to_parquet(other)
    with pytest.raises(ConfigError, match="without a memory profile"):
        MemoryProfile.load(other)
    newer = profile.save(tmp_path / "newer.parquet")
    table = pq.read_table(newer)
    stored = table.schema.metadata[b"recollect.memory_profile"].replace(b'"version": 1', b'"version": 2')
    pq.write_table(table.replace_schema_metadata({b"recollect.memory_profile": stored}), newer)
    with pytest.raises(ConfigError, match="format 2"):
        MemoryProfile.load(newer)


def _drawn(chart):
    spec = chart.to_dict()
    return (
        [row for rows in spec["datasets"].values() for row in rows]
        if "datasets" in spec
        else spec["data"]["values"]
    )


def test_the_chart_draws_the_profile():
    profile = MemoryProfile(_estimate(), 0.95)
    rows = _drawn(profile.plot(most_channels=4))
    assert len(rows) == 4 * LAGS
    energy = profile.values.square().sum(0).flatten()
    assert {row["channel"] for row in rows} == {
        f"output {place // INPUTS}, input {place % INPUTS}" for place in energy.topk(4).indices.tolist()
    }
    row = next(row for row in rows if row["channel"] == rows[0]["channel"] and row["lag"] == 3)
    assert row["lower"] < row["value"] < row["upper"]


def test_magnitudes_on_a_logarithmic_axis_are_positive():
    rows = _drawn(MemoryProfile(_estimate(rms=None, estimator="impulse"), 0.95).plot(log=True))
    assert all(0 < row["lower"] <= row["value"] <= row["upper"] for row in rows)


def test_the_text_says_what_was_found():
    text = str(MemoryProfile(_estimate(), 0.95, {4: _early(_estimate(), 4)}, "mine"))
    for words in ("Memory of mine", "H50, H95", "linear share", "content adaptivity", "at 4"):
        assert words in text
    assert "linear share" not in str(MemoryProfile(_estimate(is_white_gaussian=False), 0.95))
    assert MemoryProfile(_estimate(), 0.95, name="<b>")._repr_html_().startswith("<pre>Memory of &lt;b&gt;")
