r"""The gated recurrent unit's time loop, with a hand-written gradient.

With $u_t$ of width $3D$ (reset, update, candidate) and $p = W h_{t-1}$ split alike:

$$r = \sigma(u^r_t + p^r), \quad z = \sigma(u^z_t + p^z), \quad
n = \tanh(u^n_t + r \odot (p^n + b)), \quad h_t = n + z \odot (h_{t-1} - n)$$

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


def gru_recurrence(
    u: Float[Tensor, "B T gates"],
    matrix: Float[Tensor, "gates D"],
    bias: Float[Tensor, " D"],
    initial_state: Float[Tensor, "B D"],
) -> Float[Tensor, "B T D"]:
    """All states `h_0 .. h_{T-1}`; O(B T D^2) work, T sequential products each way.

    Differentiable once, and accepted by `torch.func.vmap` (models become a batch of matrix products).

    Example:
        >>> u, matrix = torch.zeros(1, 2, 3), torch.zeros(3, 1)
        >>> gru_recurrence(u, matrix, torch.zeros(1), torch.ones(1, 1)).flatten()
        tensor([0.5000, 0.2500])
    """
    states, _, _ = _Recurrence.apply(u[None], matrix[None], bias[None], initial_state[None])
    return states.squeeze(0)


class _Recurrence(torch.autograd.Function):
    """On `R` models at once; also returns the gates r, z, n and the recurrent candidate `p^n + b`."""

    @staticmethod
    def forward(u: Tensor, matrix: Tensor, bias: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dim = start.shape[-1]
        states, gates, candidates = (empty_time_first(u, width) for width in (dim, 3 * dim, dim))
        state, offset = start, bias[:, None]
        steps = zip(u.unbind(2), states.unbind(0), gates.unbind(0), candidates.unbind(0), strict=True)
        for u_t, state_t, gates_t, candidate_t in steps:
            product = state @ matrix.mT
            reset_update, new = gates_t[..., : 2 * dim], gates_t[..., 2 * dim :]
            torch.add(u_t[..., : 2 * dim], product[..., : 2 * dim], out=reset_update).sigmoid_()
            torch.add(product[..., 2 * dim :], offset, out=candidate_t)
            torch.addcmul(u_t[..., 2 * dim :], reset_update[..., :dim], candidate_t, out=new).tanh_()
            state = torch.lerp(new, state, reset_update[..., dim:], out=state_t)
        return states.movedim(0, 2), gates.movedim(0, 2), candidates.movedim(0, 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        _, matrix, _, start = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)  # no zeros for the outputs that only backward reads
        ctx.save_for_backward(matrix, start, *output)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        if gradients[0] is None:
            return None, None, None, None
        matrix, start, states, gates, candidates = ctx.saved_tensors
        delta_u, delta_candidate, delta_start = over_runs(
            _adjoint, gradients[0], matrix, start, states, gates, candidates
        )
        delta_gates = delta_u[..., : 2 * start.shape[-1]]
        matrix_gradient = torch.cat(
            [summed_products(delta, states, start) for delta in (delta_gates, delta_candidate)], dim=1
        )
        return delta_u, matrix_gradient, delta_candidate.sum((1, 2)), delta_start

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], *values: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        folded = fold_runs(info.batch_size, in_dims, values)
        return unfold_runs(info.batch_size, _Recurrence.apply(*folded))


def _adjoint(
    gradient: Tensor, matrix: Tensor, start: Tensor, states: Tensor, gates: Tensor, candidates: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `u`, of the recurrent candidates and of the initial state."""
    dim = start.shape[-1]
    delta_u, delta_candidate = empty_time_first(gradient, 3 * dim), empty_time_first(gradient, dim)
    matrix_gates, matrix_candidate = matrix[:, : 2 * dim], matrix[:, 2 * dim :]
    earlier = [start, *states.unbind(2)[:-1]]
    sequences = [value.unbind(2) for value in (gradient, gates, candidates)]
    steps = list(zip(*sequences, earlier, delta_u.unbind(0), delta_candidate.unbind(0), strict=True))
    arriving = torch.zeros_like(start)
    for gradient_t, gates_t, candidate_t, state, delta_t, delta_candidate_t in reversed(steps):
        r, z, n = gates_t.chunk(3, dim=-1)
        delta_r, delta_z, delta_n = delta_t.chunk(3, dim=-1)
        delta = gradient_t + arriving
        kept = delta * z
        tanh_backward(delta - kept, n, grad_input=delta_n)
        torch.mul(delta_n, r, out=delta_candidate_t)
        sigmoid_backward(delta_n * candidate_t, r, grad_input=delta_r)
        sigmoid_backward(delta * (state - n), z, grad_input=delta_z)
        arriving = torch.baddbmm(kept, delta_t[..., : 2 * dim], matrix_gates)
        arriving.baddbmm_(delta_candidate_t, matrix_candidate)
    return delta_u.movedim(0, 2), delta_candidate.movedim(0, 2), arriving
