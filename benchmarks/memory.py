"""`python -m benchmarks.memory`: what the foundation's speed is worth, as ratios measured in one run.

1. Recurrences, one training step (forward and backward), against loops that slice the input.
2. Targets of a memory function against the dense T x T product.
3. How the cost of every mixer grows with the length at a fixed number of positions.
4. The share of a training step that goes into drawing its batch.
"""

import argparse
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.baselines import sliced_loops
from benchmarks.timing import forward_backward, markdown_table, save, seconds
from recollect.core import causal_convolution
from recollect.models import GRU, LSTM, MIXERS, RNN, ModelConfig, diagonal_recurrence
from recollect.tasks import FunctionalTask
from recollect.training import (
    ParameterLayout,
    TrainingConfig,
    initial_training_state,
    loss_function,
    training_step,
)

B, T, N = 64, 1024, 64


def recurrences() -> str:
    """Float64, batch 64, length 1024, 64 states."""
    x = torch.randn(B, T, N, dtype=torch.float64, requires_grad=True)
    a = torch.rand(N, dtype=torch.float64).mul_(0.9).requires_grad_()
    sliced = seconds(forward_backward(lambda: sliced_loops.diagonal(a, x), [a, x]), repeats=1, warmups=0)
    rows = [["diagonal linear, sliced loop", f"{sliced:.2f}", "1", "1"]]

    def decays() -> Tensor:
        return a ** torch.arange(T, dtype=torch.float64)[:, None]

    for name, function in (
        ("diagonal linear, blocked scan", lambda: diagonal_recurrence(a, x)),
        ("diagonal linear, FFT kernel", lambda: causal_convolution(x, decays())),
    ):
        ours = seconds(forward_backward(function, [a, x]))
        rows.append([name, f"{ours:.3f}", f"1/{sliced / ours:.0f}", f"1/{sliced / ours:.0f}"])
    for mixer, loop, gates in (
        (RNN(N), sliced_loops.tanh_rnn, 1),
        (LSTM(N, form="loop"), sliced_loops.lstm, 4),
        (GRU(N, form="loop"), sliced_loops.gru, 3),
    ):
        w, u = (torch.randn(gates * N, N, dtype=torch.float64).div_(8).requires_grad_() for _ in range(2))
        same = seconds(forward_backward(lambda f=loop, w=w, u=u: f(x, w, u), [x, w, u]), repeats=1, warmups=0)
        model = mixer.double()
        leaves = [x, *model.parameters()]
        ours = seconds(forward_backward(lambda m=model: m(x), leaves), repeats=3)
        name = type(mixer).__name__
        rows.append([f"{name}, sliced loop", f"{same:.2f}", "1", f"1/{sliced / same:.1f}"])
        rows.append([f"{name}, ours", f"{ours:.3f}", f"1/{same / ours:.0f}", f"1/{sliced / ours:.0f}"])
    return markdown_table(
        ["training step", "seconds", "of its own sliced loop", "of the diagonal loop"], rows
    )


def targets() -> str:
    """1,000 sequences of length 1,024."""
    rows = []
    for length in (1024, 4096):
        task = FunctionalTask.parse({"memory": {"family": "polynomial", "alpha": 0.6}, "length": length})
        rho = task.taps()
        x = torch.randn(1000, length, dtype=torch.float64)
        inputs = x[..., None]
        dense = seconds(lambda rho=rho, x=x: sliced_loops.dense_targets(rho, x))
        ours = seconds(lambda task=task, inputs=inputs: task.targets(inputs))
        one_by_one = seconds(
            lambda rho=rho, x=x: [sliced_loops.dense_targets(rho, row[None]) for row in x[:20]], repeats=3
        )
        rows.append([
            str(length),
            f"{ours * 1e3:.1f}",
            f"{dense * 1e3:.1f}",
            f"1/{dense / ours:.1f}",
            f"1/{one_by_one * 50 / ours:.0f}",
        ])  # fmt: skip
    header = ["length", "ours, ms", "dense, ms", "of one dense product", "of a dense product a sequence"]
    return markdown_table(header, rows)


def growth(positions: int, dim: int) -> str:
    """Slope of log time in log length between 512 and 8192; FFT mixers after division by log T."""
    lengths = (512, 2048, 8192)
    rows = []
    for name, mixer in MIXERS.items():
        if name == "attention":
            continue
        model = mixer(dim)
        times = []
        for length in lengths:
            x = torch.randn(positions // length, length, dim)
            step = forward_backward(lambda m=model, x=x: m(x), list(model.parameters()))
            times.append(seconds(step, repeats=3))
        uses_fft = name in {"s4d"}
        scaled = [t / math.log(n) if uses_fft else t for t, n in zip(times, lengths, strict=True)]
        slope = math.log(scaled[-1] / scaled[0]) / math.log(lengths[-1] / lengths[0])
        rows.append(
            [name, *[f"{t * 1e3:.0f}" for t in times], f"{slope:+.3f}{' (/ log T)' if uses_fft else ''}"]
        )
    return markdown_table(["mixer", *[f"T={n}, ms" for n in lengths], "slope"], rows)


def data_share() -> str:
    """Drawing a batch (inputs and targets) against the training step that uses it."""
    rows = []
    for length, batch_size in ((64, 16), (1024, 64)):
        task = FunctionalTask.parse({"memory": {"family": "polynomial", "alpha": 0.6}, "length": length})
        model = _model()
        layout, config = ParameterLayout.of(model), TrainingConfig()
        loss = loss_function(model, layout, task)
        state = initial_training_state(model, layout, torch.float32)
        batch = task.batch(0, "train", 0, batch_size)
        fixed = {"learning_rate": 1e-3, "config": config, "decayed": layout.matrices()}
        step = seconds(partial(training_step, loss, state, batch, **fixed))
        count = max(batch_size, 2**17 // length)
        draw = seconds(lambda task=task, count=count: task.batch(0, "train", 0, count)) * batch_size / count
        rows.append(
            [
                f"B={batch_size}, T={length}",
                f"{step * 1e3:.2f}",
                f"{draw * 1e3:.2f}",
                f"{draw / (draw + step):.1%}",
            ]
        )
    return markdown_table(["batch", "step, ms", "draw, ms", "share of drawing"], rows)


def _model() -> torch.nn.Module:
    return ModelConfig(mixer="s4d").build(1, 1, seed=0)


SECTIONS: dict[str, Callable[[argparse.Namespace], str]] = {
    "Training step of a recurrence (float64, B=64, T=1024, 64 states)": lambda _: recurrences(),
    "Targets of 1,000 sequences (float64)": lambda _: targets(),
    "Cost of a training step at fixed B x T": lambda options: growth(options.positions, options.dim),
    "Share of data in a training step (S4D, dim 32, float32)": lambda _: data_share(),
}


def main() -> None:
    """Run all sections on one thread, print them as Markdown, and keep them with `--save`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--positions", type=int, default=2**20, help="B x T of the growth section")
    parser.add_argument("--dim", type=int, default=32, help="width of the growth section")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    parts = []
    for title, section in SECTIONS.items():
        parts.append(f"## {title}\n\n{section(options)}")
        print(parts[-1], end="\n\n", flush=True)
    if options.save:
        print(f"kept in {save('memory', chr(10).join(parts))}")


if __name__ == "__main__":
    main()
