r"""The diagonal linear recurrence, whose decay may depend on the data.

$$h_t = a_t \odot h_{t-1} + x_t$$

It is what S6 (Mamba, arXiv:2312.00752), the LRU (arXiv:2303.06349), GateLoop (arXiv:2311.01927) and HGRN
(arXiv:2311.04823) have in common; $a$ is real or complex and may be 0, for nothing is divided by it.

A sequence is cut into about $\sqrt T$ blocks that advance together, so there are about $2\sqrt T$ sequential
steps, each one multiply-add over all blocks; the state that enters a block is then added with its decay. The
adjoint is the same recurrence backwards in time, so the backward pass costs the same and can itself be
differentiated. A decay that does not change is the same code with a time axis of length 1.
"""

import math
from typing import Any

import torch
from jaxtyping import Inexact
from torch import Tensor
from torch.nn.functional import pad

from recollect.ops.dispatch import dispatch

States = Inexact[Tensor, "B T *N"]
"""Inputs and states of a recurrence along time, real or complex."""

Decays = Inexact[Tensor, "#B #T *#N"]
"""Decays: of each position, or one for all where the time axis has length 1."""

FinalState = Inexact[Tensor, "_ *N"]


def diagonal_scan(
    a: Decays,
    x: States,
    *,
    initial_state: FinalState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
) -> tuple[States, FinalState | None]:
    r"""All states of $h_t = a_t \odot h_{t-1} + x_t$.

    O(T N) work and memory; O(sqrt T) sequential steps in the chunkwise form. Differentiable twice; accepted
    by `torch.func.vmap`.

    Args:
        a: decays, real or complex, of the shape of `x`; axes of length 1 are broadcast. A time axis of length
            1 is a constant decay, and about half the work.
        x: what enters each state.
        initial_state: state before the first position, `(B, *N)`, zero if `None`.
        output_final_state: return the last state instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent` or `chunkwise`.

    Returns:
        All states, of the shape of `x`, and the final one or `None`.

    Raises:
        ValueError: decays of another shape than `x`; an unknown form, or boundaries that do not fit.

    Example:
        >>> a = torch.tensor([0.5, 0.0, 0.5])[None, :, None]
        >>> diagonal_scan(a, torch.ones(1, 3, 1))[0].flatten()
        tensor([1.0000, 1.0000, 1.5000])
    """
    if a.ndim != x.ndim or any(one not in (1, other) for one, other in zip(a.shape, x.shape, strict=True)):
        raise ValueError(
            f"expected decays of the shape of the inputs, {tuple(x.shape)}, or with axes of length 1, got "
            f"{tuple(a.shape)}. Insert the axes that are missing."
        )
    dtype = torch.promote_types(a.dtype, x.dtype)
    if cu_seqlens is not None:
        a = a.expand(x.shape[0], x.shape[1], *a.shape[2:])
    return dispatch(
        FORMS,
        form,
        {"x": x.to(dtype), "a": a.to(dtype)},
        lambda batch: x.new_zeros(batch, *x.shape[2:], dtype=dtype),
        initial_state=None if initial_state is None else initial_state.to(dtype),
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        layouts={"x": "B T ...", "a": "..."},
    )


def _reference(x: States, a: Decays, state: FinalState) -> tuple[States, FinalState]:
    """The equation, position by position."""
    states = []
    for t in range(x.shape[1]):
        state = a.expand(-1, x.shape[1], *a.shape[2:])[:, t] * state + x[:, t]
        states.append(state)
    return torch.stack(states, dim=1), state


def _recurrent(x: States, a: Decays, state: FinalState) -> tuple[States, FinalState]:
    """The equation with views taken once: a slice inside the loop makes its gradient quadratic in T."""
    states = []
    for x_t, a_t in zip(x.unbind(1), a.expand(-1, x.shape[1], *a.shape[2:]).unbind(1), strict=True):
        state = torch.addcmul(x_t, a_t, state)
        states.append(state)
    return torch.stack(states, dim=1), state


def _chunkwise(x: States, a: Decays, state: FinalState) -> tuple[States, FinalState]:
    """In blocks, with the trailing axes as one."""
    width = math.prod(x.shape[2:])
    a = a.expand(*a.shape[:2], *x.shape[2:]).reshape(*a.shape[:2], width)
    states = _Scan.apply(a, x.reshape(*x.shape[:2], width), state.reshape(len(state), width), False)
    states = states.reshape(x.shape)
    return states, states[:, -1]


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise}


