"""`python -m benchmarks.estimation`: how well the memory function of data is estimated, and how fast.

200 simulated systems (`benchmarks/systems.py`; 1000 to 2000 rows, 128 lags): relative error of the estimated
memory function, beside that of ordinary least squares with the same lags and rows, and the share of lags at
which the 95 % band holds the truth. Then 100,000 rows, 4 inputs, 512 lags: wall time and peak memory of a
fresh process.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.systems import LAGS, SNRS, System, make_system
from benchmarks.timing import RESULTS, markdown_table
from recollect.probing.estimation import MemoryEstimator
from recollect.probing.estimation.moments import lagged_moments
from recollect.studies.environment import environment

SYSTEMS = 200
CUT = [number for number in range(32) if (number // 8 + number) % 2 == 0]
"""Two of each kind and input, over the four noise levels: what the tests look at."""

ROWS, INPUTS, LARGE_LAGS = 100_000, 4, 512


@dataclass(frozen=True)
class Outcome:
    """One system: relative errors, share of lags inside the band, the prior chosen, seconds of CPU."""

    number: int
    kind: str
    coloured: bool
    snr: int
    error: float
    least_squares: float
    coverage: float
    prior: str
    seconds: float

    @property
    def ratio(self) -> float:
        return self.least_squares / self.error


def run_system(number: int) -> Outcome:
    """Estimate one system in both ways."""
    system = make_system(number)
    started = time.process_time()
    estimate = MemoryEstimator(LAGS).fit(system.inputs, system.target)
    seconds = time.process_time() - started
    inside = (estimate.lower_[:, 0] <= system.memory) & (system.memory <= estimate.upper_[:, 0])
    norm = np.linalg.norm(system.memory)
    return Outcome(
        number=number,
        kind=system.kind,
        coloured=system.coloured,
        snr=system.snr,
        error=float(np.linalg.norm(estimate.memory_[:, 0] - system.memory) / norm),
        least_squares=float(np.linalg.norm(_least_squares(system) - system.memory) / norm),
        coverage=float(inside.mean()),
        prior=estimate.prior_,
        seconds=seconds,
    )


def _least_squares(system: System) -> np.ndarray:
    spans = [(0, len(system.target))]
    equations = lagged_moments(system.inputs[:, None], system.target, spans, LAGS).centred()
    return np.linalg.solve(equations.gram, equations.cross)


def table(outcomes: list[Outcome]) -> str:
    """By kind and input, then by noise level, then all."""
    rows = []
    for kind in dict.fromkeys(one.kind for one in outcomes):
        for coloured in (False, True):
            part = [one for one in outcomes if (one.kind, one.coloured) == (kind, coloured)]
            rows += [_row(f"{kind}, {'coloured' if coloured else 'white'} input", part)] if part else []
    rows += [_row(f"{snr} dB", [one for one in outcomes if one.snr == snr]) for snr in SNRS]
    header = ["systems", "count", "median error", "least squares", "median ratio", "worst ratio", "coverage"]
    return markdown_table(header, [*rows, _row("all", outcomes)])


def _row(name: str, part: list[Outcome]) -> list[str]:
    ratios = [one.ratio for one in part]
    return [
        name,
        str(len(part)),
        f"{np.median([one.error for one in part]):.4f}",
        f"{np.median([one.least_squares for one in part]):.4f}",
        f"{np.median(ratios):.2f}",
        f"{min(ratios):.2f}",
        f"{np.mean([one.coverage for one in part]):.3f}",
    ]


def large_case() -> dict[str, float]:
    """Seconds of wall time and GiB of peak memory for 100,000 rows, 4 inputs, 512 lags, in this process."""
    rng = np.random.default_rng(6)
    inputs = rng.normal(size=(ROWS, INPUTS))
    lags = np.arange(LARGE_LAGS)
    memories = [
        np.exp(-lags / 40),
        (1 + lags) ** -1.2,
        1.0 * (lags == 50),
        np.exp(-lags / 60) * np.cos(0.2 * lags),
    ]
    parts = [np.convolve(inputs[:, i], memory)[:ROWS] for i, memory in enumerate(memories)]
    output = np.sum(parts, axis=0)
    before, cpu = time.perf_counter(), time.process_time()
    estimate = MemoryEstimator(LARGE_LAGS).fit(inputs, output + 0.3 * output.std() * rng.normal(size=ROWS))
    wall, cpu = time.perf_counter() - before, time.process_time() - cpu
    truth = np.stack(memories, axis=1)
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "error": float(np.linalg.norm(estimate.memory_ - truth) / np.linalg.norm(truth)),
        "coverage": float(np.mean((estimate.lower_ <= truth) & (truth <= estimate.upper_))),
    }


def _in_fresh_process() -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.estimation", "--large"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(answer.splitlines()[-1])


def main() -> None:
    """Run both, print tables, keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="only the large case, in this process")
    parser.add_argument("--cut", action="store_true", help="only 16 systems, as JSON")
    parser.add_argument("--systems", type=int, default=SYSTEMS, help="how many systems")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    arguments = parser.parse_args()
    if arguments.large:
        print(json.dumps(large_case()))
        return
    if arguments.cut:
        print(json.dumps([asdict(run_system(number)) for number in CUT]))
        return
    outcomes = []
    for number in range(arguments.first, arguments.first + arguments.systems):
        outcomes.append(run_system(number))
        one = outcomes[-1]
        system = f"{number:4d} {one.kind:13s} {'coloured' if one.coloured else 'white':8s} {one.snr:2d} dB"
        quality = f"error {one.error:.4f}  ratio {one.ratio:7.2f}  coverage {one.coverage:.2f}"
        print(f"{system}  {quality}  {one.prior}  {one.seconds:.1f} s", flush=True)
    print(table(outcomes))
    large = _in_fresh_process()
    print(large)
    result = {"environment": environment(), "systems": [asdict(one) for one in outcomes], "large": large}
    (RESULTS / "estimation.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
