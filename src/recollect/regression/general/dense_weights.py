r"""Regression weights as a matrix: how much association i counts for query t.

$$W_{ti} = e^{G_t - G_i}\, a_i\, \rho(t - i)\, s(q_t, k_i)\, [0 \le t - i < w], \qquad
G_t = \sum_{j \le t} g_j$$

with importance $a$, memory function $\rho$, similarity $s$ and window $w$, as far as a composition has them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from recollect.core.shapes import Queries
from recollect.ops.similarity import Similarity, log_similarity
from recollect.regression.general.history import History, is_read_before, num_entries, sight
from recollect.regression.problem import Composition, Constants

Matrix = Float[Tensor, "B H T S"]
"""A number for each query and each entry of the history."""


@dataclass(frozen=True)
class Ages:
    """How old each entry of a history is for each query.

    Attributes:
        age: `(T, S)`; negative for what a query must not know.
        visible: `(T, S)`, whether the entry counts at all.
        first: position from which the first query is answered, -1 where nothing is known yet.
    """

    age: Int64[Tensor, "T S"]
    visible: Bool[Tensor, "T S"]
    first: int


class DenseWeights(NamedTuple):
    """`memory * exp(log)`; only a memory function can be negative.

    Attributes:
        log: `-inf` where an entry does not count.
        memory: the memory function at each age, or `None`.
    """

    log: Matrix
    memory: Float[Tensor, "T S"] | None

    def values(self) -> Matrix:
        """The weights."""
        return self.log.exp() if self.memory is None else self.memory * self.log.exp()

    def of_a_loss(self) -> Matrix:
        """The weights of a loss that has a minimum: a fitted memory function may undershoot 0 a little."""
        return self.values().clamp(min=0)

    def rescaled(self) -> "DenseWeights":
        """The same up to a factor for each query, so that not all are too small to be told from 0."""
        largest = self.log.detach().amax(-1, keepdim=True)
        return DenseWeights(self.log - largest.masked_fill(largest == -torch.inf, 0.0), self.memory)

    def normalised(self) -> Matrix:
        """Weights of a loss that sum to 1 for each query, or are all 0 where nothing counts."""
        weights = self.rescaled().of_a_loss()
        total = weights.sum(-1, keepdim=True)
        return weights / total.masked_fill(total == 0, 1.0)


def ages(composition: Composition, constants: Constants, history: History, num_queries: int) -> Ages:
    """How old everything is for the last `num_queries` positions of a history."""
    length = history.log_decay.shape[1]
    first = length - num_queries - int(is_read_before(composition))
    device = history.keys.device
    positions = torch.arange(length, device=device).repeat_interleave(num_entries(composition))
    queries = torch.arange(first, first + num_queries, device=device)
    age = queries[:, None] - positions
    visible = age >= 0
    seen = sight(composition, constants)
    return Ages(age, visible if seen is None else visible & (age < seen), first)


def dense_weights(
    composition: Composition,
    constants: Constants,
    q: Queries,
    history: History,
    ages: Ages,
    *,
    decays: bool,
) -> DenseWeights:
    """The weights of all entries for all queries.

    Args:
        composition: whose weights.
        constants: bandwidth and memory function.
        q: queries, the last positions of the history.
        history: the associations.
        ages: how old they are.
        decays: whether the decay per head is among the weights; where it acts on parameters, it is not.
    """
    log = q.new_zeros(q.shape[0], q.shape[2], *ages.age.shape)
    if decays and history.log_decay.shape[-1] == 1:
        log = log + log_fading(history, ages).squeeze(-1)
    if history.log_importance.shape[-1]:
        importance = history.log_importance.repeat_interleave(num_entries(composition), dim=1)
        log = log + rearrange(importance, "b s h 1 -> b h 1 s")
    if composition.similarity is not None:
        assert constants.bandwidth is not None
        queries, keys = (rearrange(x, "b t h k -> b h t k") for x in (q, history.keys))
        kernel = Similarity(composition.similarity.kernel, q.shape[-1] ** -0.5, constants.bandwidth)
        log = log + log_similarity(queries, keys, kernel)
    return DenseWeights(log.masked_fill(~ages.visible, -torch.inf), _memory(constants, ages))


def log_fading(history: History, ages: Ages) -> Float[Tensor, "B H T S _"]:
    """What the decays since leave of each entry at each query, `G_t - G_i`; `-inf` where invisible.

    All entries of a position have decayed alike.
    """
    total = torch.nn.functional.pad(history.log_decay.cumsum(1), (0, 0, 0, 0, 1, 0))
    total = rearrange(total, "b s h x -> b h s x")
    at_query = total[:, :, ages.first + 1 : ages.first + 1 + len(ages.age)]
    entries = ages.age.shape[1] // history.log_decay.shape[1]
    at_entry = total[:, :, 1:].repeat_interleave(entries, dim=2)
    difference = at_query[..., :, None, :] - at_entry[..., None, :, :]
    # Masked before the exponential: the future would overflow, and its gradient be NaN.
    return difference.masked_fill(~ages.visible[..., None], -torch.inf)


def _memory(constants: Constants, ages: Ages) -> Float[Tensor, "T S"] | None:
    if constants.taps is None and constants.poles is None:
        return None
    oldest = max(int(ages.age.shape[1]), 1)
    values = memory_values(constants, oldest)
    return values[ages.age.clamp(min=0, max=oldest - 1)]


def memory_values(constants: Constants, length: int) -> Float[Tensor, " S"]:
    """The memory function at the ages 0..length-1: its values, 0 beyond them, or its sum of exponentials."""
    if constants.taps is not None:
        return torch.nn.functional.pad(constants.taps, (0, max(length - len(constants.taps), 0)))[:length]
    assert constants.poles is not None
    assert constants.residues is not None
    # As a product: torch has no derivative for the power 0 of a pole at 0.
    powers = constants.poles[:, None].expand(-1, length - 1).cumprod(1)
    powers = torch.cat([torch.ones_like(constants.poles)[:, None], powers], dim=1)
    return torch.real(constants.residues @ powers)