class _Scan(torch.autograd.Function):
    """`x` is `(..., T, N)`; `a` has as many axes, of the same lengths or 1; `start` is `(..., N)`."""

    @staticmethod
    def forward(a: Tensor, x: Tensor, start: Tensor, reverse: bool) -> Tensor:
        length = x.shape[-2]
        block = _block_size(length)
        missing = -length % block
        # Inputs become states where they are. No decay and no input: what is filled in changes nothing.
        sides = (0, 0, missing, 0) if reverse else (0, 0, 0, missing)
        states = (pad(x, sides) if missing else x.clone()).unflatten(-2, (-1, block))
        if a.shape[-2] == 1:
            decays = a.unsqueeze(-3).expand(*a.shape[:-2], 1, block, a.shape[-1])
        else:
            decays = pad(a, sides).unflatten(-2, (-1, block))
        ends, factors = _advance(decays, states, reverse)
        factor = factors[..., 0 if reverse else -1, :].expand_as(ends)
        states.addcmul_(factors, _entering(factor, ends, start, reverse).unsqueeze(-2))
        states = states.flatten(-3, -2)
        return states[..., missing:, :] if reverse else states[..., :length, :]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
        a, _, start, ctx.reverse = inputs
        ctx.save_for_backward(a, start, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        a, start, states = ctx.saved_tensors
        decay = a.conj().resolve_conj()
        is_constant, reverse = a.shape[-2] == 1, ctx.reverse
        # An adjoint is carried by the decay of the position that comes after.
        if is_constant:
            following = decay
        elif reverse:
            following = pad(decay[..., :-1, :], (0, 0, 1, 0))
        else:
            following = pad(decay[..., 1:, :], (0, 0, 0, 1))
        adjoint = _Scan.apply(following, gradients[0].resolve_conj(), torch.zeros_like(start), not reverse)
        if reverse:
            first, later, earlier = adjoint[..., -1:, :], adjoint[..., :-1, :], states[..., 1:, :]
        else:
            first, later, earlier = adjoint[..., :1, :], adjoint[..., 1:, :], states[..., :-1, :]
        of_first, of_later = first * start.unsqueeze(-2).conj(), later * earlier.conj()
        if is_constant:
            of_decay = of_first + of_later.sum(-2, keepdim=True)
        else:
            of_decay = torch.cat([of_later, of_first] if reverse else [of_first, of_later], dim=-2)
        entered = decay[..., -1, :] if reverse else decay[..., 0, :]
        return of_decay.sum_to_size(a.shape), adjoint, first.squeeze(-2) * entered, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        *tensors, reverse = inputs
        a, x, start = (
            value.unsqueeze(0) if dim is None else value.movedim(dim, 0)
            for value, dim in zip(tensors, in_dims[:3], strict=True)
        )
        x, start = (value.expand(info.batch_size, *value.shape[1:]) for value in (x, start))
        return _Scan.apply(a, x, start, reverse), 0


def _block_size(length: int) -> int:
    """The root of the length, rounded up, or up to twice as much if it then divides the length."""
    root = math.isqrt(max(length - 1, 0)) + 1
    return next((size for size in range(root, 2 * root) if length % size == 0), root)


def _advance(decays: Tensor, states: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    """Turn inputs into what each block alone makes of them; the ends, and the products of decays up to each.

    Views are taken once by `unbind`: slicing inside the loop costs more than the arithmetic.
    """
    steps = list(zip(decays.unbind(-2), states.unbind(-2), strict=True))
    if reverse:
        steps.reverse()
    factor, state = steps[0]
    factors = [factor]
    for decay, own in steps[1:]:
        state = own.addcmul_(decay, state)
        factor = decay * factor
        factors.append(factor)
    if reverse:
        factors.reverse()
    return state, torch.stack(factors, dim=-2)


def _entering(factor: Tensor, ends: Tensor, state: Tensor, reverse: bool) -> Tensor:
    """The state that enters each block."""
    blocks = list(zip(factor.unbind(-2), ends.unbind(-2), strict=True))
    if reverse:
        blocks.reverse()
    entering = []
    for decay, end in blocks:
        entering.append(state)
        state = torch.addcmul(end, decay, state)
    if reverse:
        entering.reverse()
    return torch.stack(entering, dim=-2)
