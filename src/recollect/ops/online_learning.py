r"""The forms of the ops that learn a small network by minibatches of gradient steps while they read.

$$M_t = \mu_t M_{t-1} - \eta_t \nabla_\theta \tfrac12 |m(k_t; \bar\theta_t) - v_t|^2, \qquad
\theta_t = e^{g_t} \theta_{t-1} + M_t, \qquad o_t = m(q_t; \theta_t)$$

where $\bar\theta_t$ are the parameters at the start of the minibatch of $t$: all its gradients are taken
there at once, and each position is answered with those up to its own. Without momentum and decay this is
test-time training (arXiv:2407.04620), with them the memory of Titans (arXiv:2501.00663). The chunkwise form
is in `dual_form`.
"""

import torch
from einops import rearrange
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import gelu

from recollect.core.shapes import HeadDecay, Keys, Queries, StepSizes, Values
from recollect.ops.dispatch import map_state
from recollect.ops.fast_weights import (
    FastWeights,
    Layers,
    LearnerState,
    Readout,
    evaluate,
    from_layers,
    gradients,
    to_layers,
    with_one,
)


def learn_by_autograd(
    q: Queries,
    k: Keys,
    v: Values,
    eta: StepSizes,
    state: LearnerState,
    *,
    readout: Readout,
    minibatch_size: int,
    g: HeadDecay | None = None,
    momentum: StepSizes | None = None,
) -> tuple[Values, LearnerState]:
    """The definition: the gradient of the inner loss by automatic differentiation, position by position."""
    parameters, moving, start, position = state

    def loss(parameters: FastWeights, key: Tensor, value: Tensor) -> Tensor:
        return 0.5 * (evaluate(parameters, readout, key) - value).square().sum()

    outputs = []
    for t in range(q.shape[1]):
        gradient = torch.func.grad(loss)(start, k[:, t], v[:, t])
        update = map_state(lambda x, t=t: -_over(eta[:, t], x) * x, gradient)
        if momentum is not None and g is not None:
            kept, decay = momentum[:, t], g[:, t].exp()
            update = moving = map_state(lambda m, x, kept=kept: _over(kept, m) * m + x, moving, update)
            parameters = map_state(lambda x, decay=decay: _over(decay, x) * x, parameters)
        parameters = map_state(torch.add, parameters, update)
        outputs.append(evaluate(parameters, readout, q[:, t]))
        position = (position + 1) % minibatch_size
        new = position == 0
        start = map_state(lambda x, y, new=new: torch.where(_over(new, x), x, y), parameters, start)
    return torch.stack(outputs, dim=1), LearnerState(parameters, moving, start, position)


def learn_recurrently(
    q: Queries,
    k: Keys,
    v: Values,
    eta: StepSizes,
    state: LearnerState,
    *,
    readout: Readout,
    minibatch_size: int,
    g: HeadDecay | None = None,
    momentum: StepSizes | None = None,
) -> tuple[Values, LearnerState]:
    """Gradients in closed form; views taken once, since a slice in the loop makes its gradient quadratic."""
    batch, length, num_heads = eta.shape
    rows = readout.for_rows(batch)
    vectors = with_one(q), with_one(k), readout.target(k, v)
    queries, keys, targets = (rearrange(x, "b t h d -> t (b h) 1 d").unbind() for x in vectors)
    (steps,) = _factors(eta)
    carried = (
        [()] * length if g is None or momentum is None else zip(*_factors(g.exp(), momentum), strict=True)
    )
    read = state.position + torch.arange(1, length + 1, device=eta.device).unsqueeze(1)
    ends = (read % minibatch_size == 0).repeat_interleave(num_heads, 1)[..., None, None].unbind()
    layers, moving, start = (to_layers(x) for x in state[:3])
    outputs = []
    for query, key, target, step, factors, end in zip(
        queries, keys, targets, steps, carried, ends, strict=True
    ):
        inputs, errors = gradients(start, rows, key, target, step)
        layers, moving = _descend(layers, moving, inputs, errors, *factors)
        outputs.append(_answer(layers, query))
        start = [torch.where(end, new, old) for new, old in zip(layers, start, strict=True)]
    z = rearrange(torch.stack(outputs), "t (b h) 1 v -> b t h v", h=num_heads)
    parts = (from_layers(x, like) for x, like in zip((layers, moving, start), state[:3], strict=True))
    return readout(q, z), LearnerState(*parts, position=read[-1] % minibatch_size)


def _descend(
    layers: Layers,
    moving: Layers,
    inputs: list[Tensor],
    errors: list[Tensor],
    decay: Tensor | None = None,
    kept: Tensor | None = None,
) -> tuple[Layers, Layers]:
    """One step against the gradient `inputs^T errors`: of the layers, or of what moves them."""
    outer = list(zip(inputs, errors, strict=True))
    if decay is None or kept is None:
        return [torch.baddbmm(w, x.mT, e, alpha=-1) for w, (x, e) in zip(layers, outer, strict=True)], []
    moving = [torch.baddbmm(kept * m, x.mT, e, alpha=-1) for m, (x, e) in zip(moving, outer, strict=True)]
    return [torch.addcmul(m, decay, w) for m, w in zip(moving, layers, strict=True)], moving


def _answer(layers: Layers, query: Float[Tensor, "heads 1 _"]) -> Float[Tensor, "heads 1 V"]:
    """The output of the last layer."""
    z = query @ layers[0]
    for layer in layers[1:]:
        z = with_one(gelu(z)) @ layer
    return z


def _factors(*sequences: Float[Tensor, "B T H"]) -> list[tuple[Tensor, ...]]:
    """Numbers of each position, to multiply matrices with."""
    return [rearrange(x, "b t h -> t (b h) 1 1").unbind() for x in sequences]


def _over(numbers: Shaped[Tensor, "B *H"], x: Tensor) -> Tensor:
    """Numbers of a batch, or of its heads, as factors of a parameter."""
    return numbers.reshape(*numbers.shape, *(1,) * (x.ndim - numbers.ndim))
