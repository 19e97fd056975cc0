"""The associations that were read: the state of solvers that weigh them anew for each query."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from recollect.regression.memory_weights import memory_weights
from recollect.regression.optimizers import Exact, Sgd
from recollect.regression.problem import Associations, Composition, Constants, HeadSizes
from recollect.regression.weights import Importance

Column = Float[Tensor, "_ _ H _"]
"""Numbers of each position (or entry) and head; their number, the last axis, is 0 where a part is absent."""


class History(NamedTuple):
    """What was read, oldest first: `S` positions, with an entry each for every step of a position.

    Attributes:
        keys: `(B, S n, H, K)`, of each entry.
        values: `(B, S n, H, V)`, of each entry.
        step: `(B, S n, H, 0 or 1)`, of each entry.
        log_decay: `(B, S, H, 0, 1 or K)`, that acts before each position, per head or per key channel.
        log_importance: `(B, S, H, 0 or 1)`, of each position.
        momentum: `(B, S, H, 0 or 1)`, of each position.
        total_decay: `(B, H, 0, 1 or K)`, sum of the log-decays since the first association.
        num_read: `(B, 0 or 1)`, positions read.
    """

    keys: Column
    values: Column
    step: Column
    log_decay: Column
    log_importance: Column
    momentum: Column
    total_decay: Float[Tensor, "_ H _"]
    num_read: Int64[Tensor, "_ _"]


def decay_width(composition: Composition, key_dim: int) -> int:
    """Log-decays of a head: 0, 1 or the number of key channels."""
    if composition.decay == "channel":
        return key_dim
    optimizer = composition.optimizer
    shrinks = isinstance(optimizer, Sgd) and optimizer.weight_decay != 0
    return int(composition.decay == "head" or shrinks)


def num_entries(composition: Composition) -> int:
    """Associations of a position: the steps of an online optimizer."""
    return composition.optimizer.num_steps if isinstance(composition.optimizer, Sgd) else 1


def is_read_before(composition: Composition) -> bool:
    """Whether position t is answered by what was known at t - 1."""
    return not isinstance(composition.optimizer, Exact) and composition.optimizer.retrieve == "before"


def empty_history(composition: Composition, batch_size: int, sizes: HeadSizes, like: Tensor) -> History:
    """The history before the first association."""
    parts = _widths(composition, sizes)
    heads = sizes.num_heads
    total_decay, num_read = parts.pop("total_decay"), parts.pop("num_read")
    return History(
        **{name: like.new_zeros(batch_size, 0, heads, width) for name, width in parts.items()},
        total_decay=like.new_zeros(batch_size, heads, total_decay),
        num_read=like.new_zeros((batch_size, num_read), dtype=torch.int64),
    )


def extended(history: History, a: Associations) -> History:
    """The history with new associations at its end."""
    batch_size, length, heads = a.q.shape[:3]
    new = {
        "keys": a.k,
        "values": a.v,
        "step": a.step,
        "log_decay": a.g,
        "log_importance": a.log_importance,
        "momentum": a.momentum,
    }
    joined = {}
    for name, x in new.items():
        old = getattr(history, name)
        if old.shape[-1] == 0 or x is None:
            x = a.q.new_zeros(batch_size, length, heads, 0)
        joined[name] = torch.cat([old, x if x.ndim == 4 else x.unsqueeze(-1)], dim=1)
    recent = joined["log_decay"][:, history.log_decay.shape[1] :]
    carries_total = history.total_decay.shape[-1] > 0
    return History(
        **joined,
        total_decay=history.total_decay + recent.sum(1) if carries_total else history.total_decay,
        num_read=history.num_read + length,
    )


def truncated(history: History, length: int | None, entries: int) -> History:
    """The last `length` positions of a history, all if `None`."""
    if length is None:
        return history
    start = max(history.log_decay.shape[1] - length, 0)
    per_entry = {name: getattr(history, name)[:, start * entries :] for name in ("keys", "values", "step")}
    per_position = {
        name: getattr(history, name)[:, start:] for name in ("log_decay", "log_importance", "momentum")
    }
    return history._replace(**per_entry, **per_position)


def sight(composition: Composition, constants: Constants) -> int | None:
    """How many positions count at most, `None` for all: a window, or where a memory function ends."""
    taps = None if constants.taps is None else len(constants.taps)
    return min((size for size in (composition.window, taps) if size is not None), default=None)


def kept_positions(composition: Composition, seen: int | None) -> int | None:
    """Positions that the next query can still see, its own not among them."""
    if seen is None or is_read_before(composition):
        return seen
    return seen - 1


def history_size(composition: Composition, sizes: HeadSizes, length: int) -> int:
    """Scalars of a history after `length` positions."""
    taps = None
    if composition.memory is not None:
        memory = memory_weights(composition.memory)
        taps = None if memory.sum is not None else memory.taps
    kept = kept_positions(composition, sight(composition, Constants(taps=taps)))
    positions = length if kept is None else min(length, kept)
    parts = _widths(composition, sizes)
    total_decay, num_read = parts.pop("total_decay"), parts.pop("num_read")
    entries = num_entries(composition) * sum(parts[name] for name in ("keys", "values", "step"))
    gates = sum(parts[name] for name in ("log_decay", "log_importance", "momentum"))
    return sizes.num_heads * (positions * (entries + gates) + total_decay) + num_read


def _widths(composition: Composition, sizes: HeadSizes) -> dict[str, int]:
    """The last axis of each part of a history."""
    optimizer = composition.optimizer
    online = optimizer if isinstance(optimizer, Sgd) else None
    decay = decay_width(composition, sizes.key_dim)
    prior_decays = isinstance(optimizer, Exact) and optimizer.prior == "decaying"
    return {
        "keys": sizes.key_dim,
        "values": sizes.value_dim,
        "step": int(online is not None),
        "log_decay": decay,
        "log_importance": int(any(isinstance(factor, Importance) for factor in composition.weights.factors)),
        "momentum": int(online is not None and online.momentum != 0),
        "total_decay": decay if prior_decays else 0,
        "num_read": int(online is not None and online.minibatch > 1),
    }
