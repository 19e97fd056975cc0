r"""What no linear recurrence with m states that reads several inputs can do better than.

$$\hat\rho_s = c^\top A^s B \in \mathbb{R}^p,\; A \in \mathbb{R}^{m \times m}
  \;\Rightarrow\;
  \sum_{s, i} (\rho - \hat\rho)_{s, i}^2 \ge
  \sum_{j>m} \sigma_j^2\big(\mathrm{diag}(a)\,[H_1\, \mathrm{diag}(b), \dots, H_p\, \mathrm{diag}(b)]\big)$$

with $(H_i)_{jl} = \rho_{j+l, i}$ and $(a^2 * b^2)_k \le 1$ at every lag. The block matrix of $\hat\rho$ is
the product of the m columns $c^\top A^j$ and the m rows $A^l B$, so its rank is m at most, whatever the
weights; each input's block sums its errors with the weights $a^2 * b^2$. Eckart and Young give the rest, as
for a single input (`recurrence_bound`). Each input alone is read by a recurrence of m states too: the sum of
their own bounds, each with the weights that suit it, is another one, and the larger of the two counts.

Where some q modes are given for nothing, as those of a filter behind the recurrence, the columns of each
block may hold any multiple of known sequences, the modes' free responses. Projecting these out of the rows
leaves rank m, raises no singular value, and loses less than counting q states more: singular values
interlace.

Singular values come from the smaller Gram matrix. The sum of those beyond m is moved by rounding by no more
than its size times the norm of the backward error, which is taken off.

Derived for this project; checked against a search over models.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from recollect.core import ConfigError
from recollect.floors.recurrence_bound import RecurrenceBound
from recollect.floors.recurrence_weights import admissible

Memory = Float64[Tensor, "lags inputs"]
Squares = Float64[Tensor, " _"]


def joint_recurrence_bounds(
    memory: Memory,
    sizes: Sequence[int],
    *,
    feed_through: bool = False,
    free: Float64[Tensor, "lags modes"] | None = None,
) -> list[RecurrenceBound]:
    """Lower bounds of the NMSE over all inputs, for each size in the order given; never rising with it.

    For white, uncorrelated inputs of unit variance this bounds the mean squared error over the target's
    power. Cost O(T^3) for some 4 log T matrices.

    Args:
        memory: taps at lags 0..T-1 of each input.
        sizes: numbers of real states, at least 1; a complex state counts 2.
        feed_through: whether an arbitrary tap at lag 0 of each input comes with the recurrence.
        free: free responses over T lags of modes that are not counted as states, from any start.

    Raises:
        ConfigError: a size below 1.

    Example:
        >>> delays = torch.zeros(16, 2, dtype=torch.float64)
        >>> delays[3, 0] = delays[5, 1] = 1.0
        >>> [round(bound.lower, 3) for bound in joint_recurrence_bounds(delays, [1, 4, 6])]
        [0.792, 0.25, 0.0]
    """
    if min(sizes, default=1) < 1:
        raise ConfigError(f"expected at least 1 state, got {min(sizes)}: ask for sizes from 1 up.")
    energy = float(memory.square().sum())
    asked = memory[1:] if feed_through else memory
    if not bool(asked.any()):
        return [RecurrenceBound(0.0, "free taps at lag 0 hold the whole memory") for _ in sizes]
    known = torch.zeros(len(memory), 0, dtype=torch.float64) if free is None else free
    together = _best_by_size(asked, sizes, known)
    apart = [_best_by_size(asked[:, [i]], sizes, known) for i in range(asked.shape[1])]
    sums = [sum(bound.lower for bound in bounds) for bounds in zip(*apart, strict=True)]
    slack = (1.0 - 8 * memory.numel() * torch.finfo(torch.float64).eps) / energy
    return [
        RecurrenceBound(joint.lower * slack, joint.how)
        if joint.lower >= alone
        else RecurrenceBound(alone * slack, "Eckart-Young on the Hankel matrix of each input by itself")
        for joint, alone in zip(together, sums, strict=True)
    ]


def _best_by_size(
    memory: Memory, sizes: Sequence[int], free: Float64[Tensor, "_ modes"]
) -> list[RecurrenceBound]:
    """The best bound for each size, not yet over the energy."""
    best = [RecurrenceBound(0.0, "none: up to rounding, so many states hold these taps") for _ in sizes]
    for rows, columns, name in _weights(memory):
        beyond = _energies_beyond(memory, rows, columns, free)
        shape = f"{memory.shape[1]} x {len(rows)} x {len(columns)}"
        how = f"Eckart-Young on Hankel blocks of {shape} (inputs, rows, columns), {name} weights"
        for place, size in enumerate(sizes):
            lower = float(beyond[min(size, len(beyond) - 1)])
            if lower > best[place].lower:
                best[place] = RecurrenceBound(lower, how)
    return best


def _weights(memory: Memory) -> Iterator[tuple[Squares, Squares, str]]:
    """Squared weights of rows and columns, admissible for equal lag weights, over a grid of shapes."""
    lag_weights = torch.ones(len(memory), dtype=torch.float64)
    for rows, columns in _shapes(len(memory), int(memory.square().sum(1).argmax()) + 1):
        ones = torch.ones(max(rows, columns), dtype=torch.float64)
        yield *admissible(ones[:rows], ones[:columns], lag_weights), "uniform"
        if rows + columns >= len(memory):
            central = _central_binomial(max(rows, columns))
            yield *admissible(central[:rows], central[:columns], lag_weights), "binomial"


def _central_binomial(count: int) -> Squares:
    """binom(2i, i) / 4^i, whose convolution with itself is 1 at every lag."""
    steps = torch.arange(1, count, dtype=torch.float64)
    return torch.cat([torch.ones(1, dtype=torch.float64), ((steps - 0.5) / steps).cumprod(0)])


def _shapes(length: int, peak: int) -> list[tuple[int, int]]:
    """Square and long, wide and tall; the first holds every lag."""
    half = (length + 1) // 2
    sides = sorted({1 << doubling for doubling in range(half.bit_length())} | {half, min(peak, half)})
    shapes = [(half, length + 1 - half)]
    for side in (side for side in sides if side <= half):
        shapes += [(side, side), (side, length + 1 - side), (length + 1 - side, side)]
    return list(dict.fromkeys(shapes))


def _energies_beyond(
    memory: Memory, rows: Squares, columns: Squares, free: Float64[Tensor, "_ modes"]
) -> Float64[Tensor, " ranks"]:
    """For rank 0, 1, ... the energy of the singular values beyond, less what rounding may have added."""
    hankel = memory[: len(rows) + len(columns) - 1].unfold(0, len(columns), 1)
    matrix = torch.einsum("ril,r,l->ril", hankel, rows.sqrt(), columns.sqrt()).flatten(1)
    # Orthonormal to rounding, it raises no singular value by more than that, whatever it spans.
    known = torch.linalg.qr(rows.sqrt()[:, None] * free[: len(rows)]).Q
    matrix = matrix - known @ (known.mT @ matrix)
    gram = matrix @ matrix.mT if matrix.shape[0] <= matrix.shape[1] else matrix.mT @ matrix
    values = torch.linalg.eigvalsh(gram).flip(0)
    beyond = torch.nn.functional.pad(values.flip(0).cumsum(0).flip(0), (0, 1))
    # Sums of n terms, and an eigenvalue solver: each value is off by some n roundings of the whole.
    whole = float(torch.einsum("ril,r,l->", hankel.square(), rows, columns))
    guard = 4 * sum(matrix.shape) * torch.finfo(torch.float64).eps * whole
    return (beyond - guard * len(values)).clamp(min=0.0)
