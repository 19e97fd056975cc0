r"""The time loop of long short-term memory, with a hand-written gradient.

With $u_t + W h_{t-1}$ of width $4D$ split into input, forget, candidate and output:

$$c_t = \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g), \qquad h_t = \sigma(o) \odot \tanh(c_t)$$

Both loops work on one step at a time, whose few rows stay in the cache; the gradient of $W$ is one product
over all steps at the end.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.models.runs_axis import empty_time_first, fold_runs, over_runs, summed_products, unfold_runs

sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input


def lstm_recurrence(
    u: Float[Tensor, "B T gates"],
    matrix: Float[Tensor, "gates D"],
    initial_state: Float[Tensor, "B D"],
    initial_cell: Float[Tensor, "B D"],
) -> Float[Tensor, "B T D"]:
    """All states `h_0 .. h_{T-1}`; O(B T D^2) work, T sequential products each way.

    Differentiable once, and accepted by `torch.func.vmap` (models become a batch of matrix products).

    Example:
        >>> u, matrix = torch.zeros(1, 2, 4), torch.zeros(4, 1)
        >>> lstm_recurrence(u, matrix, torch.zeros(1, 1), torch.ones(1, 1)).flatten()
        tensor([0.2311, 0.1225])
    """
    states, _, _, _ = _Recurrence.apply(u[None], matrix[None], initial_state[None], initial_cell[None])
    return states.squeeze(0)


class _Recurrence(torch.autograd.Function):
    """On `R` models at once; also returns the gates, the cells and the cells' hyperbolic tangents."""

    @staticmethod
    def forward(u: Tensor, matrix: Tensor, start: Tensor, start_cell: Tensor) -> tuple[Tensor, ...]:
        dim = start.shape[-1]
        outputs = tuple(empty_time_first(u, width) for width in (dim, 4 * dim, dim, dim))
        state, cell = start, start_cell
        for u_t, state_t, gates_t, cell_t, squashed_t in zip(
            u.unbind(2), *(output.unbind(0) for output in outputs), strict=True
        ):
            torch.baddbmm(u_t, state, matrix.mT, out=gates_t)
            write, keep, new, show = gates_t.chunk(4, dim=-1)
            gates_t[..., : 2 * dim].sigmoid_()
            new.tanh_()
            show.sigmoid_()
            cell = torch.mul(keep, cell, out=cell_t).addcmul_(write, new)
            state = torch.mul(show, torch.tanh(cell, out=squashed_t), out=state_t)
        return tuple(output.movedim(0, 2) for output in outputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)  # no zeros for the outputs that only backward reads
        ctx.save_for_backward(*inputs[1:], *output)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        if gradients[0] is None:
            return None, None, None, None
        start, states = ctx.saved_tensors[1], ctx.saved_tensors[3]
        delta, delta_start, delta_start_cell = over_runs(_adjoint, gradients[0], *ctx.saved_tensors)
        return delta, summed_products(delta, states, start), delta_start, delta_start_cell

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], *values: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        folded = fold_runs(info.batch_size, in_dims, values)
        return unfold_runs(info.batch_size, _Recurrence.apply(*folded))


def _adjoint(
    gradient: Tensor,
    matrix: Tensor,
    start: Tensor,
    start_cell: Tensor,
    states: Tensor,
    gates: Tensor,
    cells: Tensor,
    squashed: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `u`, of the initial state and of the initial cell."""
    deltas = empty_time_first(gradient, gates.shape[-1])
    earlier = [start_cell, *cells.unbind(2)[:-1]]
    sequences = [value.unbind(2) for value in (gradient, gates, squashed)]
    arriving, later_cell = torch.zeros_like(start), torch.zeros_like(start)
    steps = list(zip(*sequences, earlier, deltas.unbind(0), strict=True))
    for gradient_t, gates_t, squashed_t, cell, deltas_t in reversed(steps):
        i, f, g, o = gates_t.chunk(4, dim=-1)
        delta_i, delta_f, delta_g, delta_o = deltas_t.chunk(4, dim=-1)
        delta = gradient_t + arriving
        delta_cell = torch.ops.aten.tanh_backward(delta * o, squashed_t).add_(later_cell)
        sigmoid_backward(delta * squashed_t, o, grad_input=delta_o)
        sigmoid_backward(delta_cell * g, i, grad_input=delta_i)
        sigmoid_backward(delta_cell * cell, f, grad_input=delta_f)
        tanh_backward(delta_cell * i, g, grad_input=delta_g)
        later_cell = delta_cell * f
        arriving = torch.bmm(deltas_t, matrix)
    return deltas.movedim(0, 2), arriving, later_cell
