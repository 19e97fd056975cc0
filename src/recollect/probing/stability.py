r"""How far a model's memory function moves when its parameters are disturbed.

$$E(\beta) = \max_{\lVert \delta \rVert_2 \le \beta}
\lVert k(\theta + \delta) - k(\theta) \rVert_w \big/ \text{norm}, \qquad
\lVert k \rVert_w^2 = \sum_s w_s \lVert k_s \rVert^2$$

in the spirit of the perturbed approximation error of StableSSM (arXiv:2311.14495): an approximation that a
small error of the parameters destroys is not found by training. By the triangle inequality the distance
to any target grows by no more than this.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, jacrev, vmap

from recollect.core import ConfigError
from recollect.models import SequenceModel
from recollect.probing.population import linear_response
from recollect.tasks import FunctionalTask

Chosen = Literal["all", "poles"] | Callable[[str], bool]
"""Which parameters are disturbed: by name, as `named_parameters` gives them."""

_POLES = {
    "pole",
    "phase",
    "log_rate",
    "log_phase",
    "decay",
    "frequency",
    "log_dt",
    "log_slopes",
    "recurrent_matrix",
}
_CHUNK = 64

Disturbance = Float64[Tensor, " P"]
Disturbances = Float64[Tensor, "n P"]
Kernel = Float64[Tensor, "T outputs inputs"] | Float64[Tensor, "T T outputs inputs"]
Change = Callable[[Disturbance], Float64[Tensor, " M"]]


@dataclass(frozen=True, eq=False)
class StabilityCurve:
    """Three estimates of the largest change, relative to the norm, at each radius.

    Attributes:
        radius: beta, in increasing order.
        linear: beta times the largest singular value of the Jacobian: exact to first order in beta.
        maximised: largest change that gradient ascent over the ball has found; a lower bound of the
            maximum, never below `sampled` and never falling.
        sampled: largest change over random directions of length beta. In P dimensions a random direction
            has a share of about P^(-1/2) along the worst one, so this looks stable where the model is not.
    """

    radius: Float64[Tensor, " radii"]
    linear: Float64[Tensor, " radii"]
    maximised: Float64[Tensor, " radii"]
    sampled: Float64[Tensor, " radii"]


def stability_curve(
    model: SequenceModel,
    of: FunctionalTask | int,
    radii: Iterable[float],
    *,
    parameters: Chosen = "all",
    num_directions: int = 128,
    num_starts: int = 4,
    num_steps: int = 40,
    seed: int = 0,
) -> StabilityCurve:
    """How far the memory function moves under disturbances of each size.

    All in float64, on a copy of the model. Ascent starts at the top singular direction, both signs, at the
    best sampled direction, at random ones, and at the best disturbance of the radius before.

    Args:
        model: affine; what it adds to every input is not looked at.
        of: a task, whose length and target give lags and norm, and where all positions count, so that a lag
            has the weight of those that see it; or a number of lags of equal weight (at the last position),
            relative to the norm of the model's own memory function.
        radii: Euclidean sizes of the disturbance, above 0.
        parameters: what is disturbed: `all`, the `poles` alone, or those whose name a function accepts.
        num_directions: random directions behind `sampled`, the same at every radius.
        num_starts: random starts of the ascent.
        num_steps: gradients of each ascent.
        seed: of directions and starts.

    Raises:
        ConfigError: a model that is not affine, no radii or one that is not above 0, no parameters chosen, or
            a memory function of norm 0.

    Cost: a Jacobian of P parameters and M outputs (lags x channels), its singular values in
    O(M P min(M, P)), and for each radius `num_steps` gradients of all starts at once.

    Example:
        >>> from recollect.models import ModelConfig
        >>> model = ModelConfig(mixer="ssm", options={"num_states": 3}, dim=2, bias=False).build(1, 1, seed=0)
        >>> curve = stability_curve(model, 16, [1e-4, 1e-2], parameters="poles")
        >>> bool((curve.sampled <= curve.maximised).all())
        True
    """
    sizes = sorted(radii)
    if not sizes or sizes[0] <= 0:
        raise ConfigError(f"expected radii above 0, got {sizes}.")
    change, count = _change(model, of, parameters)
    worst, linear = _worst_direction(change, count)
    rng = torch.Generator().manual_seed(seed)
    directions = _random_directions(num_directions, count, rng)
    starts = torch.cat([worst[None], -worst[None], _random_directions(num_starts, count, rng)])

    maximised, sampled = [], []
    best = torch.zeros_like(worst)
    for radius in sizes:
        samples = vmap(change, chunk_size=_CHUNK)(radius * directions).norm(dim=1).nan_to_num(torch.inf)
        sampled.append(samples.max())
        likely = torch.cat([radius * starts, radius * directions[samples.argmax()][None], best[None]])
        best, value = _ascend(change, likely, radius, num_steps)
        maximised.append(value)
    radius, highest = torch.tensor(sizes, dtype=torch.float64), torch.stack(sampled)
    # What was found is found at every larger radius too; the maxima keep rounding from saying otherwise.
    maximum = torch.maximum(torch.stack(maximised), highest).cummax(0).values
    return StabilityCurve(radius, radius * linear, maximum, highest)


class _Response(nn.Module):
    """A model's memory function as a module, so that it can be called with other parameters."""

    def __init__(self, model: SequenceModel, length: int) -> None:
        super().__init__()
        self.model, self.length = model, length

    def forward(self) -> Kernel:
        return linear_response(self.model, self.length).kernel


