r"""The linear response of an affine causal map: its kernel and its bias.

$$\hat y_t = b_t + \sum_{s \le t} k_t(s)\, x_{t-s}$$

Of a model that does not change with time $k_t$ is one kernel for all t. The functions here measure it by
reading impulses, which holds for every affine map; they are differentiable in its parameters.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core.mixer import SeparableKernel

Read = Callable[[Tensor], Tensor]
Answers = Float[Tensor, "T outputs inputs"] | SeparableKernel
Target = Float[Tensor, "T outputs inputs"]

_CHUNK_VALUES = 2**17


class LinearResponse(NamedTuple):
    """What an affine causal map makes of inputs.

    Attributes:
        kernel: `k(s)` at lags s of a time-invariant map; else `k_t(s)` at `[t, s]`, 0 for s > t.
        bias: the outputs for an input of zeros.
    """

    kernel: Float[Tensor, "T outputs inputs"] | Float[Tensor, "T T outputs inputs"]
    bias: Float[Tensor, "T outputs"]

    def mean_square(self, target: Target) -> Float[Tensor, ""]:
        """Expected squared error on white input of unit variance, against the kernel `target` without bias.

        The mean over positions 0..T-1 from zero state and over outputs: lag s of a kernel that does not
        depend on t is met T - s times.
        """
        squares = (self.kernel - target).square().sum((-2, -1))
        if squares.ndim == 1:
            counts = torch.arange(len(squares), 0, -1, dtype=squares.dtype, device=squares.device)
            total = counts @ squares
        else:
            total = squares.tril().sum()
        return (total + self.bias.square().sum()) / self.bias.numel()


class SeparableResponse(NamedTuple):
    """The same of a map whose kernel is separable in position and lag.

    Attributes:
        factors: of the kernel.
        bias: the outputs for an input of zeros.
    """

    factors: SeparableKernel
    bias: Float[Tensor, "T outputs"]

    @property
    def kernel(self) -> Float[Tensor, "T T outputs inputs"]:
        """`k_t(s)` at `[t, s]`, 0 for s > t; O(T^2)."""
        by_channel = torch.einsum("tj,sjoi->oits", *self.factors).tril()
        return by_channel.permute(2, 3, 0, 1)

    def mean_square(self, target: Target) -> Float[Tensor, ""]:
        """As `LinearResponse.mean_square`, in O(T J^2) for J terms.

        The target is one more term, of gain -1; sums over the lags of products of terms are cumulative. In
        float64, for a small error is a difference of large sums here.
        """
        gains, kernels = (factor.double() for factor in self.factors)
        terms = torch.cat([kernels, target.double()[:, None]], dim=1).flatten(2)
        weights = torch.cat([gains, -torch.ones_like(gains[:, :1])], dim=1)
        # Elementwise: a product of tiny matrices at each of T positions takes ten times as long on a CPU.
        products = (terms.unsqueeze(1) * terms.unsqueeze(2)).sum(-1).cumsum(0)
        total = (products * weights.unsqueeze(1) * weights.unsqueeze(2)).sum().clamp(min=0)
        return ((total + self.bias.double().square().sum()) / self.bias.numel()).to(self.bias.dtype)


Response = LinearResponse | SeparableResponse


def plus_at_lag_zero(
    answers: Answers, present: Float[Tensor, "outputs inputs"]
) -> Float[Tensor, "T outputs inputs"] | SeparableKernel:
    """A kernel, and what passes it by."""
    if isinstance(answers, SeparableKernel):
        gains, kernels = answers
        passing = _at_lag_zero(present, len(gains))[:, None]
        ones = torch.ones_like(gains[:, :1])
        return SeparableKernel(torch.cat([gains, ones], dim=1), torch.cat([kernels, passing], dim=1))
    return answers + _at_lag_zero(present, len(answers))


def joined_with_constant(answers: Answers, last: Float[Tensor, " outputs"]) -> Response:
    """The response of which the last input is a constant 1, whose answers are then summed over the lags.

    Args:
        answers: the kernel, a constant as its last input.
        last: added to the outputs.
    """
    if isinstance(answers, SeparableKernel):
        gains, kernels = answers
        constant = torch.einsum("tj,tjo->to", gains, kernels[..., -1].cumsum(0))
        return SeparableResponse(SeparableKernel(gains, kernels[..., :-1]), constant + last)
    return LinearResponse(answers[..., :-1], answers[..., -1].cumsum(0) + last)


def _at_lag_zero(present: Float[Tensor, "outputs inputs"], length: int) -> Float[Tensor, "T outputs inputs"]:
    return nn.functional.pad(present[None], (0, 0, 0, 0, 0, length - 1))


def response_to_impulses(
    read: Read, zeros: Float[Tensor, "1 T inputs"], receptive_field: int | None = None
) -> LinearResponse:
    """Of a time-invariant map: one impulse a channel at the first position, and zeros, read as one batch.

    A finite memory is silent after its receptive field: nothing beyond is computed.

    Example:
        >>> response_to_impulses(lambda x: 1 + 2 * x, torch.zeros(1, 3, 1)).kernel.flatten()
        tensor([2., 0., 0.])
    """
    length, num_inputs = zeros.shape[1:]
    seen = length if receptive_field is None else min(length, receptive_field)
    impulses = torch.eye(num_inputs + 1, num_inputs, dtype=zeros.dtype, device=zeros.device)
    outputs = read(nn.functional.pad(impulses[:, None], (0, 0, 0, seen - 1)))
    bias, kernel = outputs[-1], (outputs[:-1] - outputs[-1]).permute(1, 2, 0)
    silence = length - seen
    return LinearResponse(
        nn.functional.pad(kernel, (0, 0, 0, 0, 0, silence)),
        torch.cat([bias, bias[-1:].expand(silence, -1)]),
    )


def responses_to_all_impulses(read: Read, zeros: Float[Tensor, "1 T inputs"]) -> LinearResponse:
    """Of a map that changes with time: an impulse at every position of every channel; T I + 1 sequences.

    Example:
        >>> responses_to_all_impulses(lambda x: x.cumsum(1), torch.zeros(1, 2, 1)).kernel[..., 0, 0]
        tensor([[1., 0.],
                [1., 1.]])
    """
    length, num_inputs = zeros.shape[1:]
    count = length * num_inputs
    bias = read(zeros)[0]
    impulses = torch.eye(count, dtype=zeros.dtype, device=zeros.device).unflatten(1, (length, num_inputs))
    chunk = max(1, _CHUNK_VALUES // length)
    outputs = torch.cat([read(part) - bias for part in impulses.split(chunk)])
    by_impulse = outputs.unflatten(0, (length, num_inputs))
    position = torch.arange(length, device=zeros.device)
    source = position[:, None] - position  # where the impulse was, at [position, lag]
    kernel = by_impulse[source.clamp(min=0), :, position[:, None]].mT
    return LinearResponse(kernel.where((source >= 0)[..., None, None], 0.0), bias)
