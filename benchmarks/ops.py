"""`python -m benchmarks.ops`: what the forms of the ops are worth, as ratios measured in one run.

1. Forward and backward of each op against a plain loop that slices `x[:, t]`, after both were found to agree.
2. The gated delta rule against flash-linear-attention, where that is installed.
3. Exact recursive least squares against 30 steps of conjugate gradients.
4. How time and memory grow with the length.
5. What single precision does over 16,384 positions of keys that are hard.

Times are CPU seconds of one thread, which other processes do not change; on a GPU they are wall seconds.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module

import torch
from torch import Tensor

from benchmarks.baselines.conjugate_gradient import rls_by_cg
from benchmarks.baselines.sliced_ops import SLICED_OPS
from benchmarks.ops_growth import growth
from benchmarks.ops_inputs import Sizes, arguments, drawable, has_fixed_state
from benchmarks.ops_stability import KEYS, stability
from benchmarks.timing import markdown_table, save
from recollect.ops import OPS

FLA_KERNELS = {
    "simple_gla": "chunk_simple_gla",
    "gla": "chunk_gla",
    "delta_rule": "chunk_delta_rule",
    "gated_delta_rule": "chunk_gated_delta_rule",
    "kda": "chunk_kda",
}
QUICKLY_GROWN = ("simple_gla", "gated_delta_rule", "kda", "rls")
CHECKED_LENGTH = 192
AGREEMENT = 1e-9
Inputs = dict[str, Tensor]


def main() -> None:
    """Run the sections on one thread, print them as Markdown, and keep them with `--save`."""
    options = _options()
    torch.set_num_threads(1)
    parts = [f"Configuration: {_configuration(options)}"]
    print(parts[0], end="\n\n", flush=True)
    for key in options.sections:
        title, section = SECTIONS[key]
        parts.append(f"## {title}\n\n{section(options)}")
        print(parts[-1], end="\n\n", flush=True)
    if options.save:
        print(f"kept in {save('ops', (chr(10) * 2).join(parts))}")


def speed(options: argparse.Namespace) -> str:
    """Each op against its own sliced loop."""
    rows = []
    for name in _chosen(options, [name for name in SLICED_OPS if name in OPS]):
        problem = _disagreement(name)
        if problem:
            rows.append([name, f"no times: {problem}", "", "", "", ""])
            continue
        inputs = arguments(name, _sizes(options), dtype=options.dtype, device=options.device)
        loop = _seconds(_step(partial(SLICED_OPS[name], **inputs), inputs), options.device)
        times = [
            _seconds(_step(partial(_output, name, form=form, **inputs), inputs), options.device)
            for form in ("recurrent", "chunkwise")
        ]
        rows.append([name, f"{loop:.2f}", *(f"{t:.3f}" for t in times), *(f"{loop / t:.1f}x" for t in times)])
        print(f"  {' | '.join(rows[-1])}", flush=True)
    header = [
        "op",
        "sliced loop, s",
        "recurrent, s",
        "chunkwise, s",
        "recurrent, faster",
        "chunkwise, faster",
    ]
    return markdown_table(header, rows)


def _disagreement(name: str) -> str | None:
    """Why an op may not be compared with its baseline: they are not the same function."""
    inputs = arguments(name, Sizes(length=CHECKED_LENGTH, dim=16), dtype=torch.float64)
    expected = SLICED_OPS[name](**inputs)
    cotangent = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    leaves = _leaves(inputs)
    gradients = torch.autograd.grad(SLICED_OPS[name](**inputs), leaves, cotangent)
    for form in ("recurrent", "chunkwise"):
        output = _output(name, form=form, **inputs)
        found = [_error(output, expected)]
        pairs = zip(torch.autograd.grad(output, leaves, cotangent), gradients, strict=True)
        found.extend(_error(one, other) for one, other in pairs)
        if not max(found) < AGREEMENT:
            return f"{form} differs from the loop by {max(found):.0e} in float64"
    return None


def against_fla(options: argparse.Namespace) -> str:
    """flash-linear-attention's PyTorch chunks on a CPU or a GPU, its kernels on a GPU."""
    rows = [_fla_row("gated_delta_rule", "naive_chunk_gated_delta_rule", ".naive", options)]
    if options.device != "cpu":
        rows.extend(_fla_row(name, kernel, "", options) for name, kernel in FLA_KERNELS.items())
    header = ["op", "theirs", "theirs, s", "ours (chunkwise), s", "ours, faster", "difference"]
    return markdown_table(header, rows)


def _fla_row(name: str, function: str, module: str, options: argparse.Namespace) -> list[str]:
    try:
        theirs = getattr(import_module(f"fla.ops.{name}{module}"), function)
    except (ImportError, AttributeError) as error:
        return [name, function, f"not installed ({error})", "", "", ""]
    inputs = arguments(name, _sizes(options), dtype=options.dtype, device=options.device)
    try:
        output = theirs(**inputs)[0]
        their_time = _seconds(_step(lambda: theirs(**inputs)[0], inputs), options.device)
    except RuntimeError as error:
        return [name, function, f"failed: {str(error).splitlines()[0]}", "", "", ""]
    ours = partial(_output, name, **inputs)
    our_time = _seconds(_step(ours, inputs), options.device)
    difference = _error(output, ours())
    times = [f"{their_time:.4f}", f"{our_time:.4f}", f"{their_time / our_time:.2f}x"]
    return [name, function, *times, f"{difference:.0e}"]


