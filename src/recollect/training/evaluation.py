"""Scores on a split with their Monte-Carlo standard errors: overall, by position, by group."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from recollect.tasks import Batch, Split, Task

_CHUNK_VALUES = 2**17
_CHUNK_OUTPUTS = 2**24
_ROUNDING = 1e-12

Parts = tuple[Float[Tensor, " asked"], Float[Tensor, " asked"]]
"""What each asked position adds to the numerator and the denominator of a score."""


@dataclass(frozen=True)
class Predictions:
    """Inputs, targets and outputs of a split, in float64 on the CPU."""

    inputs: Float64[Tensor, "n T inputs"]
    targets: Float64[Tensor, "n T outputs"]
    outputs: Float64[Tensor, "n T outputs"]


@dataclass(frozen=True)
class NormalisedError:
    """NMSE: mean squared error over the target's power, `sum e^2 / sum y^2`."""

    value: float
    standard_error: float
    by_position: Float64[Tensor, " T"]
    by_position_se: Float64[Tensor, " T"]


@dataclass(frozen=True)
class Score:
    """A ratio of sums with its standard error; `count` asked positions went into it."""

    value: float
    standard_error: float
    count: int


@dataclass(frozen=True)
class Scores:
    """The score of a split, and of each group of its positions."""

    overall: Score
    by_group: dict[int, Score]


def _squares(outputs: Float[Tensor, "asked outputs"], targets: Float[Tensor, "asked outputs"]) -> Parts:
    targets = targets.double()
    return (outputs.double() - targets).square().sum(-1), targets.square().sum(-1)


def _hits(outputs: Float[Tensor, "asked outputs"], targets: Int64[Tensor, " asked"]) -> Parts:
    hits = (outputs.argmax(-1) == targets).double()
    # NaN logits have an arg-max too: a model that diverged must not look like one that guesses.
    return hits.where(outputs.sum(-1).isfinite(), torch.nan), torch.ones_like(hits)


def _nats(outputs: Float[Tensor, "asked outputs"], targets: Int64[Tensor, " asked"]) -> Parts:
    nats = nn.functional.cross_entropy(outputs, targets, reduction="none").double()
    return nats, torch.ones_like(nats)


_PARTS: dict[str, Callable[[Tensor, Tensor], Parts]] = {
    "nmse": _squares,
    "accuracy": _hits,
    "cross_entropy": _nats,
}


@torch.no_grad()
def score_split(
    model: nn.Module,
    task: Task,
    seed: int,
    split: Split,
    count: int,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
) -> Scores:
    """The task's criterion over the asked positions of a split, in chunks of bounded memory.

    Standard errors take sequences as units, since positions of one sequence depend on each other.
    """
    tables, grouped = [], False
    for start, size in _chunks(task, seed, split, count):
        asked = task.batch(seed, split, start, size, dtype=dtype, device=device)
        outputs, batch = task.answers(outputs_asked(model, task, asked), asked)
        grouped = batch.groups is not None
        tables.append(_sums(_PARTS[task.criterion], outputs, batch).cpu())
    num_groups = max(table.shape[1] for table in tables)
    table = torch.cat([nn.functional.pad(t, (0, 0, 0, num_groups - t.shape[1])) for t in tables])
    (overall,) = _scores(table.sum(1, keepdim=True))
    return Scores(overall, {g: s for g, s in enumerate(_scores(table)) if s.count} if grouped else {})


def outputs_asked(model: nn.Module, task: Task, batch: Batch) -> Float[Tensor, "asked outputs"]:
    """The model's outputs at the positions of the mask."""
    if task.asks_everywhere:
        return model(batch.inputs)[batch.mask]
    return model(batch.inputs, batch.mask)


def _chunks(task: Task, seed: int, split: Split, count: int) -> Iterator[tuple[int, int]]:
    """Start and size of chunks: neither the sequences nor the logits of one may fill the memory."""
    asked = int(task.batch(seed, split, 0, 1).mask.sum())
    size = max(1, min(_CHUNK_VALUES // task.length, _CHUNK_OUTPUTS // (asked * task.output_size)))
    for start in range(0, count, size):
        yield start, min(size, count - start)


def _sums(
    parts: Callable[[Tensor, Tensor], Parts], outputs: Float[Tensor, "asked outputs"], batch: Batch
) -> Float64[Tensor, "n groups 3"]:
    """For each sequence and group: numerator, denominator, number of asked positions."""
    above, below = parts(outputs, batch.targets[batch.mask])
    group = torch.zeros_like(above, dtype=torch.int64) if batch.groups is None else batch.groups[batch.mask]
    num_groups = int(group.max()) + 1 if len(group) else 1
    cell = batch.mask.nonzero()[:, 0] * num_groups + group
    values = torch.stack([above, below, torch.ones_like(above)], dim=-1)
    sums = values.new_zeros(len(batch.mask) * num_groups, 3).index_add_(0, cell, values)
    return sums.unflatten(0, (len(batch.mask), num_groups))


def _scores(table: Float64[Tensor, "n groups 3"]) -> list[Score]:
    above, below, counts = table.unbind(-1)
    ratios, standard_errors = _ratio(above, below)
    rows = zip(ratios.tolist(), standard_errors.tolist(), counts.sum(0).tolist(), strict=True)
    return [Score(value, error, int(count)) for value, error, count in rows]


@torch.no_grad()
def predict_split(
    model: nn.Module,
    task: Task,
    seed: int,
    split: Split,
    count: int,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    length: int | None = None,
) -> Predictions:
    """Run the model over a split, in chunks of bounded memory."""
    length = length or task.length
    chunk = max(1, _CHUNK_VALUES // length)
    parts = []
    for start in range(0, count, chunk):
        size = min(chunk, count - start)
        batch = task.batch(seed, split, start, size, length=length, dtype=dtype, device=device)
        outputs = model(batch.inputs)
        parts.append([t.double().cpu() for t in (batch.inputs, batch.targets, outputs)])
    return Predictions(*(torch.cat(column) for column in zip(*parts, strict=True)))


def normalised_error(predictions: Predictions) -> NormalisedError:
    """Error over power with the standard error of a ratio of means (delta method), sequences as units."""
    squares = (predictions.outputs - predictions.targets).square().sum(-1)
    powers = predictions.targets.square().sum(-1)
    value, standard_error = _ratio(squares.sum(1, keepdim=True), powers.sum(1, keepdim=True))
    by_position, by_position_se = _ratio(squares, powers)
    return NormalisedError(float(value), float(standard_error), by_position, by_position_se)


def _ratio(
    numerators: Float64[Tensor, "n T"], denominators: Float64[Tensor, "n T"]
) -> tuple[Float64[Tensor, " T"], Float64[Tensor, " T"]]:
    # A position whose target is zero but for rounding (before an impulse's lag) has no relative error: NaN.
    power = denominators.mean(0)
    ratio = numerators.mean(0) / power.where(power > _ROUNDING * power.max(), torch.nan)
    deviations = numerators - ratio * denominators
    return ratio, deviations.std(0) / len(numerators) ** 0.5 / power
