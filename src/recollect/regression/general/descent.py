r"""One step of gradient descent on one association, for all online solvers.

$$\theta' = e^g \theta, \qquad u = \mu u - \eta \nabla \tfrac12 \lVert v - m_{\bar\theta}(k) \rVert^2, \qquad
\theta = \theta' + u$$

$\bar\theta$ is $\theta'$ (or $\theta$, for `undecayed`), or what it was where the minibatch started. With
several steps at a position the decay acts before the first one.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recollect.regression.general.inner_model import InnerModel, Parameters

Rate = Float[Tensor, "*#B H _"]
"""A number of each head, or of each key channel, at one position."""


class Chain(NamedTuple):
    """What a chain of steps carries; a part that it does not need has no rows.

    Attributes:
        parameters: of the model.
        update: the last one, for momentum.
        anchor: parameters where the minibatch started.
    """

    parameters: Parameters
    update: Float[Tensor, "*B _ columns"]
    anchor: Float[Tensor, "*B _ columns"]

    @classmethod
    def at(cls, parameters: Parameters, *, momentum: bool, minibatch: bool) -> "Chain":
        """A chain that starts from parameters."""
        nothing = parameters[..., :0, :]
        return cls(
            parameters,
            torch.zeros_like(parameters) if momentum else nothing,
            parameters if minibatch else nothing,
        )


class Example(NamedTuple):
    """One association and how to step on it; the axes of the chains are in front.

    Attributes:
        features: what the model sees of the key.
        directions: along which a linear class moves.
        v: the value.
        step: step size, times the weight.
        log_decay: that acts first, or `None`.
        momentum: share of the last update that is kept, or `None`.
        starts: whether a minibatch starts here, or `None` without minibatches.
    """

    features: Tensor
    directions: Tensor
    v: Tensor
    step: Rate
    log_decay: Rate | None
    momentum: Rate | None
    starts: Bool[Tensor, "*#B"] | None


def descend(model: InnerModel, chain: Chain, example: Example, *, undecayed: bool = False) -> Chain:
    """One step; `undecayed` takes the gradient at the parameters before their decay."""
    parameters = chain.parameters
    if example.log_decay is not None:
        parameters = example.log_decay.exp().unsqueeze(-1) * parameters
    anchor, at = chain.anchor, chain.parameters if undecayed else parameters
    if example.starts is not None:
        at = anchor = torch.where(example.starts[..., None, None], at, anchor)
    gradient = model.gradient(at, example.features, example.directions, example.v)
    update = -example.step.unsqueeze(-1) * gradient
    if example.momentum is not None:
        update = example.momentum.unsqueeze(-1) * chain.update + update
    return Chain(parameters + update, update if example.momentum is not None else chain.update, anchor)
