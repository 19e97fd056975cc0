"""What an op may be called with: sequences whose axes agree, and sizes of at least 1."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

LAYOUTS = {"q": "B T H K", "k": "B T H K", "v": "B T H V", "r": "B T H K"}
"""Axes of sequences by the names of arguments; those of every other sequence are `B T H`."""

PER_CHANNEL = {"g": "B T H K"}
"""The layout of decays that each key channel has of its own."""

SIZES = ("chunk_size", "minibatch_size")
"""Parameters that count positions."""


def check_arguments(
    sequences: Mapping[str, Tensor], parameters: Mapping[str, Any], layouts: Mapping[str, str]
) -> None:
    """Refuse sequences whose axes do not agree, sequences of nothing, and chunks of nothing.

    Args:
        sequences: tensors by the names of arguments; an axis has the size that it has where it comes first.
        parameters: everything else that the op was given.
        layouts: axes of sequences where they are not those of `LAYOUTS`; `...` at the end stands for any.

    Raises:
        ValueError: any of them.

    Example:
        >>> q = k = v = torch.zeros(2, 7, 3, 5)
        >>> check_arguments({"q": q, "k": k, "v": v, "g": torch.zeros(2, 7, 5)}, {}, {})
        Traceback (most recent call last):
        ValueError: g: expected the shape (B=2, T=7, H=3), got (2, 7, 5).
    """
    known: dict[str, int] = {}
    for name, x in sequences.items():
        layout = layouts.get(name) or LAYOUTS.get(name, "B T H")
        axes = layout.removesuffix("...").split()
        wanted = ", ".join(f"{axis}={known[axis]}" if axis in known else axis for axis in layout.split())
        fits = len(axes) == x.ndim or (layout.endswith("...") and len(axes) < x.ndim)
        if not fits or any(known.setdefault(a, n) != n for a, n in zip(axes, x.shape, strict=False)):
            raise ValueError(f"{name}: expected the shape ({wanted}), got {tuple(x.shape)}.")
    if known["T"] < 1:
        raise ValueError("expected sequences of at least one position, got T=0.")
    for name in SIZES:
        if parameters.get(name, 1) < 1:
            raise ValueError(f"{name}={parameters[name]}: expected at least 1 position.")
