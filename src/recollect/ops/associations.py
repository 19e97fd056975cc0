"""The state of ops that keep every association they read, as attention does its cache of keys and values."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Associations(NamedTuple):
    """Keys and values in the order in which they were read, and how much each counts.

    Attributes:
        keys: `(B, S, H, K)`.
        values: `(B, S, H, V)`.
        log_weights: `(B, S, H)`, logarithm of the weight (decay since it was read, times importance) of each
            association as seen from the last position read: 0 without decay, `-inf` where there is none.
    """

    keys: Float[Tensor, "_ S H K"]
    values: Float[Tensor, "_ S H V"]
    log_weights: Float[Tensor, "_ S H"]

    @staticmethod
    def join(states: list["Associations"]) -> "Associations":
        """States of single sequences along the batch, the shorter ones filled up in front with weight 0."""
        longest = max(state.keys.shape[1] for state in states)
        return Associations(
            *(torch.cat(parts) for parts in zip(*(_fill(s, longest) for s in states), strict=True))
        )


def no_associations(batch: int, k: Float[Tensor, "_ T H K"], v: Float[Tensor, "_ T H V"]) -> Associations:
    """The state before anything was read."""
    heads = k.shape[2]
    return Associations(
        k.new_zeros(batch, 0, heads, k.shape[3]),
        v.new_zeros(batch, 0, heads, v.shape[3]),
        k.new_zeros(batch, 0, heads),
    )


def last(state: Associations, count: int | None) -> Associations:
    """The last associations of a state, all if `count` is `None`."""
    if count is None:
        return state
    start = max(state.keys.shape[1] - count, 0)
    return Associations(*(x[:, start:] for x in state))


def _fill(state: Associations, length: int) -> Associations:
    missing = length - state.keys.shape[1]
    keys, values = (torch.nn.functional.pad(x, (0, 0, 0, 0, missing, 0)) for x in state[:2])
    log_weights = torch.nn.functional.pad(state.log_weights, (0, 0, missing, 0), value=-torch.inf)
    return Associations(keys, values, log_weights)