def _change(model: SequenceModel, of: FunctionalTask | int, chosen: Chosen) -> tuple[Change, int]:
    """The weighted change of the memory function, flat, as a function of the disturbance; and its size P."""
    length = of if isinstance(of, int) else of.length
    response = _Response(copy.deepcopy(model).double(), length)
    accepts = _filter(chosen)
    named = {name: p.detach() for name, p in response.named_parameters()}
    moved = {name: p for name, p in named.items() if accepts(name.removeprefix("model."))}
    if not moved:
        raise ConfigError(f"no parameter is chosen by {chosen!r}; there are {', '.join(named)}.")
    before = functional_call(response, named, ())
    scale = _scale(of, before)

    def change(disturbance: Disturbance) -> Float64[Tensor, " M"]:
        parts = disturbance.split([p.numel() for p in moved.values()])
        disturbed = {name: p + part.view_as(p) for (name, p), part in zip(moved.items(), parts, strict=True)}
        after = functional_call(response, named | disturbed, ())
        return ((after - before) * scale).flatten()

    return change, sum(p.numel() for p in moved.values())


def _filter(chosen: Chosen) -> Callable[[str], bool]:
    if callable(chosen):
        return chosen
    return lambda name: chosen == "all" or name.rpartition(".")[2] in _POLES


def _scale(of: FunctionalTask | int, before: Kernel) -> Float64[Tensor, "..."]:
    """Square root of the weight of each lag, or position, over the norm that changes are relative to."""
    lags = 1 - torch.arange(len(before), dtype=torch.float64) / len(before)
    varies = before.ndim == 4
    if isinstance(of, int):
        # Equal lags are those of the last position.
        weights = (lags == lags[-1]).double() if varies else torch.ones_like(lags)
        energy = _weighed(weights, before)
    else:
        weights = torch.full_like(lags, 1 / len(lags)) if varies else lags
        energy = (lags * of.taps().square()).sum() * _mixing_energy(of)
    if not energy > 0:
        raise ConfigError("the memory function is zero at every lag: there is no norm to relate changes to.")
    return (weights / energy).sqrt().reshape(-1, *[1] * (before.ndim - 1))


def _weighed(weights: Float64[Tensor, " T"], kernel: Kernel) -> Float64[Tensor, ""]:
    return (weights * kernel.square().flatten(1).sum(1)).sum()


def _mixing_energy(task: FunctionalTask) -> float:
    """Sum of squares of the matrix M that mixes the filtered channels."""
    if task.mixing is None:
        return float(task.channels)
    return sum(entry * entry for row in task.mixing for entry in row)


def _worst_direction(change: Change, count: int) -> tuple[Disturbance, Float64[Tensor, ""]]:
    """The unit disturbance that moves most to first order, and how far."""
    jacobian = jacrev(change, chunk_size=_CHUNK)(torch.zeros(count, dtype=torch.float64))
    assert isinstance(jacobian, Tensor)
    _, moves, directions = torch.linalg.svd(jacobian, full_matrices=False)
    return directions[0], moves[0]


def _random_directions(count: int, dim: int, rng: torch.Generator) -> Disturbances:
    return nn.functional.normalize(torch.randn(count, dim, generator=rng, dtype=torch.float64), dim=1)


def _ascend(
    change: Change, starts: Disturbances, radius: float, num_steps: int
) -> tuple[Disturbance, Float64[Tensor, ""]]:
    """Projected gradient ascent from all starts at once: the best point, and the change there.

    A step is a multiple of the radius along the gradient, whose own size says nothing here; it grows while
    the change grows, shrinks where it would fall, and no step is taken that does not gain.
    """
    evaluate = vmap(grad_and_value(lambda point: change(point).square().sum()), chunk_size=_CHUNK)
    points, step = starts, torch.ones(len(starts), 1, dtype=torch.float64)
    slopes, values = evaluate(points)
    values = values.nan_to_num(torch.inf, torch.inf)
    for _ in range(num_steps):
        towards = nn.functional.normalize(slopes.nan_to_num(0.0, 0.0, 0.0), dim=1)
        trial = _into_ball(points + step * radius * towards, radius)
        trial_slopes, trial_values = evaluate(trial)
        trial_values = trial_values.nan_to_num(torch.inf, torch.inf)
        gained = (trial_values > values)[:, None]
        points, slopes = trial.where(gained, points), trial_slopes.where(gained, slopes)
        values = torch.maximum(values, trial_values)
        step = (2 * step).where(gained, step / 4)
    winner = values.argmax()
    return points[winner], values[winner].sqrt()


def _into_ball(points: Disturbances, radius: float) -> Disturbances:
    norm = points.norm(dim=1, keepdim=True)
    return points * (radius / norm.clamp(min=radius))
