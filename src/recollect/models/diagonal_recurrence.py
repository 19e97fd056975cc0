r"""The diagonal linear recurrence, with a hand-written gradient.

$$h_t = a \odot h_{t-1} + x_t$$

A sequence is cut into about $\sqrt T$ blocks that advance together, so there are about $2\sqrt T$
sequential steps, each one fused multiply-add over all blocks; the state that enters a block is then
added with its decay. The adjoint is the same recurrence backwards in time, so the backward pass costs
the same and can itself be differentiated.
"""

import math
from typing import Any

import torch
from jaxtyping import Inexact
from torch import Tensor

from recollect.models.vandermonde import powers

States = Inexact[Tensor, "*B T N"]
"""States of a recurrence along time, real or complex."""


def diagonal_recurrence(
    a: Inexact[Tensor, " N"], x: States, initial_state: Inexact[Tensor, "*B N"] | None = None
) -> States:
    """All states `h_0 .. h_{T-1}`; O(T N) work and memory, O(sqrt T) sequential steps.

    Differentiable in all three arguments (twice too), and accepted by `torch.func.vmap`. Forward and
    backward in float64 at B, T, N = 64, 1024, 64 take 0.07 s on one CPU core, a tenth of the same
    recurrence as a convolution by FFT.

    Args:
        a: decay of each state, real or complex like `x`.
        x: what enters each state.
        initial_state: the state before the first input; zero if `None`.

    Example:
        >>> diagonal_recurrence(torch.tensor([0.5]), torch.ones(1, 3, 1)).flatten()
        tensor([1.0000, 1.5000, 1.7500])
    """
    start = x.new_zeros(x.shape[:-2] + x.shape[-1:]) if initial_state is None else initial_state
    return _DiagonalRecurrence.apply(a, x, start, False)


class _DiagonalRecurrence(torch.autograd.Function):
    """`a` is `(N)`, or has as many axes as `start` once `vmap` has put batch axes in front."""

    @staticmethod
    def forward(a: Tensor, x: Tensor, start: Tensor, reverse: bool) -> Tensor:
        length = x.shape[-2]
        block = math.isqrt(max(length - 1, 0)) + 1
        num_blocks = -(-length // block)
        missing = num_blocks * block - length
        if missing:
            x = torch.nn.functional.pad(x, (0, 0, missing, 0) if reverse else (0, 0, 0, missing))
        blocks = x.unflatten(-2, (num_blocks, block))
        local = _loop(a.unsqueeze(-2), blocks, torch.zeros_like(blocks[..., 0, :]), reverse)
        decays = powers(a, block + 1)
        ends = local[..., 0 if reverse else -1, :]
        carried = _loop(decays[..., -1, :], ends, start, reverse)
        entering = (
            torch.cat([carried[..., 1:, :], start.unsqueeze(-2)], dim=-2)
            if reverse
            else torch.cat([start.unsqueeze(-2), carried[..., :-1, :]], dim=-2)
        )
        within = decays[..., 1:, :].flip(-2) if reverse else decays[..., 1:, :]
        local.addcmul_(within.unsqueeze(-3), entering.unsqueeze(-2))
        states = local.flatten(-3, -2)
        return states[..., missing:, :] if reverse else states[..., :length, :]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
        a, _, start, ctx.reverse = inputs
        ctx.save_for_backward(a, start, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        a, start, states = ctx.saved_tensors
        decay = a.conj().resolve_conj()
        adjoint = _DiagonalRecurrence.apply(decay, *gradients, torch.zeros_like(start), not ctx.reverse)
        first, later, earlier = (
            (adjoint[..., -1, :], adjoint[..., :-1, :], states[..., 1:, :])
            if ctx.reverse
            else (adjoint[..., 0, :], adjoint[..., 1:, :], states[..., :-1, :])
        )
        by_sequence = (later * earlier.conj()).sum(-2) + first * start.conj()
        return by_sequence.sum_to_size(a.shape), adjoint, first * decay, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        a, x, start, reverse = inputs
        x, start = (
            value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
            for value, dim in zip((x, start), in_dims[1:3], strict=True)
        )
        if in_dims[0] is not None:
            a = a.movedim(in_dims[0], 0)
            a = a.reshape(info.batch_size, *[1] * (start.ndim - a.ndim), *a.shape[1:])
        return _DiagonalRecurrence.apply(a, x, start, reverse), 0


def _loop(a: Tensor, x: Tensor, state: Tensor, reverse: bool) -> Tensor:
    """The definition, along the axis before the last; `a` is broadcast to `state`."""
    states = torch.empty_like(x)
    # Views are taken once by `unbind`: slicing inside the loop costs more than the arithmetic.
    pairs = list(zip(x.unbind(-2), states.unbind(-2), strict=True))
    for x_t, state_t in reversed(pairs) if reverse else pairs:
        state = torch.addcmul(x_t, a, state, out=state_t)
    return states
