"""What all ops do alike: choose a form, start from a state, and read packed sequences."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from recollect.ops.arguments import check_arguments

State = Any
"""What an op carries: a tensor, or a NamedTuple of tensors, each with the batch as its first axis."""

LOW_PRECISION = (torch.bfloat16, torch.float16)

Form = Callable[..., tuple[Tensor, State]]
"""`form(*sequences, state, **parameters)` to the outputs and the final state."""


def dispatch(
    forms: Mapping[str, Form],
    form: str,
    sequences: Mapping[str, Tensor],
    empty_state: Callable[[int], State],
    *,
    initial_state: State | None,
    output_final_state: bool,
    cu_seqlens: Tensor | None,
    layouts: Mapping[str, str] = MappingProxyType({}),
    **parameters: Any,
) -> tuple[Tensor, State | None]:
    """Run one form of an op.

    Args:
        forms: the forms that the op has, by name.
        form: the one to run.
        sequences: the tensors with time as axis 1 by the names of the op's arguments, in the order of the
            form's.
        empty_state: the state before anything was read, for a batch size.
        initial_state: the state to start from, or `None` for the empty one.
        output_final_state: whether the final state is returned (else `None`).
        cu_seqlens: `(num_sequences + 1,)` boundaries of packed sequences, from 0 to T, of a batch of one;
            states then have the sequences as their first axis.
        layouts: axes of sequences where they are not the usual ones (see `arguments`).
        parameters: what the form takes beside its sequences.

    Raises:
        ValueError: a form that does not exist; shapes that do not agree; no position; a chunk or minibatch of
            less than one; packed sequences in a batch, or boundaries that do not fit.

    Sequences in half precision are read in single precision, in which the state stays; outputs are in the
    precision that came.
    """
    if form not in forms:
        raise ValueError(f"form={form!r}: expected one of {', '.join(forms)}.")
    check_arguments(sequences, parameters, layouts)
    read = tuple(sequences.values())
    dtype = read[0].dtype
    if dtype in LOW_PRECISION:
        # Factorisations have no kernels there, and sums over a sequence no digits to spare.
        outputs, state = dispatch(
            forms, form, {name: _raised(x) for name, x in sequences.items()},
            lambda batch: _raised(empty_state(batch)),
            initial_state=_raised(initial_state), output_final_state=output_final_state,
            cu_seqlens=cu_seqlens, layouts=layouts,
            **{name: _raised(value) for name, value in parameters.items()},
        )  # fmt: skip
        return outputs.to(dtype), state
    if cu_seqlens is None:
        state = empty_state(read[0].shape[0]) if initial_state is None else initial_state
        outputs, state = forms[form](*read, state, **parameters)
        return outputs, state if output_final_state else None
    boundaries = _boundaries(cu_seqlens, read[0])
    num_sequences = len(boundaries) - 1
    states = empty_state(num_sequences) if initial_state is None else initial_state
    outputs, finals = [], []
    for i, (start, stop) in enumerate(pairwise(boundaries)):
        piece = tuple(x[:, start:stop] for x in read)
        own = map_state(lambda x, i=i: x[i : i + 1], states)
        output, final = forms[form](*piece, own, **parameters)
        outputs.append(output)
        finals.append(final)
    packed = join_states(finals) if output_final_state else None
    return torch.cat(outputs, dim=1), packed


def _raised(value: Any) -> Any:
    """A value whose tensors of low precision are in single precision."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in LOW_PRECISION else value
    if isinstance(value, tuple) and value and any(isinstance(part, Tensor | tuple) for part in value):
        parts = [_raised(part) for part in value]
        return type(value)(*parts) if type(value) is not tuple else tuple(parts)
    return value


def map_state(function: Callable[..., Tensor], *states: State) -> State:
    """The state whose tensors are `function` of those of the states given."""
    if isinstance(states[0], Tensor):
        return function(*states)
    return type(states[0])(*(map_state(function, *parts) for parts in zip(*states, strict=True)))


def join_states(states: list[State]) -> State:
    """States of single sequences, put together along the batch; a state may define its own `join`."""
    join = getattr(type(states[0]), "join", None)
    return map_state(lambda *parts: torch.cat(parts), *states) if join is None else join(states)


def key_scale(scale: float | None, q: Tensor) -> float:
    """The factor of the queries: `K**-0.5` unless given."""
    return q.shape[-1] ** -0.5 if scale is None else scale


def _boundaries(cu_seqlens: Tensor, x: Tensor) -> list[int]:
    boundaries = cu_seqlens.tolist()
    increasing = all(a < b for a, b in pairwise(boundaries))
    if x.shape[0] != 1 or boundaries[0] != 0 or boundaries[-1] != x.shape[1] or not increasing:
        raise ValueError(
            f"cu_seqlens: expected a batch of one and increasing boundaries from 0 to T={x.shape[1]}, got a "
            f"batch of {x.shape[0]} and {boundaries}. Concatenate the sequences along time."
        )
    return boundaries
