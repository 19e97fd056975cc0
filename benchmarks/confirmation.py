"""`python -m benchmarks.confirmation`: is the recommended size adequate, and the next smaller one not?

Simulated systems (`benchmarks/systems.py`): each is diagnosed as a user's data would be, the best
recommendation is confirmed, and what was predicted is printed beside what was measured. Asked: the size is
adequate (trained error within 1.5 times the target) in 90 % of the cases, the next smaller one not in 80 %.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch

from benchmarks.systems import make_system
from benchmarks.timing import RESULTS, markdown_table
from recollect.diagnosis.confirmation import Trial
from recollect.diagnosis.diagnose import diagnose
from recollect.diagnosis.series import Series
from recollect.studies.environment import environment

ASKED_ADEQUATE, ASKED_SMALLER_IS_NOT = 0.9, 0.8
STRIDE = 7
"""Coprime to the cycle of the systems: a few numbers then show all kinds, inputs and noise levels."""


@dataclass(frozen=True)
class Outcome:
    """One system: what was recommended, and what training found."""

    number: int
    kind: str
    coloured: bool
    snr: int
    family: str | None
    size: int | None
    target: float
    noise_there: float | None
    adequate: bool | None
    smaller_is_not: bool | None
    trials: tuple[Trial, ...]
    diagnosis_seconds: float
    confirmation_seconds: float

    def measured(self, role: str) -> str:
        """Measured over predicted error of a role, in shares of the target."""
        found = [trial for trial in self.trials if trial.role == role]
        if not found:
            return "-"
        predicted = "?" if found[0].predicted is None else f"{found[0].predicted / self.target:.2f}"
        return f"{found[0].size}: {found[0].measured / self.target:.2f} ({predicted})"


def run_system(number: int) -> Outcome:
    """Diagnose and confirm one system."""
    system = make_system(number)
    inputs = system.inputs[:, None]
    segments = np.zeros(len(inputs), dtype=np.int64)
    series = Series(inputs, system.target, ("u",), "y", segments, None, False, (), f"system {number}")
    started = time.perf_counter()
    found = diagnose(series)
    diagnosed = time.perf_counter()
    confirmed = None if found.best is None else found.confirmed().confirmation
    return Outcome(
        number=number,
        kind=system.kind,
        coloured=system.coloured,
        snr=system.snr,
        family=None if found.best is None else found.best.family,
        size=None if found.best is None else found.best.size,
        target=found.target_nmse,
        noise_there=None if confirmed is None else confirmed.noise_there,
        adequate=None if confirmed is None else confirmed.adequate,
        smaller_is_not=None if confirmed is None else confirmed.smaller_is_not,
        trials=() if confirmed is None else confirmed.trials,
        diagnosis_seconds=diagnosed - started,
        confirmation_seconds=time.perf_counter() - diagnosed,
    )


def share(answers: list[bool | None]) -> str:
    """How many of those that there are say yes."""
    known = [answer for answer in answers if answer is not None]
    return f"{sum(known)}/{len(known)}" if known else "-"


def summary(outcomes: list[Outcome]) -> str:
    """How often, by kind, by input, by noise and in all."""
    groups = {one.kind: [other for other in outcomes if other.kind == one.kind] for one in outcomes}
    groups |= {
        f"{'coloured' if coloured else 'white'} input": [one for one in outcomes if one.coloured == coloured]
        for coloured in (False, True)
    }
    groups |= {f"{snr} dB": [one for one in outcomes if one.snr == snr] for snr in (5, 10, 20, 30)}
    rows = [
        [name, str(len(some)), share([o.adequate for o in some]), share([o.smaller_is_not for o in some])]
        for name, some in {**groups, "all": outcomes}.items()
        if some
    ]
    return markdown_table(["systems", "count", "adequate", "smaller is not"], rows)


def main() -> None:
    """Run some systems, print the tables, keep the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", type=int, default=40, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/confirmation.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    outcomes = []
    print("number kind input dB: family, measured over target (predicted) of smaller, recommended, larger")
    for number in range(arguments.first, arguments.first + STRIDE * arguments.systems, STRIDE):
        one = run_system(number)
        outcomes.append(one)
        measured = " | ".join(one.measured(role) for role in ("smaller", "recommended", "larger"))
        print(
            f"{number:4d} {one.kind:12s} {'coloured' if one.coloured else 'white':8s} {one.snr:2d}: "
            f"{one.family or 'none':10s} {measured} adequate={one.adequate} "
            f"smaller_is_not={one.smaller_is_not} "
            f"[{one.diagnosis_seconds:.0f} s + {one.confirmation_seconds:.0f} s]",
            flush=True,
        )
    print("\n" + summary(outcomes))
    print(f"\nAsked: adequate {ASKED_ADEQUATE:.0%}, the next smaller is not {ASKED_SMALLER_IS_NOT:.0%}.")
    if arguments.keep:
        document = {"environment": environment(), "outcomes": [asdict(one) for one in outcomes]}
        path = RESULTS / "confirmation.json"
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"Kept in {path}.")


if __name__ == "__main__":
    main()
