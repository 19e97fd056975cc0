"""`python -m benchmarks.probing`: how often the bands of the estimators cover a memory that is known.

Every estimator is run on every system of `known_memories` again and again, on other random inputs each time.
Coverage is the share of lags at which the band holds the truth. Lags of one repetition are not independent,
so its error is taken from the spread between repetitions. Lags at which all samples agree (a linear map has
no others) are counted apart: the band is that of rounding there. The width is the mean length of the other
bands over the largest value.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from scipy.stats import t as student_t
from torch import Tensor

from benchmarks.known_memories import LAGS, KnownMemory, known_memories
from benchmarks.timing import RESULTS, markdown_table, save
from recollect.probing.maps import SequenceMap, sequence_map
from recollect.probing.profile.estimate import LagEstimate
from recollect.probing.profile.memory_of import AT_ONE_POSITION, ESTIMATORS
from recollect.studies.environment import environment

LEVELS = (0.95, 0.68)
_AGREE = 1e-9


class Share(NamedTuple):
    """A share of lags, mean over repetitions, with its standard error; NaN where there are none."""

    value: float
    error: float

    @classmethod
    def of(cls, shares: list[float]) -> "Share":
        known = torch.tensor(shares, dtype=torch.float64)
        known = known[~known.isnan()]
        if len(known) < 2:
            return cls(math.nan, math.nan)
        return cls(float(known.mean()), float(known.std() / len(known) ** 0.5))

    def __str__(self) -> str:
        return "" if math.isnan(self.value) else f"{self.value:.3f} ± {self.error:.3f}"


def cover(system: KnownMemory, estimator: str, samples: int, repetitions: int) -> dict[str, Any] | None:
    """Coverage, width and seconds of one estimator on one system; None where there is no truth to cover."""
    truth = system.truth(estimator)
    if truth is None:
        return None
    probed = sequence_map(system.read, input_size=truth.shape[2], name="system")
    options = {} if system.is_invariant else AT_ONE_POSITION[estimator]
    largest = float(truth.abs().max()) or 1.0
    covered: dict[float, list[float]] = {level: [] for level in LEVELS}
    exact, widths = [], []
    started = time.process_time()
    for seed in range(repetitions):
        found = _estimate(probed, estimator, samples, seed, options)
        agrees = found.standard_errors < _AGREE * largest
        for level in LEVELS:
            holds = (found.values - truth).abs() <= _half_width(found, level)
            covered[level].append(float(holds[~agrees].double().mean()))
            if level == LEVELS[0]:
                exact.append(float(holds[agrees].double().mean()))
        widths.append(float(2 * _half_width(found, LEVELS[0])[~agrees].mean() / largest))
    return {
        "coverage": {f"{level:g}": Share.of(covered[level]) for level in LEVELS},
        "exact": Share.of(exact),
        "width": Share.of(widths),
        "milliseconds": 1e3 * (time.process_time() - started) / repetitions,
    }


def _estimate(
    probed: SequenceMap, estimator: str, samples: int, seed: int, options: dict[str, int]
) -> LagEstimate:
    return ESTIMATORS[estimator](probed, length=LAGS, samples=samples, seed=seed, **options)


def _half_width(found: LagEstimate, level: float) -> Tensor:
    return found.standard_errors * float(student_t.ppf((1 + level) / 2, found.degrees_of_freedom))


def main() -> None:
    """Print the table as Markdown; keep it, and as JSON, with `--save`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--repetitions", type=int, default=200, help="of each system and estimator")
    parser.add_argument("--samples", type=int, default=256, help="random sequences an estimate")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, dict[str, Any]] = {}
    rows = []
    for name, system in known_memories().items():
        for estimator in ESTIMATORS:
            found = cover(system, estimator, options.samples, options.repetitions)
            if found is None:
                continue
            results.setdefault(name, {})[estimator] = found
            shares = [found["coverage"][f"{level:g}"] for level in LEVELS]
            width = "" if math.isnan(found["width"].value) else f"{found['width'].value:.3g}"
            cells = [str(share) for share in [*shares, found["exact"]]]
            rows.append([name, estimator, *cells, width, f"{found['milliseconds']:.1f}"])
            print(f"  {' | '.join(rows[-1])}", flush=True)
    header = ["system", "estimator", *(f"{level:.0%} band" for level in LEVELS), "exact lags", "width"]
    header += ["ms"]
    note = (
        f"{options.repetitions} repetitions, {LAGS} lags, {options.samples} random sequences an estimate, "
        "white Gaussian input of deviation 1, jumps of 1; float64. CPU milliseconds an estimate."
    )
    text = f"{note}\n\n{markdown_table(header, rows)}"
    print(f"\n{text}")
    if options.save:
        print(f"kept in {save('probing', text)} and {_save_json(options, results)}")


def _save_json(options: argparse.Namespace, results: dict[str, dict[str, Any]]) -> Path:
    facts = {"repetitions": options.repetitions, "samples": options.samples, "lags": LAGS}
    document = {"environment": environment(), **facts, "systems": _plain(results)}
    path = RESULTS / "probing.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def _plain(value: Any) -> Any:
    """JSON has no word for NaN."""
    if isinstance(value, Share):
        return None if math.isnan(value.value) else {"value": value.value, "error": value.error}
    return {key: _plain(entry) for key, entry in value.items()} if isinstance(value, dict) else value


if __name__ == "__main__":
    main()
