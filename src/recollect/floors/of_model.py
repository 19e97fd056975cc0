r"""The floor under one model on one task, in the unit of its test error.

A model is put into every class that holds it and has a theorem; the highest floor counts. What is attained
is shown by construction: a member of the class that this very model can hold, its parameters set to it.

With `noise` of variance n added to targets of power P, an NMSE of e on the clean target becomes
(e P + n) / (P + n). With several channels the target's memory function is $M \rho_s$; along each pair of
singular vectors of M a model is one model of a single channel, so the floor of a single channel holds.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch

from recollect.core import ConfigError
from recollect.floors.alibi import AlibiHeads
from recollect.floors.dilated import LinearDilated
from recollect.floors.finite_memory import FilterFit, FiniteMemory
from recollect.floors.floor import Fit, Floor, ModelClass
from recollect.floors.linear_recurrence import LinearRecurrence
from recollect.floors.no_positions import NoPositions
from recollect.floors.problem import Problem
from recollect.floors.recurrence_bound import recurrence_bounds
from recollect.floors.recurrence_fit import PoleKind, RecurrenceFit, fit_recurrences
from recollect.floors.static_readout import static_readout_bounds
from recollect.floors.warm_start import warm_start
from recollect.memory import ExponentialSum
from recollect.models import RNN, SSM, TCN, Attention, SequenceModel
from recollect.tasks import FunctionalTask

_STABLE = 1 - 1e-9
"""Largest modulus of a pole of a construction: most parametrisations reach no other."""

LONGEST = 8192
"""Horizons beyond are left out: their bounds would take longer than a training."""


@dataclass(frozen=True)
class Membership:
    """A class that holds a model, and the model's size there."""

    model_class: ModelClass
    size: int


def floor_of(task: FunctionalTask, model: SequenceModel) -> Floor:
    """The floor of the NMSE that `model` can have on `task`, whatever its parameters.

    The error is the one that a test measures: averaged over the positions of a sequence from zero state.
    Cost: that of the classes' bounds at one size, once for each task and class in a process.

    Example:
        >>> from recollect.models import ModelConfig
        >>> task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 12}, "length": 32})
        >>> tcn = ModelConfig(mixer="tcn", dim=4, options={"num_levels": 3}).build(1, 1, seed=0)
        >>> round(floor_of(task, tcn).lower, 9)
        1.0
    """
    reason = _why_not(task)
    if reason is not None:
        return Floor(None, 0.0, None, None, reason, binding=False)
    members = memberships(task, model)
    if not members:
        return Floor(None, 0.0, None, None, _why_unbounded(model), binding=False)
    lowest = [(_bound(task.canonical_json(), member), member) for member in members]
    floor, member = max(lowest, key=lambda found: found[0].lower)
    # Where a class holds every kernel of this length there is nothing to enclose.
    built = _best_built(task, model) if floor.lower > 0 or 2 * member.size < task.length else None
    attained = None if built is None else _with_noise(task, built.error)
    return Floor(
        member.size, _with_noise(task, floor.lower), attained, None if built is None else built.fit, floor.how
    )


def construction_of(task: FunctionalTask, model: SequenceModel) -> Fit | None:
    """The best explicit model known that `model` can be set to, for one channel; None where there is none."""
    built = None if _why_not(task) is not None else _best_built(task, model)
    return None if built is None else built.fit


class _Built(NamedTuple):
    """A construction, and the error of the model that was set to it."""

    fit: Fit
    error: float


def _best_built(task: FunctionalTask, model: SequenceModel) -> _Built | None:
    # The cheapest fit says whether the model can be set to any: searching for the others takes seconds.
    if (task.input_size, task.output_size) != (1, 1) or _set_to(model, _simplest(task, model), task) is None:
        return None
    built = [_set_to(model, fit, task) for fit in _candidates(task, model)]
    return min((one for one in built if one is not None), key=lambda one: one.error, default=None)


