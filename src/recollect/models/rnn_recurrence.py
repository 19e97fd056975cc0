r"""The simple recurrence with an activation, one matrix product a step, with a hand-written gradient.

$$h_t = \varphi(u_t + W h_{t-1})$$

Backward, with $\delta_t$ the gradient before the activation and $\partial_t$ what comes from above:
$\delta_t = \varphi'(h_t) \odot (\partial_t + W^\top \delta_{t+1})$, again one matrix product a step; the
gradient of $W$ is one product over all steps at the end.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.models.runs_axis import empty_time_first, fold_runs, over_runs, summed_products

Activation = Literal["tanh", "hardtanh", "linear"]

IN_PLACE: dict[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh_,
    "hardtanh": torch.nn.functional.hardtanh_,
    "linear": lambda h: h,
}
_BACKWARD_IN_PLACE: dict[Activation, Callable[[Tensor, Tensor], Tensor]] = {
    "tanh": lambda delta, h: delta.sub_(delta * h * h),
    "hardtanh": lambda delta, h: delta.mul_(h.abs() < 1),
    "linear": lambda delta, h: delta,
}


def rnn_recurrence(
    u: Float[Tensor, "B T D"],
    matrix: Float[Tensor, "D D"],
    initial_state: Float[Tensor, "B D"],
    activation: Activation = "tanh",
) -> Float[Tensor, "B T D"]:
    """All states `h_0 .. h_{T-1}`; O(B T D^2) work, T sequential products each way.

    Differentiable once, and accepted by `torch.func.vmap` (models become a batch of matrix products).

    Example:
        >>> u, matrix = torch.ones(1, 3, 1), torch.tensor([[2.0]])
        >>> rnn_recurrence(u, matrix, torch.zeros(1, 1), "linear").flatten()
        tensor([1., 3., 7.])
    """
    # squeeze and not [0]: the gradient of indexing fills a tensor with zeros first.
    return _Recurrence.apply(u[None], matrix[None], initial_state[None], activation).squeeze(0)


class _Recurrence(torch.autograd.Function):
    """On `R` models at once: `u` is `(R, B, T, D)`, `matrix` `(R, D, D)`, `start` `(R, B, D)`."""

    @staticmethod
    def forward(u: Tensor, matrix: Tensor, start: Tensor, activation: Activation) -> Tensor:
        states = empty_time_first(u, u.shape[-1])
        activate, state = IN_PLACE[activation], start
        for u_t, state_t in zip(u.unbind(2), states.unbind(0), strict=True):
            state = activate(torch.baddbmm(u_t, state, matrix.mT, out=state_t))
        return states.movedim(0, 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Activation], output: Tensor) -> None:
        _, matrix, start, ctx.activation = inputs
        ctx.save_for_backward(matrix, start, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        matrix, start, states = ctx.saved_tensors
        (delta,) = over_runs(partial(_adjoint, ctx.activation), *gradients, matrix, states)
        return delta, summed_products(delta, states, start), delta[:, :, 0] @ matrix, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        *values, activation = inputs
        folded = fold_runs(info.batch_size, in_dims[:3], tuple(values))
        return _Recurrence.apply(*folded, activation).unflatten(0, (info.batch_size, -1)), 0


def _adjoint(activation: Activation, gradient: Tensor, matrix: Tensor, states: Tensor) -> tuple[Tensor]:
    deltas = empty_time_first(gradient, gradient.shape[-1])
    backward, delta = _BACKWARD_IN_PLACE[activation], torch.zeros_like(deltas[0])
    steps = list(zip(gradient.unbind(2), states.unbind(2), deltas.unbind(0), strict=True))
    for gradient_t, state_t, delta_t in reversed(steps):
        delta = backward(torch.baddbmm(gradient_t, delta, matrix, out=delta_t), state_t)
    return (deltas.movedim(0, 2),)
