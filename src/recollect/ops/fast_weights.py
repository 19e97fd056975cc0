r"""A small network whose parameters are learned while a sequence is read: its state, its value, its gradient.

$$m(k) = [k +]\, [\mathrm{LN}]\,(z_L), \qquad z_1 = W_1^\top k + b_1, \qquad
z_{l+1} = W_{l+1}^\top \mathrm{gelu}(z_l) + b_{l+1}$$

with one layer (`FastLinear`) or two (`FastMLP`); residual and layer norm may be left out. The gradients of
$\tfrac12 |m(k) - v|^2$ are products $x_l e_l^\top$ of what a layer reads, $x_l$, and its error, $e_l$. They
are written out below, so that they can be differentiated once more by whoever trains the layer around them.

The bias of a layer is the weight of an input that is always 1: inside the ops a layer is one matrix, with its
bias as the last row.
"""

from dataclasses import dataclass, replace
from math import log, pi
from typing import NamedTuple

import torch
from einops import repeat
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, pad

from recollect.core.shapes import Keys, Values
from recollect.ops.dispatch import map_state

EPSILON = 1e-6
"""What the layer norm adds to the variance."""

Layers = list[Float[Tensor, "heads _ _"]]
"""Matrices with their bias as the last row, batch and heads as one axis; from the first layer to the last."""


class FastLinear(NamedTuple):
    """One layer: `z = w1^T k + b1`."""

    w1: Float[Tensor, "_ H K V"]
    b1: Float[Tensor, "_ H V"]


class FastMLP(NamedTuple):
    """Two layers: `z = w2^T gelu(w1^T k + b1) + b2`."""

    w1: Float[Tensor, "_ H K hidden"]
    b1: Float[Tensor, "_ H hidden"]
    w2: Float[Tensor, "_ H hidden V"]
    b2: Float[Tensor, "_ H V"]


FastWeights = FastLinear | FastMLP | tuple[()]
"""Parameters of a network, or what moves them; `()` where there is nothing."""


class LearnerState(NamedTuple):
    """What a learner by minibatches carries from position to position."""

    parameters: FastWeights
    """What queries are answered with."""

    momentum: FastWeights
    """The last update of the parameters; `()` for a learner without momentum."""

    start: FastWeights
    """Parameters at the start of the present minibatch, where its gradients are taken."""

    position: Int64[Tensor, " _"]
    """How many positions of its minibatch each sequence has read."""


@dataclass(frozen=True)
class Readout:
    """What becomes of the last layer's output: a layer norm with gain and bias, and the key added."""

    layer_norm: bool
    residual: bool
    gain: Float[Tensor, "*heads V"] | None = None
    bias: Float[Tensor, "*heads V"] | None = None

    def __call__(self, x: Float[Tensor, "*#batch _"], z: Float[Tensor, "*#batch V"]) -> Tensor:
        """`m(x)` from the output `z` of the last layer."""
        if self.layer_norm:
            z = layer_norm(z, z.shape[-1:], eps=EPSILON)
            z = z if self.gain is None else self.gain * z
            z = z if self.bias is None else z + self.bias
        return x + z if self.residual else z

    def for_rows(self, batch: int) -> "Readout":
        """The same for tensors with batch and heads as one axis, followed by positions."""
        gain, bias = (
            x if x is None else repeat(x, "h v -> (b h) 1 v", b=batch) for x in (self.gain, self.bias)
        )
        return replace(self, gain=gain, bias=bias)

    def target(self, k: Float[Tensor, "*batch _"], v: Float[Tensor, "*batch V"]) -> Tensor:
        """What `error` compares with: the value without what is added after the norm, times the gain."""
        target = v - k if self.residual else v
        if not self.layer_norm:
            return target
        target = target if self.bias is None else target - self.bias
        return target if self.gain is None else self.gain * target

    def error(
        self, z: Float[Tensor, "*batch V"], target: Float[Tensor, "*batch V"], step: Float[Tensor, "*batch 1"]
    ) -> Float[Tensor, "*batch V"]:
        """Gradient of half the squared error by `z`, times the step size."""
        if not self.layer_norm:
            return step * (z - target)
        centred = z - z.mean(-1, keepdim=True)
        inverse = ((centred * centred).mean(-1, keepdim=True) + EPSILON).rsqrt()
        unit = centred * inverse
        slope = unit - target if self.gain is None else unit * self.gain.square() - target
        along = (slope * unit).mean(-1, keepdim=True)
        return (slope - slope.mean(-1, keepdim=True) - along * unit) * (inverse * step)


