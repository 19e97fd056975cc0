"""Held-out quality on 16 systems of the benchmark: errors beside those of least squares, and coverage."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcomes():
    # In a process of its own: with shapes checked at every call, 16 fits take three times as long.
    command = [sys.executable, "-m", "benchmarks.estimation", "--cut"]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(answer.splitlines()[-1])


def test_the_cut_has_every_kind_input_and_noise_level(outcomes):
    assert len(outcomes) == 16
    assert len({(one["kind"], one["coloured"]) for one in outcomes}) == 8
    assert {one["snr"] for one in outcomes} == {5, 10, 20, 30}


def test_errors_are_half_those_of_least_squares_in_the_median_and_never_much_worse(outcomes):
    ratios = [one["least_squares"] / one["error"] for one in outcomes]
    assert np.median(ratios) >= 2
    assert min(ratios) >= 1 / 1.2


def test_bands_cover_at_about_their_nominal_rate(outcomes):
    assert 0.88 <= np.mean([one["coverage"] for one in outcomes]) <= 0.99
