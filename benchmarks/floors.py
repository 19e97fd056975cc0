"""`python -m benchmarks.floors`: the table of floors of five memory functions, and a horizon of 4096.

Lower bounds and constructions of linear recurrences, uniform lag weights, unit norm, horizon 256, beside the
values that were known when the project began (each computed twice, by other code). Times are CPU seconds of
one thread.
"""

import argparse
import time
from typing import Any

import torch

from benchmarks.timing import markdown_table, save
from recollect.floors import Floor, LinearRecurrence, Problem
from recollect.memory import FAMILIES

HORIZON, SIZES = 256, (1, 2, 4, 8)
LONG_HORIZON, LONG_SIZES = 4096, (1, 2, 4, 8, 16, 32, 64)
KERNELS: dict[str, dict[str, Any]] = {
    "polynomial 1.1": {"family": "polynomial", "alpha": 1.1},
    "polynomial 0.6": {"family": "polynomial", "alpha": 0.6},
    "impulse 32": {"family": "impulse", "alpha": 32},
    "Ai((s-32)/6)": {"family": "airy", "alpha": 32, "width": 6},
    "Ai((s-96)/6)": {"family": "airy", "alpha": 96, "width": 6},
}
KNOWN = {
    "polynomial 1.1": ((1.9e-2, 5.95e-2), (9.9e-4, 6.4e-3), (2.3e-6, 3.2e-5), (2.6e-12, 6.7e-11)),
    "polynomial 0.6": ((5.4e-2, 2.1e-1), (2.3e-3, 1.5e-2), (3.2e-6, 4.1e-5), (2.4e-12, 5.9e-11)),
    "impulse 32": ((0.970, 0.989), (0.939, 0.969), (0.879, 0.920), (0.758, 0.812)),
    "Ai((s-32)/6)": ((0.516, 0.854), (0.248, 0.492), (1.0e-3, 8.7e-3), (5.0e-12, 1.1e-10)),
    "Ai((s-96)/6)": ((0.784, 0.983), (0.671, 0.802), (0.521, 0.668), (0.289, 0.429)),
}
"""NMSE: lower bound and best fit at each of `SIZES`."""

ASKED_TABLE, ASKED_LONG = 10, 60


def floors(kernel: dict[str, Any], horizon: int, sizes: tuple[int, ...]) -> tuple[list[Floor], float]:
    """The floors of one memory function, and the CPU seconds that they took."""
    rho = FAMILIES[kernel["family"]].parse(kernel).values(horizon, normalisation="l2")
    started = time.process_time()
    found = LinearRecurrence().floors(Problem(rho), sizes)
    return found, time.process_time() - started


def _table(horizon: int, sizes: tuple[int, ...]) -> tuple[list[list[str]], float]:
    """A row for each memory function: bound and fit at each size, then its time; and all times together."""
    rows, total = [], 0.0
    for name, kernel in KERNELS.items():
        found, seconds = floors(kernel, horizon, sizes)
        total += seconds
        known = KNOWN[name] if horizon == HORIZON else [None] * len(sizes)
        cells = [_cell(floor, value) for floor, value in zip(found, known, strict=True)]
        rows.append([name, *cells, f"{seconds:.2f}"])
        print(f"  {' | '.join(rows[-1])}", flush=True)
    return rows, total


def _cell(floor: Floor, known: tuple[float, float] | None) -> str:
    shown = f"{floor.lower:.3g} / {floor.attained:.3g}"
    return shown if known is None else f"{shown} (known: {known[0]:.3g} / {known[1]:.3g})"


def main() -> None:
    """Print both tables as Markdown, and keep them with `--save`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = []
    for horizon, sizes, asked in ((HORIZON, SIZES, ASKED_TABLE), (LONG_HORIZON, LONG_SIZES, ASKED_LONG)):
        rows, total = _table(horizon, sizes)
        slowest = max(float(row[-1]) for row in rows)
        figure, over = (total, "for the table") if horizon == HORIZON else (slowest, "for a memory function")
        verdict = f"{figure:.1f} s {over}, asked {asked} s: {'met' if figure <= asked else 'missed'}"
        header = ["memory function", *(f"m = {size}" for size in sizes), "s"]
        parts.append(f"Horizon {horizon}: {verdict}.\n\n{markdown_table(header, rows)}")
    text = "NMSE as lower bound / best explicit model, by number m of real states.\n\n" + "\n\n".join(parts)
    print(f"\n{text}")
    if options.save:
        print(f"kept in {save('floors', text)}")


if __name__ == "__main__":
    main()
