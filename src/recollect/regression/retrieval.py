"""Reading before an association is learned, with ops that read after it."""

from dataclasses import replace

import torch
from torch import Tensor

from recollect.core.shapes import Values
from recollect.regression.problem import Associations, Constants, HeadSizes
from recollect.regression.solver import Solver, State


def read_before(solver: Solver, num_steps: int = 1) -> Solver:
    """A solver that answers position t from what it knew before it, without the decay at t.

    An association of zeros is put in front, which teaches nothing, and every query moves one position to the
    front. Costs one position more.
    """

    def read(a: Associations, c: Constants, state: State | None, form: str | None) -> tuple[Values, State]:
        late = Associations(
            q=torch.cat([a.q, torch.zeros_like(a.q[:, :1])], dim=1),
            k=_delayed(a.k, num_steps),
            v=_delayed(a.v, num_steps),
            g=None if a.g is None else _delayed(a.g),
            log_importance=None if a.log_importance is None else _delayed(a.log_importance),
            step=None if a.step is None else _delayed(a.step, num_steps),
        )
        outputs, state = solver.read(late, c, state, form)
        return outputs[:, :-1], state

    return replace(solver, name=f"{solver.name}, read before", read=read)


def _delayed(x: Tensor, count: int = 1) -> Tensor:
    return torch.cat([torch.zeros_like(x[:, :count]), x], dim=1)


def with_normaliser(solver: Solver, kind: str) -> Solver:
    """A solver that divides what it reads by the same sum without values, `sum` or at least 1, `bounded`."""

    def read(a: Associations, c: Constants, state: State | None, form: str | None) -> tuple[Values, State]:
        counted = a._replace(v=torch.cat([a.v, torch.ones_like(a.v[..., :1])], dim=-1))
        outputs, state = solver.read(counted, c, state, form)
        values, total = outputs[..., :-1], outputs[..., -1:]
        if kind == "bounded":
            return values / total.abs().clamp(min=1.0), state
        # A sum of positive features is positive, but may underflow.
        tiny = torch.finfo(total.dtype).tiny ** 0.5
        return values / torch.where(total.abs() < tiny, tiny, total), state

    return replace(
        solver,
        name=f"{solver.name}, normalised",
        read=read,
        initial_state=lambda batch_size, sizes, constants, like: solver.initial_state(
            batch_size, _with_count(sizes), constants, like
        ),
        state_size=lambda sizes, length: solver.state_size(_with_count(sizes), length),
    )


def _with_count(sizes: HeadSizes) -> HeadSizes:
    return replace(sizes, value_dim=sizes.value_dim + 1)
