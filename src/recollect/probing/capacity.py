"""Memory capacity, measured: associations are given to a regressor and asked for."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import ConfigError
from recollect.core.plain import rounded
from recollect.probing.capacity_theory import capacity_theory
from recollect.regression import RegressionLayer
from recollect.regression.reading import check_keys, natural_key_norm, recall
from recollect.tasks.capacity import CapacityExamples, CapacityTask

RECALLED = 0.9
"""The accuracy down to which associations count as recalled."""

_BLOCK_VALUES = 2**22


class Scores(NamedTuple):
    """Of each sequence: accuracy, and sums over its queries of |y - v|^2, |y|^2, y.v and |v|^2."""

    accuracy: Float64[Tensor, " B"]
    missed: Float64[Tensor, " B"]
    answered: Float64[Tensor, " B"]
    matched: Float64[Tensor, " B"]
    stored: Float64[Tensor, " B"]


@torch.no_grad()
def measure_capacity(
    layer: RegressionLayer, task: CapacityTask, seed: int, on_progress: Callable[[int, float], None]
) -> tuple[dict[str, Any], dict[str, dict[str, list]]]:
    """Recall accuracy and squared error of a layer's regression, untrained, at every load.

    A query is right where the largest product of its answer with a stored value is that with its own; an
    answer that is not finite is wrong. The error is that of the answer as it is, and after the best gain for
    all answers of a load. Keys have the norm that is natural for the layer (`natural_key_norm`). A layer of
    several heads gives every head the same key, and a share of the value's channels.

    Args:
        layer: any layer that can be given associations, in the dtype to measure in.
        task: what it is given.
        seed: of the associations.
        on_progress: called after each load with its number, from 1, and the accuracy.

    Returns:
        metrics and series of a record: the capacity is the load down to which accuracy stays above .9,
        interpolated in the logarithm of the load; None if an answer at the smallest load is not finite, and
        nothing can be said.

    Raises:
        ConfigError: heads that do not fit the task.
        NotDefinedError: a layer that makes its keys itself.

    Cost: at each load one pass of the solver over all sequences, and a streaming step for each query.

    Example:
        >>> task = CapacityTask.parse(
        ...     {"keys": {"law": "orthonormal"}, "key_dim": 4, "value_dim": 4, "loads": [0.5, 1]}
        ... )
        >>> layer = RegressionLayer(4, num_heads=1).double()
        >>> metrics, _ = measure_capacity(layer, task, seed=0, on_progress=lambda step, value: None)
        >>> metrics["capacity"], metrics["capacity_censored"]
        (1.0, True)
    """
    _check(layer, task)
    rows = []
    for step, pairs in enumerate(task.pairs, 1):
        rows.append(_row(_scores(layer, task, seed, pairs), pairs, task.key_dim))
        on_progress(step, rows[-1]["accuracy"])
    load = {name: [_plain(row[name]) for row in rows] for name in rows[0]}
    theory = {name: [_plain(value) for value in column] for name, column in capacity_theory(task).items()}
    capacity, censored = _capacity(rows, task.key_dim)
    metrics: dict[str, Any] = {"capacity": capacity, "capacity_censored": censored}
    for at in (1, 2):
        row = next((row for row in rows if row["load"] == at), {})
        for name in ("accuracy", "squared_error", "squared_error_scaled"):
            metrics[f"{name}_at_{at}"] = _plain(row.get(name))
    metrics["state_size"] = layer.solver.state_size(layer.sizes, task.pairs[-1])
    return metrics, {"load": load, "theory": theory}


def _check(layer: RegressionLayer, task: CapacityTask) -> None:
    check_keys(layer)
    sizes = layer.projections.sizes
    came = (sizes.key_dim, sizes.num_heads * sizes.value_dim)
    if came != (task.key_dim, task.value_dim):
        raise ConfigError(
            f"{layer.title or 'the layer'}: expected heads with {task.key_dim} key channels and "
            f"{task.value_dim} value channels in all, got {came[0]} and {came[1]}. Set num_heads, key_dim "
            f"and value_dim in the layer's options, or in the task."
        )


def _scores(layer: RegressionLayer, task: CapacityTask, seed: int, pairs: int) -> Scores:
    """Of all sequences, in blocks whose states, one for each query, fit in memory."""
    held = layer.state_size(pairs) * min(pairs, task.queries)
    block = max(1, _BLOCK_VALUES // held)
    parts = []
    for start in range(0, task.num_sequences, block):
        count = min(block, task.num_sequences - start)
        device = layer.project_out.weight.device
        parts.append(_asked(layer, task.draw(seed, start, count, pairs, device=device)))
    return Scores(*(torch.cat(columns).double().cpu() for columns in zip(*parts, strict=True)))


def _asked(layer: RegressionLayer, examples: CapacityExamples) -> Scores:
    sizes, like = layer.projections.sizes, layer.project_out.weight
    shared = (examples.keys * natural_key_norm(layer)).to(like).unsqueeze(2)
    keys = shared.expand(-1, -1, sizes.num_heads, -1)
    values = examples.values.to(like)
    queries = keys.gather(1, examples.asked[:, :, None, None].expand(-1, -1, *keys.shape[2:]))
    answers = recall(layer, keys, values.unflatten(-1, (sizes.num_heads, -1)), queries).flatten(2)
    wanted = values.gather(1, examples.asked[..., None].expand(-1, -1, values.shape[-1]))
    nearest = torch.einsum("bmv,bnv->bmn", answers, values).argmax(-1)
    right = (nearest == examples.asked) & answers.isfinite().all(-1)
    return Scores(
        accuracy=right.double().mean(-1),
        missed=(answers - wanted).square().sum((-2, -1)),
        answered=answers.square().sum((-2, -1)),
        matched=(answers * wanted).sum((-2, -1)),
        stored=wanted.square().sum((-2, -1)),
    )


def _row(scores: Scores, pairs: int, dim: int) -> dict[str, Any]:
    errors = scores.missed / scores.stored
    best = scores.matched.sum().square() / (scores.answered.sum() * scores.stored.sum())
    return {
        "pairs": pairs,
        "load": pairs / dim,
        "accuracy": float(scores.accuracy.mean()),
        "accuracy_se": _standard_error(scores.accuracy),
        "squared_error": float(errors.mean()),
        "squared_error_se": _standard_error(errors),
        "squared_error_scaled": max(0.0, float(1 - best)),
    }


def _standard_error(per_sequence: Float64[Tensor, " B"]) -> float | None:
    count = len(per_sequence)
    return None if count < 2 else float(per_sequence.std() / math.sqrt(count))


def _capacity(rows: list[dict[str, Any]], dim: int) -> tuple[float | None, bool]:
    """Where accuracy first falls below `RECALLED`, if that is known, and whether it never does."""
    if not math.isfinite(rows[0]["squared_error"]):
        return None, False
    # A finite answer recalls one pair: the only value is the nearest.
    load, accuracy = 1 / dim, 1.0
    for row in rows:
        if row["accuracy"] < RECALLED:
            share = (accuracy - RECALLED) / (accuracy - row["accuracy"])
            return _plain(load * (row["load"] / load) ** share), False
        load, accuracy = row["load"], row["accuracy"]
    return load, True


def _plain(value: Any) -> Any:
    return rounded(value) if isinstance(value, float) else value
