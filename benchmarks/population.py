"""`python -m benchmarks.population`: a training step on the expected loss against one on drawn examples.

Every affine mixer between a linear encoder and decoder, on one memory function. The whole step is
timed: drawing, loss, gradient, clipping, AdamW. Times are CPU seconds of one thread, which other processes
hardly change; the two kinds of step take turns, and the fastest of several rounds counts. No time is reported
where the losses disagree by more than their sampling error.
"""

import argparse
import time
from collections.abc import Callable
from itertools import repeat
from typing import Any

import torch

from benchmarks.timing import markdown_table, save
from recollect.models import ModelConfig
from recollect.tasks import FunctionalTask, stream
from recollect.training import (
    Objective,
    ParameterLayout,
    TrainingConfig,
    initial_training_state,
    loss_function,
    population_objective,
    training_step,
)

LENGTH, BATCH, DIM, ASKED = 1024, 64, 32, 20
STANDARD_ERRORS = 5
MIXERS: dict[str, dict[str, Any]] = {
    "ssm, real": {"mixer": "ssm"},
    "ssm, complex": {"mixer": "ssm", "options": {"states": "complex"}},
    "lru": {"mixer": "lru"},
    "s4d": {"mixer": "s4d"},
    "linear rnn": {"mixer": "rnn", "options": {"activation": "linear"}},
    "linear tcn": {"mixer": "tcn", "options": {"activation": "linear"}},
    "attention without content": {"mixer": "attention", "options": {"positions": "alibi", "content": False}},
    "regression, constant decay": {
        "mixer": "regression",
        "options": {"keys": "ones", "weights": {"kind": "constant_decay", "learned": True}},
    },
    "ssm, two layers": {"mixer": "ssm", "num_layers": 2},
}
TASK = FunctionalTask.parse({"memory": {"family": "exponential", "alpha": 0.05}, "length": LENGTH})


def compare(config: dict[str, Any], rounds: int) -> list[str]:
    """Milliseconds a step of either kind, and their ratio."""
    model = ModelConfig.parse(config | {"dim": DIM}).build(1, 1, seed=0)
    layout = ParameterLayout.of(model)
    sampled = Objective(
        loss_function(model, layout, TASK), stream(TASK, 0, "train", BATCH), 1.0, lambda trained: 0.0
    )
    exact = population_objective(model, layout, TASK)
    reason = _disagreement(model.double(), ParameterLayout.of(model))
    if reason:
        return [reason, "", "", "no times"]
    model.float()
    steps = {name: _step(objective, model) for name, objective in (("sampled", sampled), ("exact", exact))}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, count in (("sampled", 1), ("exact", 10)):
            seconds[name].append(_cpu_seconds(steps[name], count))
    slow, fast = (1e3 * min(seconds[name]) for name in ("sampled", "exact"))
    ratio = slow / fast
    return [f"{slow:.1f}", f"{fast:.2f}", f"{ratio:.0f}x", "met" if ratio >= ASKED else "missed"]


def _step(objective: Objective, model: torch.nn.Module) -> Callable[[], object]:
    layout, config = ParameterLayout.of(model), TrainingConfig(batch_size=BATCH)
    state, decayed = initial_training_state(model, layout, torch.float32), layout.matrices()
    return lambda: training_step(
        objective.loss, state, next(objective.batches), learning_rate=1e-3, config=config, decayed=decayed
    )


def _cpu_seconds(step: Callable[[], object], count: int) -> float:
    started = time.process_time()
    for _ in repeat(None, count):
        step()
    return (time.process_time() - started) / count


def _disagreement(model: torch.nn.Module, layout: ParameterLayout) -> str | None:
    """Why the two losses may not be compared: their difference is more than sampling error."""
    parameters = layout.flatten(model, torch.float64)
    sampled, batches = loss_function(model, layout, TASK), stream(TASK, 1, "train", 8, dtype=torch.float64)
    with torch.no_grad():
        exact = float(population_objective(model, layout, TASK).loss(parameters, None))
        drawn = torch.stack([sampled(parameters, next(batches)) for _ in range(16)])
    error = abs(float(drawn.mean()) - exact) / float(drawn.std() / len(drawn) ** 0.5)
    return None if error < STANDARD_ERRORS else f"the losses differ by {error:.0f} standard errors"


def main() -> None:
    """Time all mixers on one thread, print the table as Markdown, and keep it with `--save`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds a figure is the fastest of")
    parser.add_argument("--mixers", nargs="*", choices=MIXERS, default=list(MIXERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.mixers:
        rows.append([name, *compare(MIXERS[name], options.rounds)])
        print(f"  {' | '.join(rows[-1])}", flush=True)
    header = ["mixer", "sampled, ms", "population, ms", "faster", f"asked: {ASKED}x"]
    note = (
        f"A whole training step at T={LENGTH}, dim {DIM}, mixers at their defaults, float32; sampled with "
        f"batches of {BATCH}. CPU milliseconds of one thread, the fastest of {options.rounds} rounds."
    )
    text = f"{note}\n\n{markdown_table(header, rows)}"
    print(f"\n{text}")
    if options.save:
        print(f"kept in {save('population', text)}")


if __name__ == "__main__":
    main()