def _set_to(model: SequenceModel, fit: Fit, task: FunctionalTask) -> _Built | None:
    """A copy of the model set to a fit: the proof that it is attained. None where it cannot hold it."""
    copy = _with_fixed_ends(model)
    try:
        warm_start(copy, fit)
    except ConfigError:
        return None
    with torch.no_grad():
        taps = copy.linear_response(task.length).kernel[:, 0, 0]
    # Not the fit's own taps: residues of opposite sign that nearly cancel lose digits on the way.
    return _Built(fit, _problem(task).nmse(taps))


@torch.no_grad()
def _with_fixed_ends(model: SequenceModel) -> SequenceModel:
    """A copy in double precision whose encoder and decoder are not those that it was drawn with.

    What a model can hold does not depend on its seed, so neither may the rounding of what it is set to.
    """
    copy, generator = deepcopy(model).double(), torch.Generator().manual_seed(0)
    for end in (copy.encoder, copy.decoder):
        if isinstance(end, torch.nn.Linear):
            end.weight.copy_(torch.rand(end.weight.shape, generator=generator, dtype=torch.float64) + 0.5)
    return copy


def memberships(task: FunctionalTask, model: SequenceModel) -> list[Membership]:
    """The classes with a theorem that hold the model."""
    found = (_recurrence(task, model), _finite_memory(model), _dilated(model), _attention(model))
    return [member for member in found if member is not None]


def _recurrence(task: FunctionalTask, model: SequenceModel) -> Membership | None:
    """Linear states, read linearly; or after one block and for Gaussian input, by any function.

    A residual connection and most mixers pass the present input on beside the states: every model is
    counted with that feed-through, which can only lower its floor.
    """
    blocks: list[Any] = list(model.blocks)
    if model.receptive_field is not None or not all(_is_linear(block) for block in blocks):
        return None
    size = model.state_size(task.length)
    if not size:
        return None
    if all(block.channel_mixer is None for block in blocks):
        return Membership(LinearRecurrence(feed_through=True), size)
    if len(blocks) == 1 and task.input.law == "gaussian":
        return Membership(LinearRecurrence(feed_through=True, readout="static"), size)
    return None


def _is_linear(block: Any) -> bool:
    """Whether the block's mixer is a convolution of what enters the block."""
    return isinstance(block.mixer_norm, torch.nn.Identity) and bool(getattr(block.mixer, "is_lti", False))


def _finite_memory(model: SequenceModel) -> Membership | None:
    field = model.receptive_field
    return None if field is None else Membership(FiniteMemory(), field)


def _dilated(model: SequenceModel) -> Membership | None:
    """One linear dilated network: its widths bound the ranks of a tensor train."""
    mixer, block = model.mixers[0], cast("Any", model.blocks[0])
    if not (model.is_affine and len(model.mixers) == 1 and isinstance(mixer, TCN)):
        return None
    base = len(mixer.delays[0])
    dense = all(delays[-1] == (base - 1) * base**level for level, delays in enumerate(mixer.delays))
    if not dense:
        return None
    # A residual inside a level only changes the first of its taps; the block's passes by all of them.
    return Membership(LinearDilated(base=base, num_levels=len(mixer.delays), skip=block.residual), mixer.dim)


def _attention(model: SequenceModel) -> Membership | None:
    mixers = model.mixers
    if not all(isinstance(mixer, Attention) for mixer in mixers):
        return None
    if model.is_affine:
        heads = AlibiHeads(slopes="learned", feed_through=True, num_layers=len(mixers))
        return Membership(heads, sum(mixer.num_heads for mixer in mixers))
    if len(mixers) == 1 and mixers[0].positions == "none":
        return Membership(NoPositions(), mixers[0].num_heads)
    return None


