"""How well the regressor of a layer follows coefficients that move, against the best there is."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import ConfigError
from recollect.core.plain import finite, rounded
from recollect.probing.kalman import weighted_least_squares
from recollect.regression import RegressionLayer
from recollect.regression.gates import FixedDecay
from recollect.regression.reading import natural_key_norm, regress
from recollect.tasks.bayes_regression import kalman_filter
from recollect.tasks.tracking import CHUNK, Tracked, TrackingTask

PerPosition = Float64[Tensor, "B T"]


class Errors(NamedTuple):
    """Squared errors of predictions, averaged over value channels, for each example and position.

    Attributes:
        layer: of the layer's answers.
        product: their product with the truth, and
        power: their square: from these three follows the error of the answers times any gain.
        truth: square of the truth.
        kalman: of the Kalman filter.
        least_squares: of least squares at each of the task's decays.
    """

    layer: PerPosition
    product: PerPosition
    power: PerPosition
    truth: PerPosition
    kalman: PerPosition
    least_squares: Float64[Tensor, "B T decays"]


@torch.no_grad()
def measure_tracking(
    layer: RegressionLayer, task: TrackingTask, seed: int, on_progress: Callable[[int, float], None]
) -> tuple[dict[str, Any], dict[str, dict[str, list[Any]]]]:
    r"""Errors of a layer's predictions of the next value, and of what it could have known.

    At each position the layer answers the *next* key with the associations so far (queries one position ahead
    of keys), and is compared with $W_{t+1}^\top k_{t+1}$ without noise. Gated decays forget nothing here:
    what a decay does is seen in layers with a constant one. Keys are given at the norm that is natural for
    the layer (`natural_key_norm`).

    Beside it stand the Kalman filter, which knows the system (the switches too): no layer is better in the
    mean; and least squares at the task's decays, with a ridge of the variance of the noise. Every error is
    also given for the best constant gain of the answers over all positions, which a layer's output map could
    learn: a sum over associations has no scale of its own.

    Args:
        layer: heads with the task's key channels, and as many value channels in all.
        task: the law of keys and coefficients.
        seed: of all draws.
        on_progress: called after each of `task.steps` chunks with the layer's error there.

    Returns:
        Metrics; and series `position` (by the number of associations read) and `decay` (least squares by its
        decay, with `forgetting_error` as `theory`; the same for every layer).

    Raises:
        ConfigError: channels that are not the task's.
        NotDefinedError: the layer makes its keys itself.

    Cost: that of the layer, of one Kalman filter, and of a Cholesky factor for each position and decay.

    Example:
        >>> from recollect.regression import Exact
        >>> task = TrackingTask.parse({"drift": {"law": "constant"}, "key_dim": 2, "examples": 32})
        >>> layer = RegressionLayer(2, num_heads=1, optimizer=Exact(ridge=0.1)).double()
        >>> metrics, _ = measure_tracking(layer, task, 0, lambda step, error: None)
        >>> round(metrics["tracking_error"], 2), metrics["best_decay"]
        (1.0, 1.0)
    """
    _check(layer, task)
    chunks = []
    for step, start in enumerate(range(0, task.examples, CHUNK), 1):
        count = min(CHUNK, task.examples - start)
        device = layer.project_out.weight.device
        chunks.append(_errors(layer, task, task.draw(seed, start, count, device=device)))
        on_progress(step, float(chunks[-1].layer[:, task.burn_in :].mean()))
    errors = Errors(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))
    counted = Errors(*(part[:, task.burn_in :] for part in errors))
    gain = float(counted.product.mean() / counted.power.mean())
    by_decay = counted.least_squares.mean((0, 1))
    best = int(by_decay.argmin())
    metrics = {
        **_against(counted.layer, counted.kalman, ""),
        **_against(_scaled(counted, gain), counted.kalman, "_scaled"),
        "gain": gain,
        "error_kalman": float(counted.kalman.mean()),
        "error_least_squares": float(by_decay[best]),
        "best_decay": task.decays[best],
        "decay": _constant_decay(layer),
        "signal": float(counted.truth.mean()),
        "state_size": layer.solver.state_size(layer.sizes, task.length),
    }
    plain = {name: finite(v) if isinstance(v, float) else v for name, v in metrics.items()}
    return plain, {"position": _by_position(errors, gain, best), "decay": _by_decay(counted, task)}


def _check(layer: RegressionLayer, task: TrackingTask) -> None:
    sizes = layer.projections.sizes
    came = (sizes.key_dim, sizes.num_heads * sizes.value_dim)
    if came != (task.key_dim, task.key_dim):
        raise ConfigError(
            f"{layer.title or 'the layer'}: expected heads of {task.key_dim} key channels and "
            f"{task.key_dim} value channels in all, got {came[0]} and {came[1]}. Set num_heads, key_dim and "
            f"value_dim in the layer's options."
        )


def _errors(layer: RegressionLayer, task: TrackingTask, drawn: Tracked) -> Errors:
    truth = drawn.signal[:, 1:]
    filtered = kalman_filter(drawn.k, drawn.v, *drawn.motion, noise=task.noise)
    answers = predictions(layer, drawn.k, drawn.v)
    fits = [
        weighted_least_squares(drawn.k, drawn.v, decay=decay, ridge=task.noise**2) for decay in task.decays
    ]
    return Errors(
        layer=(answers - truth).square().mean(-1),
        product=(answers * truth).mean(-1),
        power=answers.square().mean(-1),
        truth=truth.square().mean(-1),
        kalman=(filtered.predictions[:, 1:] - truth).square().mean(-1),
        least_squares=torch.stack([(fit[:, 1:] - truth).square().mean(-1) for fit in fits], dim=-1),
    )


def predictions(
    layer: RegressionLayer, k: Float64[Tensor, "B T K"], v: Float64[Tensor, "B T V"]
) -> Float64[Tensor, "B T-1 V"]:
    """What the layer's regressor answers to each key but the first, from the associations before it.

    Heads share the keys, and each has its part of the value channels.

    Example:
        >>> k = torch.ones(1, 3, 1, dtype=torch.float64)
        >>> predictions(RegressionLayer(1, num_heads=1).double(), k, 2 * k).flatten().tolist()
        [2.0, 4.0]
    """
    heads, like = layer.projections.sizes.num_heads, layer.project_out.weight
    keys = (k * natural_key_norm(layer)).to(like).unsqueeze(2).expand(-1, -1, heads, -1)
    values = v.to(like).unflatten(-1, (heads, -1))
    return regress(layer, keys[:, 1:], keys[:, :-1], values[:, :-1]).flatten(2).double()


def _scaled(errors: Errors, gain: float) -> PerPosition:
    """Errors of the answers times a gain."""
    return errors.truth - 2 * gain * errors.product + gain**2 * errors.power


def _against(error: PerPosition, kalman: PerPosition, suffix: str) -> dict[str, float]:
    """Mean error with its standard error over examples, and the ratio to the mean error of the filter."""
    by_example, reference = error.mean(1), kalman.mean(1)
    ratio = by_example.mean() / reference.mean()
    left = by_example - ratio * reference  # the delta method for a ratio of two means
    return {
        f"error{suffix}": float(by_example.mean()),
        f"error{suffix}_se": _standard_error(by_example),
        f"tracking_error{suffix}": float(ratio),
        f"tracking_error{suffix}_se": _standard_error(left) / float(reference.mean()),
    }


def _by_position(errors: Errors, gain: float, best: int) -> dict[str, list[Any]]:
    count = len(errors.layer) ** 0.5
    return {
        "position": list(range(1, errors.layer.shape[1] + 1)),
        "error": _listed(errors.layer.mean(0)),
        "error_se": _listed(errors.layer.std(0) / count),
        "error_scaled": _listed(_scaled(errors, gain).mean(0)),
        "kalman": _listed(errors.kalman.mean(0)),
        "least_squares": _listed(errors.least_squares[..., best].mean(0)),
    }


def _by_decay(errors: Errors, task: TrackingTask) -> dict[str, list[Any]]:
    by_example = errors.least_squares.mean(1)
    theory = [task.forgetting_error(decay) for decay in task.decays]
    return {
        "decay": list(task.decays),
        "memory": [None if decay == 1 else 1 / (1 - decay) for decay in task.decays],
        "error": _listed(by_example.mean(0)),
        "error_se": _listed(by_example.std(0) / len(by_example) ** 0.5),
        "theory": [None if value is None else float(f"{value:.6g}") for value in theory],
    }


def _constant_decay(layer: RegressionLayer) -> float | None:
    """The factor by which the layer forgets at each position, if that is one number."""
    for gate in layer.signals.decays:
        if isinstance(gate, FixedDecay):
            g, _ = gate(layer.project_out.weight.new_zeros(1, 1, layer.dim))
            factors = g.exp().flatten().unique()
            return float(f"{float(factors[0]):.6g}") if len(factors) == 1 else None
    return None


def _standard_error(by_example: Float64[Tensor, " B"]) -> float:
    return float(by_example.std() / len(by_example) ** 0.5)


def _listed(values: Tensor) -> list[float | None]:
    """Six significant digits, `None` for what is not finite."""
    return [rounded(value) for value in values.tolist()]
