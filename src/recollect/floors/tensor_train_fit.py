r"""A memory function held by a linear dilated convolution of a given width.

The impulse response of such a net at the lag $s = \sum_k d_k l^k$ is the product of its kernels,
$W_{K-1}[d_{K-1}] \cdots W_0[d_0]$: a tensor train over the digits of the lag. The TT-SVD (Oseledets 2011,
doi:10.1137/090752286) splits one digit off after the other, the highest first, each time by the best
approximation of rank M; its squared error is at most the sum over the cuts of what each one must lose.
Sweeps of alternating least squares then solve for one kernel after the other under the weights of the
problem, which a product of ranks cannot follow and which leave lags beyond the horizon free.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core.shapes import Taps
from recollect.floors.problem import Problem

Core = Float64[Tensor, "_ _ _"]
"""Kernel of one level, `(taps, outputs, inputs)`: tap d is applied to what lies d dilations back. The axes
have no names, for the widths of a net's levels differ."""

SWEEPS = 20
"""Alternating sweeps at most; they end as soon as one gains less than a hundredth."""

WIDEST = 12
"""Channels beyond which the sweeps, of M^2 unknowns a tap, cost more than they are worth."""


@final
@dataclass(frozen=True, eq=False)
class DilatedFit:
    """A linear dilated net from one channel to one channel.

    Attributes:
        cores: kernel of each level k, of dilation $l^k$, from k = 0 on. The first reads one channel, the
            last writes one: an encoder and a decoder belong to them.
        direct: gain of the input itself, added to the output; 0 without a skip connection.
    """

    cores: tuple[Core, ...]
    direct: float = 0.0

    def taps(self, length: int) -> Taps:
        """Its impulse response; zero beyond the receptive field $l^K$."""
        response = _response(self.cores).clone()
        response[0] += self.direct
        return torch.nn.functional.pad(response[:length], (0, max(length - len(response), 0)))


def tensor_train(values: Float64[Tensor, " lags"], base: int, width: int) -> tuple[Core, ...]:
    r"""TT-SVD of $l^K$ values with all ranks at most `width`; exact where the ranks suffice.

    Example:
        >>> cores = tensor_train(0.5 ** torch.arange(8, dtype=torch.float64), base=2, width=1)
        >>> DilatedFit(cores).taps(4)
        tensor([1.0000, 0.5000, 0.2500, 0.1250], dtype=torch.float64)
    """
    cores, rest = [], values[None]
    while rest.shape[1] > base:
        rank = rest.shape[0]
        left, singular, right = torch.linalg.svd(rest.reshape(rank * base, -1), full_matrices=False)
        cores.append(left[:, :width].reshape(rank, base, -1))
        rest = singular[:width, None] * right[:width]
    cores.append(rest[..., None])
    return tuple(core.transpose(0, 1).contiguous() for core in reversed(cores))


def fit_dilated(
    problem: Problem,
    base: int,
    num_levels: int,
    width: int,
    *,
    skip: bool,
    narrower: DilatedFit | None = None,
) -> DilatedFit:
    """The best net found: by TT-SVD and sweeps after it, from one or two continuations
    over the lags at which errors are free.

    Args:
        problem: the memory function; lags beyond the receptive field are out of reach.
        base: taps of each level, and ratio of successive dilations.
        num_levels: number of levels.
        width: channels between levels.
        skip: whether the input may be added to the output.
        narrower: a fit of fewer channels, returned where nothing better is found.
    """
    reach = base**num_levels
    target, weights = (_extended(values, reach) for values in (problem.rho, problem.weights))
    if skip:
        # The input's own gain makes the first lag exact, whatever the levels answer there.
        weights[0] = 0
    free = weights == 0

    def descended(continuation: Taps) -> tuple[Core, ...]:
        start = tensor_train(torch.where(free, continuation, target), base, width)
        return _descend(start, target, weights)

    known = [descended(target)]
    if narrower is not None:
        known.append(narrower.cores)
        # What a narrow net answers at free lags is of lower rank than what the target has there.
        known += [descended(_response(narrower.cores))] if bool(free.any()) else []
    best = min(known, key=lambda cores: _error(cores, target, weights))
    direct = float(target[0] - _response(best)[0]) if skip else 0.0
    return DilatedFit(best, direct)


def _descend(cores: tuple[Core, ...], target: Taps, weights: Taps) -> tuple[Core, ...]:
    """Sweeps until they gain little."""
    error, power = _error(cores, target, weights), float((weights * target.square()).sum())
    for _ in range(SWEEPS if cores[0].shape[1] <= WIDEST else 0):
        if error <= 1e-24 * power:
            break
        swept = _sweep(cores, target, weights)
        before, error = error, _error(swept, target, weights)
        if error < before:
            cores = swept
        if error > 0.99 * before:
            break
    return cores


def _sweep(cores: Sequence[Core], target: Taps, weights: Taps) -> tuple[Core, ...]:
    """One least squares for each kernel, from the lowest level up and down again; no error grows."""
    cores = list(cores)
    for level in [*range(len(cores)), *range(len(cores) - 2, -1, -1)]:
        cores[level] = _solved(cores, level, target, weights)
    return tuple(cores)


def _solved(cores: Sequence[Core], level: int, target: Taps, weights: Taps) -> Core:
    """The best kernel of one level, all others held: its taps are separate problems."""
    below, above = _below(cores[:level]), _above(cores[level + 1 :])
    taps, outputs, inputs = cores[level].shape
    shape = (len(above), taps, len(below))
    roots, values = weights.reshape(shape).sqrt(), target.reshape(shape)
    design = torch.einsum("hv,lk->hlvk", above, below).flatten(2)
    designs = torch.einsum("htl,hlp->thlp", roots, design).flatten(1, 2)
    targets = torch.einsum("htl,htl->thl", roots, values).flatten(1)
    # The minimum-norm solution: a tap whose lags all lie beyond the horizon has a design of zeros.
    found = torch.linalg.lstsq(designs, targets[..., None], rcond=1e-13, driver="gelsd").solution
    return found.reshape(taps, outputs, inputs)


def _error(cores: Sequence[Core], target: Taps, weights: Taps) -> float:
    return float((weights * (target - _response(cores)).square()).sum())


def _extended(values: Taps, reach: int) -> Float64[Tensor, " reach"]:
    return torch.nn.functional.pad(values[:reach], (0, max(reach - len(values), 0))).clone()


def _below(cores: Sequence[Core]) -> Float64[Tensor, "lags channels"]:
    """Impulse responses of the channels above the given levels, from the lowest on."""
    response = torch.ones(1, 1, dtype=torch.float64)
    for core in cores:
        # A higher digit d shifts by d dilations: it is the slower axis of the lag.
        response = torch.einsum("dvk,sk->dsv", core, response).flatten(0, 1)
    return response


def _above(cores: Sequence[Core]) -> Float64[Tensor, "lags channels"]:
    """Response of the output to each channel below the given levels, up to the highest; in periods."""
    response = torch.ones(1, 1, dtype=torch.float64)
    for core in reversed(cores):
        response = torch.einsum("sv,dvk->sdk", response, core).flatten(0, 1)
    return response


def _response(cores: Sequence[Core]) -> Taps:
    """Values at all lags of the receptive field."""
    return _below(cores)[:, 0]