def _candidates(task: FunctionalTask, model: SequenceModel) -> Iterator[Fit]:
    """Constructions that the model may hold."""
    for member in memberships(task, model):
        if isinstance(member.model_class, LinearRecurrence):
            most = min(member.size, task.length // 2)
            for kind, sizes in _poles_of(model, most):
                diagonal = not isinstance(model.mixers[0], RNN)
                yield from _recurrence_fits(task.canonical_json(), kind, sizes, diagonal)
            yield _simplest(task, model)
        elif isinstance(member.model_class, FiniteMemory | LinearDilated):
            floor = _bound(task.canonical_json(), member)
            yield from [floor.fit] if floor.fit is not None else []


def _simplest(task: FunctionalTask, model: SequenceModel) -> Fit:
    """The present input alone: no state is read. An RNN, whose states are its outputs, reads one."""
    present = float(task.taps()[0])
    if isinstance(model.mixers[0], TCN):
        return FilterFit(torch.tensor([present], dtype=torch.float64))
    states = torch.ones(1 if isinstance(model.mixers[0], RNN) else 0, dtype=torch.complex128)
    return RecurrenceFit(ExponentialSum(states / 2, states), present)


def _poles_of(model: SequenceModel, most: int) -> list[tuple[PoleKind, tuple[int, ...]]]:
    """Kinds and numbers of poles worth trying, with `most` real states at most.

    A complex state takes two real ones whether it turns or not: n of them hold n pairs, or n poles of any
    kind, and which is better depends on the target.
    """
    mixer = model.mixers[0]
    if isinstance(mixer, RNN):
        return [("complex", (most, max(1, most - 1)))]  # without a residual one state passes the input on
    if isinstance(mixer, SSM) and mixer.phase is None:
        # Not every parametrisation reaches the negative poles of the best fit.
        return [("real", tuple(sorted({most, max(1, most - 1), max(1, most // 2)})))]
    # Two real poles in place of a pair are one pole too many: fits of fewer states may have no such.
    half = max(1, most // 2)
    sizes = {size for size in (most, most - 1, most - 2, half) if size >= 1}
    return [("complex", tuple(sorted(sizes))), ("real", (half,))]


@lru_cache(maxsize=256)
def _recurrence_fits(
    task_json: str, kind: PoleKind, sizes: tuple[int, ...], diagonal: bool
) -> tuple[RecurrenceFit, ...]:
    problem = _problem(FunctionalTask.model_validate_json(task_json))
    fits = fit_recurrences(
        problem, sizes, feed_through=True, poles=kind, diagonal=diagonal, max_modulus=_STABLE
    )
    return tuple(fits)


@lru_cache(maxsize=512)
def _bound(task_json: str, member: Membership) -> Floor:
    """By a key that can be hashed: the runs of a study share their tasks and classes."""
    problem, found = _problem(FunctionalTask.model_validate_json(task_json)), member.model_class
    if not isinstance(found, LinearRecurrence):
        return found.floors(problem, [member.size])[0]
    # Its constructions depend on the model too, and take longer than the bound.
    bounds = static_readout_bounds if found.readout == "static" else recurrence_bounds
    [bound] = bounds(problem, [member.size], feed_through=found.feed_through)
    return Floor(member.size, bound.lower, None, None, bound.how)


def _problem(task: FunctionalTask) -> Problem:
    return Problem(task.taps(), "window")


def _with_noise(task: FunctionalTask, nmse: float) -> float:
    channels = task.channels if task.mixing is None else sum(gain**2 for row in task.mixing for gain in row)
    power = _problem(task).energy * channels / task.output_size
    return (nmse * power + task.noise**2) / (power + task.noise**2)


def _why_not(task: FunctionalTask) -> str | None:
    """What in the task itself leaves no theorem."""
    if task.output != "identity":
        return f"the target is a nonlinear function ({task.output}) of the filtered input"
    if not task.input.is_independent:
        return f"the input ({task.input.label}) is not white: errors at its lags do not add up"
    if task.length > LONGEST:
        return f"not computed for sequences longer than {LONGEST}"
    return None


def _why_unbounded(model: SequenceModel) -> str:
    if any(isinstance(mixer, Attention) for mixer in model.mixers):
        return "attention that reads content and positions: no theorem bounds it"
    return "gates, norms or nonlinear maps between its states: no theorem bounds it"