def against_conjugate_gradients(options: argparse.Namespace) -> str:
    """Time and error of `rls` and of 30 plain CG steps, for keys and decays of several kinds."""
    rows = []
    for kind in ("independent", "correlated"):
        for decay in (1.0, 0.99, 0.95):
            exact = _least_squares_inputs(options, torch.float64, kind, decay)
            expected = _output("rls", form="recurrent", **exact)
            inputs = _least_squares_inputs(options, options.dtype, kind, decay)
            solvers = partial(rls_by_cg, **inputs), partial(_output, "rls", **inputs)
            (cg, cg_error), (ours, our_error) = (
                (_seconds(_step(solver, inputs), options.device), _error(solver(), expected))
                for solver in solvers
            )
            errors = f"{cg_error:.1e}", f"{our_error:.1e}", f"{cg_error / our_error:.0f}x"
            rows.append([kind, f"{decay}", f"{cg:.3f}", f"{ours:.3f}", f"{cg / ours:.1f}x", *errors])
    header = ["keys", "decay", "CG, s", "rls, s", "faster", "error of CG", "error of rls", "smaller"]
    return markdown_table(header, rows)


def _least_squares_inputs(options: argparse.Namespace, dtype: torch.dtype, kind: str, decay: float) -> Inputs:
    inputs = arguments("rls", _sizes(options), dtype=torch.float32, device=options.device)
    hard = inputs | {"k": KEYS[kind](inputs["k"]), "g": torch.full_like(inputs["g"], decay).log()}
    return {name: x.to(dtype) for name, x in hard.items()}


def _output(name: str, *, form: str = "chunkwise", **inputs: Tensor) -> Tensor:
    return OPS[name].op(**inputs, form=form)[0]


def _leaves(inputs: Inputs) -> list[Tensor]:
    return [x.requires_grad_() for x in inputs.values()]


def _step(function: Callable[[], Tensor], inputs: Inputs) -> Callable[[], object]:
    """Forward and backward, as in training."""
    leaves = _leaves(inputs)
    return lambda: torch.autograd.grad(function().float().square().sum(), leaves)


def _seconds(function: Callable[[], object], device: str, budget: float = 2.0) -> float:
    """The fastest call of as many as take about `budget` seconds; a slow one is called once."""
    times = []
    while not times or (sum(times) + min(times) < budget and len(times) < 20):
        _synchronize(device)
        clock = time.process_time if device == "cpu" else time.perf_counter
        started = clock()
        function()
        _synchronize(device)
        times.append(clock() - started)
    return min(times)


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _error(got: Tensor, expected: Tensor) -> float:
    """Relative, in l2, in the precision of what is expected."""
    got = got.detach().to(expected.dtype)
    return float((got - expected).norm() / expected.norm())


def _sizes(options: argparse.Namespace) -> Sizes:
    return Sizes(length=options.length)


def _chosen(options: argparse.Namespace, names: list[str]) -> list[str]:
    return [name for name in names if name in (options.ops or names)]


def _recurrent_ops(options: argparse.Namespace) -> list[str]:
    """Ops with a state of fixed size and rules for their arguments."""
    return _chosen(options, [name for name in OPS if drawable(name) and has_fixed_state(name)])


def _grown_ops(options: argparse.Namespace) -> list[str]:
    """A few, unless the result is kept."""
    return [name for name in _recurrent_ops(options) if options.save or options.ops or name in QUICKLY_GROWN]


def _configuration(options: argparse.Namespace) -> str:
    sizes = _sizes(options)
    return (
        f"B={sizes.batch}, T={sizes.length}, H={sizes.heads}, K=V={sizes.dim}, {options.dtype}, "
        f"{options.device}, forward and backward, one thread, torch {torch.__version__}"
    )


SECTIONS: dict[str, tuple[str, Callable[[argparse.Namespace], str]]] = {
    "speed": ("Against a plain loop that slices x[:, t]", speed),
    "fla": ("Against flash-linear-attention", against_fla),
    "cg": (
        "Exact recursive least squares against 30 steps of conjugate gradients",
        against_conjugate_gradients,
    ),
    "growth": (
        "Growth with the length (chunkwise, forward and backward, a process for each)",
        lambda options: growth(_grown_ops(options), options.lengths, options.device),
    ),
    "stability": (
        "Single precision over 16,384 positions (one head; relative error against the same form in float64)",
        lambda options: stability(_recurrent_ops(options)),
    ),
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    parser.add_argument(
        "--length", type=int, default=2048, help="T of the first three sections, a multiple of 64"
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=[4096, 16384, 65536], help="T of growth")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--ops", nargs="+", choices=OPS, help="only these ops")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", type=lambda name: getattr(torch, name), default=torch.float32)
    return parser.parse_args()


if __name__ == "__main__":
    main()
