r"""Step sizes of online optimizers: what a rule makes of them, and how large a composition bears them.

A gradient step of size $\eta$ on a loss of curvature $L$ is stable below $2 / L$. The gradients of a
minibatch, all taken at one point, add up, and momentum $\mu$ repeats each of them $1 / (1 - \mu)$ times. A
learned step is therefore

$$\eta_t = \mathrm{max\_step} \cdot \sigma(W x_t + b) \cdot \frac{1 - \mu_t}{L \cdot \mathrm{minibatch}}$$

with the largest $L$ that keys and queries of norm 1 have in the function class. In a network, whose
parameters change its curvature, $L$ is taken at the start with a margin, and $\mu_t$ where training starts:
step and momentum are then gates of their own, as in Titans. A step given as a number stays that number.
"""

from torch import Tensor

from recollect.regression.function_classes import MLP, FunctionClass, LocalLinear, LocalPolynomial
from recollect.regression.optimizers import Sgd
from recollect.regression.problem import Associations, EntrySteps

START_MOMENTUM = 0.9
"""Where training of a learned momentum starts."""


def ruled_step(rule: str, step: Tensor, weight: Tensor | None, square: Tensor) -> Tensor:
    r"""The explicit step on the squared error that a rule amounts to, for a loss that a weight multiplies.

    `implicit` is the proximal step of the weighted loss, $w \eta / (1 + w \eta |\phi|^2)$, below
    $1 / |\phi|^2$ whatever the weight. `normalised` is $\min(w, 1)\, \eta / |\phi|^2$: at $\eta = 1$ a step
    removes the whole error, and a larger weight has nothing more to remove. Weights that are negative (of a
    memory function) step away, by no more.

    Args:
        rule: `explicit`, `implicit` or `normalised`.
        step: the step size.
        weight: of the association in the loss, 1 if `None`.
        square: squared norm of the features.
    """
    if rule == "normalised":
        share = step if weight is None else step * weight.clamp(-1, 1)
        return share / (square + 1e-6)
    weighted = step if weight is None else step * weight
    return weighted / (1 + weighted.abs() * square) if rule == "implicit" else weighted


def entry_weight(a: Associations) -> EntrySteps | None:
    """The weight that is each entry's own; the entries of one position share it."""
    if a.log_importance is None:
        return None
    return a.log_importance.exp().repeat_interleave(a.k.shape[1] // a.log_importance.shape[1], dim=1)


def step_share(function_class: FunctionClass, optimizer: Sgd) -> float:
    """The largest learned step for a `max_step` of 1, up to the factor `momentum_share`."""
    at_one_point = optimizer.minibatch * optimizer.num_steps if optimizer.minibatch > 1 else 1
    # The other rules divide by the norm of the features themselves.
    curvature = _curvature(function_class) if optimizer.rule == "explicit" else 1.0
    share = 1 / (curvature * at_one_point)
    if not isinstance(function_class, MLP):
        return share
    return share * (1 - (START_MOMENTUM if optimizer.momentum == "learned" else optimizer.momentum))


def momentum_share(function_class: FunctionClass, momentum: Tensor | None) -> Tensor | float:
    """What momentum leaves of a learned step, where the curvature does not depend on the parameters."""
    return 1.0 if momentum is None or isinstance(function_class, MLP) else 1 - momentum


def _curvature(function_class: FunctionClass) -> float:
    """Squared norm of the gradient of the prediction, for queries and keys of norm 1.

    A network of one layer has `|k|^2 + 1` with its bias. One of two layers starts near 3: 1 of the output
    bias, about 1 of the hidden units, 1/2 of each part of the first layer; it grows while values are learned.
    """
    if isinstance(function_class, MLP):
        return 2.0 if function_class.depth == 1 else 8.0
    if isinstance(function_class, LocalLinear):
        return 5.0
    if isinstance(function_class, LocalPolynomial):
        return (1.0, 5.0, 21.0)[function_class.degree]
    return 1.0
