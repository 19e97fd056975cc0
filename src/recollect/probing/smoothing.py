"""Bias and variance of the regressor of a layer, by bandwidth and number of pairs."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import ConfigError
from recollect.core.plain import finite, rounded
from recollect.regression import RegressionLayer
from recollect.regression.function_classes import KernelRidge
from recollect.regression.problem import Constants
from recollect.regression.reading import recall
from recollect.tasks.smoothing import REGIONS, Design, SmoothingTask

Estimates = Float64[Tensor, "B draws M"]


class Moments(NamedTuple):
    """Of the answers at each query, over draws of the noise, averaged over designs.

    Attributes:
        bias_squared: square of the mean error of a design.
        variance: about the mean answer of a design.
    """

    bias_squared: Float64[Tensor, " M"]
    variance: Float64[Tensor, " M"]

    @property
    def mse(self) -> Float64[Tensor, " M"]:
        """Their sum, which is the mean squared error."""
        return self.bias_squared + self.variance


@torch.no_grad()
def measure_smoothing(
    layer: RegressionLayer, task: SmoothingTask, seed: int, on_progress: Callable[[int, float], None]
) -> tuple[dict[str, Any], dict[str, dict[str, list[Any]]]]:
    r"""Squared bias and variance of what a layer answers between the keys that it has read.

    For a design (points, norms of keys) the noise is drawn many times: the mean answer minus the function is
    the bias, the scatter about it the variance; both are averaged over designs, and their sum is the mean
    squared error exactly. Queries and keys are given norm 1 where the layer has `qk_norm`, then scaled to
    each bandwidth, which works for all kernels alike; a ridge on slopes is thereby relative to the bandwidth.
    Every row is reported at its own best bandwidth for the largest number of pairs.

    Args:
        layer: one head of two key channels; the more value channels, the faster (each takes a draw).
        task: function, keys and settings.
        seed: of all draws.
        on_progress: called after each of `task.steps` settings with its mean squared error.

    Returns:
        Metrics; and series `bandwidth` (each setting by region), `curve_at` (the mean answer and a band of
        two standard deviations, at the reported setting) and `theory` (leading terms for Gaussian kernels;
        the same for every layer).

    Raises:
        ConfigError: more heads, or other key channels.
        NotDefinedError: the layer makes its keys itself.

    Cost: for each setting that of reading the pairs, and of one streaming step a query.

    Example:
        >>> from recollect.regression import CATALOG
        >>> layer = CATALOG["skyformer"](2, num_heads=1, value_dim=4).double()
        >>> task = SmoothingTask(function="linear", keys="line", pairs=(64,), bandwidths=(0.2,), draws=4)
        >>> metrics, _ = measure_smoothing(layer, task, 0, lambda step, error: None)
        >>> metrics["interior_error"] < metrics["boundary_error"]
        True
    """
    _check(layer)
    x = task.queries()
    truth = task.truth(x)
    found: dict[tuple[int, float], Moments] = {}
    answers = {}
    for pairs in task.pairs:
        design = task.draw(seed, pairs, device=layer.project_out.weight.device)
        for bandwidth in task.bandwidths:
            setting = pairs, bandwidth
            answers[setting] = estimates(layer, task, design, bandwidth)
            found[setting] = moments(answers[setting], truth)
            on_progress(len(found), float(found[setting].mse.mean()))
    most = max(task.pairs)
    best = min(((most, h) for h in task.bandwidths), key=lambda setting: _or_inf(found[setting].mse.mean()))
    metrics = _metrics(task, found, best) | {"state_size": layer.solver.state_size(layer.sizes, most)}
    series = {
        "bandwidth": _by_setting(task, found),
        "curve_at": _curve(x, truth, answers[best][0]),
        "theory": _theory(task),
    }
    return {name: finite(v) if isinstance(v, float) else v for name, v in metrics.items()}, series


def _check(layer: RegressionLayer) -> None:
    sizes = layer.projections.sizes
    if (sizes.num_heads, sizes.key_dim) != (1, 2):
        raise ConfigError(
            f"{layer.title or 'the layer'}: expected one head of 2 key channels, got {sizes.num_heads} of "
            f"{sizes.key_dim}. Set num_heads and key_dim in the layer's options."
        )


def estimates(layer: RegressionLayer, task: SmoothingTask, design: Design, bandwidth: float) -> Estimates:
    """The layer's answers at the task's queries, for each draw of the noise.

    Values of a head are regressed each for itself, so every value channel takes a draw of its own.
    """
    like, channels = layer.project_out.weight, layer.projections.sizes.value_dim
    q, k = task.directions(task.queries()).to(like), design.keys.to(like)
    if layer.qk_norm:
        q, k = (torch.nn.functional.normalize(x, dim=-1) for x in (q, k))
    scale = kernel_scale(layer) / bandwidth
    B, draws, _ = design.noise.shape
    groups = -(-draws // channels)
    values = torch.nn.functional.pad(
        design.signal[:, None] + design.noise, (0, 0, 0, groups * channels - draws)
    )
    v = values.to(like).unflatten(1, (groups, channels)).flatten(0, 1).mT[:, :, None]
    keys = (scale * k).repeat_interleave(groups, dim=0)[:, :, None]
    asked = (scale * q).expand(B * groups, -1, -1)[:, :, None]
    answers = recall(layer, keys, v, asked)[:, :, 0]
    return answers.unflatten(0, (B, groups)).movedim(2, 3).flatten(1, 2)[:, :draws].double().cpu()


def kernel_scale(layer: RegressionLayer) -> float:
    r"""The factor of queries and keys that makes a bandwidth of 1: $e^{q^\top k}$, or $e^{-|q - k|^2 / 2}$.

    For keys of norm 1 the first is proportional to the second.

    Example:
        >>> from recollect.regression import CATALOG
        >>> kernel_scale(CATALOG["softmax_attention"](16, num_heads=1))  # exp(q.k / sqrt(16))
        2.0
    """
    composition, key_dim = layer.composition, layer.projections.sizes.key_dim
    if isinstance(composition.function_class, KernelRidge):
        kernel, width = composition.function_class.kernel, composition.function_class.bandwidth
    elif composition.similarity is not None:
        constants: Constants = layer.constants(layer.project_out.weight)
        assert constants.bandwidth is not None
        kernel, width = composition.similarity.kernel, float(constants.bandwidth[0].detach())
    else:
        return 1.0
    return math.sqrt(width * math.sqrt(key_dim)) if kernel in ("exponential", "polynomial") else width


def moments(answers: Estimates, truth: Float64[Tensor, " M"]) -> Moments:
    """Squared bias and variance, whose sum is the mean squared error."""
    mean = answers.mean(1, keepdim=True)
    return Moments(
        bias_squared=(mean[:, 0] - truth).square().mean(0), variance=(answers - mean).square().mean((0, 1))
    )


def _metrics(
    task: SmoothingTask, found: dict[tuple[int, float], Moments], best: tuple[int, float]
) -> dict[str, Any]:
    chosen = found[best]
    return {
        "smoothing_error": float(chosen.mse.mean()),
        "bias_squared": float(chosen.bias_squared.mean()),
        "variance": float(chosen.variance.mean()),
        "boundary_error": float(chosen.mse[task.region("boundary")].mean()),
        "interior_error": float(chosen.mse[task.region("interior")].mean()),
        "bandwidth": best[1],
        "pairs": best[0],
        "boundary_bias_order": _bias_order(task, found, "boundary"),
        "interior_bias_order": _bias_order(task, found, "interior"),
    }


def _bias_order(task: SmoothingTask, found: dict[tuple[int, float], Moments], region: str) -> float:
    """Slope of log bias in log bandwidth, over bandwidths up to 0.1 that span at least 8 pairs.

    A power only where the bias falls with the bandwidth, which for a kernel that is not local it does not.
    """
    most = max(task.pairs)
    widths = [h for h in task.bandwidths if 4 * 2 / most <= h <= 0.1]
    if len(widths) < 2:
        return math.nan
    bias = torch.stack([found[most, h].bias_squared[task.region(region)].mean() for h in widths]).sqrt()
    log_h, log_bias = torch.tensor(widths, dtype=torch.float64).log(), bias.log()
    centred = log_h - log_h.mean()
    return float((centred * log_bias).sum() / centred.square().sum())


def _by_setting(task: SmoothingTask, found: dict[tuple[int, float], Moments]) -> dict[str, list[Any]]:
    rows = [(setting, region) for setting in found for region in REGIONS]
    return {
        "pairs": [pairs for (pairs, _), _ in rows],
        "bandwidth": [bandwidth for (_, bandwidth), _ in rows],
        "region": [region for _, region in rows],
        **{
            name: [
                _short(getattr(found[setting], name)[task.region(region)].mean()) for setting, region in rows
            ]
            for name in ("mse", "bias_squared", "variance")
        },
    }


def _curve(
    x: Float64[Tensor, " M"], truth: Float64[Tensor, " M"], answers: Float64[Tensor, "draws M"]
) -> dict[str, list[Any]]:
    mean, scatter = answers.mean(0), answers.std(0, correction=0)
    columns = {"x": x, "truth": truth, "mean": mean, "low": mean - 2 * scatter, "high": mean + 2 * scatter}
    return {name: [_short(value) for value in values] for name, values in columns.items()}


def _theory(task: SmoothingTask) -> dict[str, list[Any]]:
    rows = [
        (degree, pairs, bandwidth, region, task.local_theory(degree, pairs, bandwidth, region))
        for degree in (0, 1)
        for pairs in task.pairs
        for bandwidth in task.bandwidths
        for region in ("boundary", "interior")
    ]
    names = ("degree", "pairs", "bandwidth", "region")
    columns: dict[str, list[Any]] = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    values = {name: [float(f"{row[4][name]:.6g}") for row in rows] for name in ("bias_squared", "variance")}
    return columns | values


def _short(value: Tensor) -> float | None:
    """Six significant digits, `None` for what is not finite."""
    return rounded(float(value))


def _or_inf(value: Tensor) -> float:
    return float(value) if value.isfinite() else math.inf
