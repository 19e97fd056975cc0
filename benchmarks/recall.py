"""`python -m benchmarks.recall`: what drawing and training on associative recall cost, as ratios of one run.

1. 100,000 examples against a loop over examples that draws with NumPy's `choice`.
2. Drawing a batch as a share of the training step that uses it.
3. The loss at the asked positions against the loss over all positions: same model, same gradient.
4. The state of every mixer, weighed, against what the mixer says of it.
5. With `--recipe SCALE`: accuracy, steps and seconds to 99 %, by the study `mqar-recipe`.

Times are CPU seconds of one thread, which other processes do not change, where nothing else is said; on a GPU
they are wall seconds.
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from benchmarks.baselines.recall_generator import recall_examples
from benchmarks.recall_cases import ATTENTION, BATCH, LENGTH, NUM_PAIRS, VOCABULARY, Trainee, recall, trainee
from benchmarks.recall_memory import EXAMPLES, in_a_process
from benchmarks.recall_recipe import recipe
from benchmarks.timing import markdown_table, save
from recollect.core import RecollectError
from recollect.models import ModelConfig, measured_state_bytes
from recollect.models.registry import known_mixers
from recollect.tasks import InContextRegression, StateTracking, Task, stream
from recollect.tasks.mad import InContextRecall

LOOPED = 2000
AGREEMENT = 1e-6
STANDARD_ERRORS = 5
STATE_LENGTHS = (1, 7)

SHARE_LAYERS = {
    "softmax attention, short convolution": {
        "mixer": "softmax_attention",
        "options": {"num_heads": 1, "short_conv": 4},
    },
    "gated deltanet": {"mixer": "gated_deltanet"},
    "rls": {"mixer": "rls"},
}
SHARE_TASKS: dict[str, Task] = {
    "MQAR, V=8192, L=64, n=4, blanks": recall("blank"),
    "MQAR, V=8192, L=64, n=4, random fillers": recall("random"),
    "MAD recall, V=16, L=128": InContextRecall(vocabulary=16),
    "S5 tracking, L=32": StateTracking(group="s5"),
    "in-context regression, L=41": InContextRegression(),
}


def generation(options: argparse.Namespace) -> str:
    """Ours in a fresh process, first call; the loop in this one."""
    rows = []
    for fillers in ("blank", "random"):
        problem = _differs(fillers)
        if problem:
            rows.append([fillers, f"no times: {problem}", *[""] * 5])
            continue
        ours = in_a_process("generation", fillers, options.device)
        started = time.process_time()
        _looped(fillers, LOOPED)
        loop = (time.process_time() - started) * EXAMPLES / LOOPED
        seconds = ours.cpu if options.device == "cpu" else ours.wall
        rows.append([
            fillers,
            f"{ours.wall:.2f}",
            f"{ours.cpu:.2f}",
            f"{loop:.1f}",
            f"{loop / seconds:.0f}x",
            f"{ours.memory / 2**10:.2f}",
            _kept_or_missed(seconds < 1 and ours.memory < 512),
        ])  # fmt: skip
    header = ["fillers", "ours, wall s", "ours, CPU s", "loop, CPU s", "faster", "memory, GiB", "asked"]
    note = (
        f"{EXAMPLES:,} examples, V={VOCABULARY}, L={LENGTH}, n={NUM_PAIRS}; asked: under 1 s and 0.5 GB on "
        f"one core. The loop was timed on {LOOPED:,} examples and scaled. The memory includes the result."
    )
    return f"{note}\n\n{markdown_table(header, rows)}"


def _looped(fillers: str, count: int) -> tuple[Tensor, Tensor]:
    task = recall(fillers)
    drawn = recall_examples(
        count,
        LENGTH,
        NUM_PAIRS,
        VOCABULARY,
        power=task.power,
        random_fillers=fillers == "random",
        seed=0,
    )
    inputs, targets = map(torch.from_numpy, drawn)
    return inputs, targets


def _differs(fillers: str) -> str | None:
    """Why the two generators may not be compared: one of them breaks the definition, or their laws differ."""
    batch = recall(fillers).batch(0, "train", 0, LOOPED)
    firsts = []
    for name, (inputs, targets) in {"ours": batch[:2], "the loop": _looped(fillers, LOOPED)}.items():
        asked = targets != -100
        keys, values = inputs[:, 0 : 2 * NUM_PAIRS : 2], inputs[:, 1 : 2 * NUM_PAIRS : 2]
        is_key = inputs[asked].view(-1, NUM_PAIRS, 1) == keys[:, None]
        answers = (is_key * values[:, None]).sum(-1)
        once = (is_key.sum(1) == 1).all() and (is_key.sum(2) == 1).all()
        if not once or not torch.equal(answers, targets[asked].view(-1, NUM_PAIRS)):
            return f"{name} asks for something that the context does not say"
        firsts.append(asked[:, 2 * NUM_PAIRS :: 2].double().mean(0))
    ours, theirs = firsts
    spread = (2 * theirs * (1 - theirs) / LOOPED).sqrt().clamp(min=1 / LOOPED)
    if ((ours - theirs).abs() > STANDARD_ERRORS * spread).any():
        return "the slots of the questions have different laws"
    return None


def share(options: argparse.Namespace) -> str:
    """CPU seconds of a batch from `stream` over those of a step on it."""
    rows = []
    for title, task in SHARE_TASKS.items():
        for label, layer in SHARE_LAYERS.items():
            model = layer | {"dim": 64, "num_layers": 2, "norm": "rms"}
            draw, step = _draw_and_step(trainee(task, model, options.device), options)
            times = [f"{step * 1e3:.1f}", f"{draw * 1e3:.2f}", f"{draw / step:.1%}"]
            rows.append([title, label, *times, _kept_or_missed(draw <= 0.05 * step)])
            print(f"  {' | '.join(rows[-1])}", flush=True)
    note = f"Batches of {BATCH}, dim 64, 2 layers; asked: at most 5 %."
    header = ["task", "layer", "step, ms", "batch, ms", "share", "asked"]
    return f"{note}\n\n{markdown_table(header, rows)}"


def _draw_and_step(trained: Trainee, options: argparse.Namespace) -> tuple[float, float]:
    """The fastest of rounds that take turns: batches in blocks as `stream` draws them, steps on one batch."""
    batches = stream(trained.task, 0, "train", BATCH, device=options.device)
    fixed = next(batches)
    step = trained.step("asked", iter(lambda: fixed, None))
    draws, steps = [], []
    for _ in range(options.rounds):
        # 64 batches are whole blocks, whatever their size: none is paid for by the next round.
        draws.append(_seconds(lambda: [next(batches) for _ in range(64)], options.device) / 64)
        steps.append(_seconds(lambda: [step() for _ in range(3)], options.device) / 3)
    return min(draws), min(steps)


def asked_only(options: argparse.Namespace) -> str:
    """Same model, same batch, same gradient; the losses take turns."""
    task = recall()
    trained = trainee(task, ATTENTION, options.device)
    difference = _gradient_difference(trained)
    if not difference < AGREEMENT:
        return f"no times: the gradients differ by {difference:.0e}"
    seconds = {"asked": list[float](), "all": list[float]()}
    steps = {
        which: trained.step(which, stream(task, 0, "train", BATCH, device=options.device))
        for which in seconds
    }
    for _ in range(options.rounds):
        for which, times in seconds.items():
            times.append(_seconds(steps[which], options.device))
    per_thousand = {which: min(times) * 1000 / BATCH for which, times in seconds.items()}
    memory = {which: in_a_process("training", which, options.device).memory for which in seconds}
    rows = [
        [f"loss at {which} positions", f"{per_thousand[which]:.2f}", f"{memory[which]:.0f}"]
        for which in seconds
    ]
    ratio = per_thousand["all"] / per_thousand["asked"]
    rows.append(["ratio", f"{ratio:.1f}x", f"{memory['all'] / memory['asked']:.1f}x"])
    note = (
        f"Two layers of attention, dim 128, V={VOCABULARY}, L={LENGTH}, n={NUM_PAIRS}, batches of {BATCH}; "
        f"whole training steps, drawing included. Relative difference of the gradients: {difference:.0e}. "
        f"Asked: at least 5x, {_kept_or_missed(ratio >= 5)}."
    )
    header = ["", "seconds per 1,000 examples", "memory of a step, MiB"]
    return f"{note}\n\n{markdown_table(header, rows)}"


def _gradient_difference(trained: Trainee) -> float:
    """Relative, in l2, between the gradients of the two losses at the first state."""
    batch = next(stream(trained.task, 0, "train", BATCH, device=trained.device))
    leaf = trained.state.parameters.clone().requires_grad_()
    found, expected = (torch.autograd.grad(loss(leaf, batch), leaf)[0] for loss in trained.losses.values())
    return float((found - expected).norm() / expected.norm())


def states(options: argparse.Namespace) -> str:
    """Bytes that `step` hands on, after 1 and after 7 positions, in both precisions."""
    rows = []
    for name in known_mixers():
        try:
            rows.append([name, *_state_row(name)])
        except RecollectError as error:
            rows.append([name, f"not built: {error}", "", "", "", ""])
    note = (
        "dim 32, one layer. In single precision a state may weigh more than its scalars times 4: angles and "
        "positions are carried in 8 bytes."
    )
    header = ["mixer", "length", "scalars said", "bytes, float64", "bytes, float32", "equal"]
    return f"{note}\n\n{markdown_table(header, rows)}"


def _state_row(name: str) -> list[str]:
    model = ModelConfig(mixer=name, dim=32).build(1, 1, seed=0)
    said = [model.state_size(length) for length in STATE_LENGTHS]
    single = [measured_state_bytes(model, length) for length in STATE_LENGTHS]
    double = [measured_state_bytes(model.double(), length) for length in STATE_LENGTHS]
    grows = any(one != other for one, other in pairwise(said))
    columns = [[*STATE_LENGTHS], said, double, single]
    shown = [", ".join(map(str, column)) if grows else str(column[-1]) for column in columns]
    extra = [s and b and b - 4 * s for s, b in zip(said, single, strict=True)]
    if double != [s and 8 * s for s in said]:
        return [*shown, "no"]
    return [*shown, "yes" if extra[-1] == 0 else f"yes; {extra[-1]} bytes more in float32"]


def _seconds(function: Callable[[], Any], device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    function()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - started


def _kept_or_missed(met: bool) -> str:
    return "met" if met else "missed"


SECTIONS: dict[str, tuple[str, Callable[[argparse.Namespace], str]]] = {
    "generation": ("Drawing examples against a loop over examples", generation),
    "share": ("Drawing as a share of a training step", share),
    "loss": ("Loss at the asked positions against all positions", asked_only),
    "states": ("The state, weighed", states),
}


def main() -> None:
    """Run the sections on one thread, print them as Markdown, and keep them with `--save`."""
    options = _options()
    torch.set_num_threads(1)
    clock = "CPU" if options.device == "cpu" else "wall"
    parts = [f"float32, {options.device}, one thread; {clock} seconds, fastest of {options.rounds} rounds."]
    sections = [SECTIONS[key] for key in options.sections]
    if options.recipe:
        sections.append(("Accuracy, steps and seconds to 99 %", lambda chosen: recipe(chosen.recipe)))
    for title, section in sections:
        parts.append(f"## {title}\n\n{section(options)}")
        print(parts[-1], end="\n\n", flush=True)
    if not options.recipe:
        print("Accuracy, steps and seconds to 99 %: `recollect run mqar-recipe`, or `--recipe small` here.")
    if options.save:
        print(f"kept in {save('recall', (chr(10) * 2).join(parts))}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds a figure is the fastest of")
    parser.add_argument("--quick", action="store_const", const=3, dest="rounds", help="three rounds")
    parser.add_argument("--recipe", metavar="SCALE", help="also run the study mqar-recipe: `full` or `small`")
    return parser.parse_args()


if __name__ == "__main__":
    main()
