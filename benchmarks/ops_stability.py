"""What single precision does to an op over many positions of keys and decays that are hard."""

import math

import torch
from torch import Tensor

from benchmarks.ops_inputs import Sizes, arguments, matching
from benchmarks.timing import markdown_table
from recollect.ops import OPS

LENGTH = 16384
DECAYS = (0.9, 0.99, 1.0)
Inputs = dict[str, Tensor]


def independent(k: Tensor) -> Tensor:
    """Norm 1, as drawn."""
    return k


def correlated(k: Tensor) -> Tensor:
    """Norm 1 and a mean cosine of 0.9."""
    return torch.nn.functional.normalize(0.9**0.5 * k[:, :1] + 0.1**0.5 * k, dim=-1)


def rank_deficient(k: Tensor) -> Tensor:
    """Norm 1, in a quarter of the dimensions."""
    kept = torch.arange(k.shape[-1], device=k.device) < k.shape[-1] // 4
    return torch.nn.functional.normalize(k * kept, dim=-1)


def norm_two(k: Tensor) -> Tensor:
    """Independent, of norm 2."""
    return 2 * k


KEYS = {
    "independent": independent,
    "correlated": correlated,
    "rank-deficient": rank_deficient,
    "norm 2": norm_two,
}


def stability(names: list[str]) -> str:
    """A row for each op and decay, a column for each kind of keys; reasons of refusals below."""
    rows, reasons = [], {}
    for name in names:
        for decay in DECAYS:
            base = arguments(name, Sizes(length=LENGTH, heads=1))
            decayed = _with_decay(base, decay)
            if decayed is None and decay != DECAYS[0]:
                continue  # an op without decay has one row
            cells = []
            for keys in KEYS.values():
                cell, reason = _outcome(name, (decayed or base) | {"k": keys(base["k"])})
                cells.append(cell)
                if reason:
                    reasons[name] = reason
            rows.append([name, "none" if decayed is None else str(decay), *cells])
            print(f"  {' | '.join(rows[-1])}", flush=True)
    table = markdown_table(["op", "decay", *(f"{kind} keys" for kind in KEYS)], rows)
    return "\n".join([table, *(f"\n{name}, refused: {reason}" for name, reason in reasons.items())])


def _outcome(name: str, inputs: Inputs) -> tuple[str, str | None]:
    """The error of single precision, or what came instead, with the reason of a refusal."""
    op = OPS[name].op
    with torch.no_grad():
        exact = {x: value.to(matching(value, torch.float64)) for x, value in inputs.items()}
        try:
            expected = op(**exact)[0]
        except ValueError as error:
            return "refused (in float64 too)", str(error)
        try:
            got = op(**inputs)[0]
        except ValueError as error:
            return "refused", str(error)
    if not got.isfinite().all():
        largest = float(expected.abs().max())
        return f"diverges (in float64 {f'to {largest:.0e}' if math.isfinite(largest) else 'too'})", None
    error = float((got.double() - expected).norm() / expected.norm())
    return f"{error:.0e}", None


def _with_decay(inputs: Inputs, decay: float) -> Inputs | None:
    """The same decay at all positions and channels; `None` where the op has none."""
    changed = {name: inputs[name] for name in ("g", "log_decay", "poles") if name in inputs}
    if not changed:
        return None
    return inputs | {
        name: x / x.abs() * decay if name == "poles" else torch.full_like(x, decay).log()
        for name, x in changed.items()
    }