def check_residual(k: Keys, v: Values, *, residual: bool) -> None:
    """Refuse a residual between unequal dimensions.

    Raises:
        ValueError: it is one.
    """
    if residual and k.shape[-1] != v.shape[-1]:
        raise ValueError(
            f"residual=True: expected values with as many channels as keys, got V={v.shape[-1]} and "
            f"K={k.shape[-1]}. Pass residual=False, or project the values to K channels."
        )


def fresh_learner(
    parameters: FastLinear | FastMLP, batch: int, *, has_momentum: bool = False
) -> LearnerState:
    """The state of each sequence of a batch before it is read; `parameters` are those of the heads."""
    start = map_state(lambda x: x.expand(batch, *x.shape), parameters)
    momentum = map_state(torch.zeros_like, start) if has_momentum else ()
    position = torch.zeros(batch, dtype=torch.int64, device=parameters.w1.device)
    return LearnerState(start, momentum, start, position)


def evaluate(parameters: FastWeights, readout: Readout, x: Float[Tensor, "B H K"]) -> Float[Tensor, "B H V"]:
    """The network as it is defined, at one point for each head."""
    z = x
    for i, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        z = torch.einsum("bhi,bhio->bho", gelu(z) if i else z, weight) + bias
    return readout(x, z)


def gradients(
    layers: Layers,
    readout: Readout,
    keys: Float[Tensor, "heads C inputs"],
    targets: Float[Tensor, "heads C V"],
    steps: Float[Tensor, "heads C 1"],
) -> tuple[list[Tensor], list[Tensor]]:
    """What each layer reads, and its error times the step size: their products are steps along the gradients.

    `keys` end with a 1, `targets` come from `Readout.target`.
    """
    inputs, slopes = [keys], []
    for layer in layers[:-1]:
        value, slope = _gelu(inputs[-1] @ layer)
        inputs.append(with_one(value))
        slopes.append(slope)
    errors = [readout.error(inputs[-1] @ layers[-1], targets, steps)]
    for layer, slope in zip(layers[:0:-1], slopes[::-1], strict=True):
        errors.append((errors[-1] @ layer.mT)[..., :-1] * slope)
    return inputs, errors[::-1]


def with_one(x: Float[Tensor, "*batch inputs"]) -> Tensor:
    """`x` with a 1 at its end, which the bias multiplies."""
    return pad(x, (0, 1), value=1.0)


def to_layers(parameters: FastWeights) -> Layers:
    """Weights over biases, batch and heads as one axis; no layers for `()`."""
    pairs = zip(parameters[::2], parameters[1::2], strict=True)
    return [torch.cat([weight, bias.unsqueeze(-2)], dim=-2).flatten(0, 1) for weight, bias in pairs]


def from_layers(layers: Layers, like: FastWeights) -> FastWeights:
    """The inverse of `to_layers`, in the form of `like`."""
    parts = []
    for layer, weight in zip(layers, like[::2], strict=True):
        separate = layer.unflatten(0, weight.shape[:2])
        parts += [separate[..., :-1, :], separate[..., -1, :]]
    return type(like)(*parts)


def _gelu(z: Float[Tensor, "*batch hidden"]) -> tuple[Tensor, Tensor]:
    """The function `z Phi(z)` and its derivative `Phi(z) + z phi(z)`."""
    half, log_peak = z.new_full((), 0.5), z.new_full((), -0.5 * log(2 * pi))
    below = torch.add(half, torch.erf(z * 0.5**0.5), alpha=0.5)
    density = torch.addcmul(log_peak, z, z, value=-0.5).exp()
    return z * below, torch.addcmul(below, z, density)
