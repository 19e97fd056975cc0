r"""Solving with a Gram matrix that grows: all positions of a chunk at once.

$$M_t x_t = q_t, \qquad
M_t = e^{b_t} H_0 + \sum_{j \le t} e^{b_t - b_j} w_j k_j k_j^\top + \operatorname{diag}(r)$$

with $b$ the cumulative log-decay inside the chunk, $H_0$ the Gram matrix before it, $w_j$ the importance of
an association and $r$ a fixed ridge.

*Without a fixed ridge* one Cholesky factorisation solves all positions. With $H_0 = L_0 L_0^\top$, rows
$a_j = \sqrt{w_j} L_0^{-1} k_j$ of $A$, and $L L^\top = A A^\top + \operatorname{diag}(e^b)$,

$$x_t = e^{-b_t} L_0^{-\top} \bigl( I - A_t^\top (L_t L_t^\top)^{-1} A_t \bigr) L_0^{-1} q_t$$

by Woodbury's identity, where $A_t$ are the first $t$ rows and $L_t$ is the leading block of $L$: the leading
blocks of a Cholesky factor are the factors of the leading blocks. The difference cancels to a relative error
of $\epsilon e^{|b_t|}$, which one step of iterative refinement removes.

*With a fixed ridge* $H_0$ and $r$ change differently with $t$, and no factorisation serves two positions:
each $M_t$ is formed and factorised, those of some chunks at once. Or conjugate gradients solve, to a
tolerance. The solution above for the prior $H_0 + \operatorname{diag}(r)$ is their preconditioner: it differs
from $M_t$ by $(1 - e^{b_t}) \operatorname{diag}(r)$ only. While a chunk loses at most a factor e it leaves a
condition number of at most $e^{|b_t|}$, whatever the keys are; if nothing decays it is the solution. Under
strong decays and a small ridge it is far from both, and the residual says so.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.ops.chunks import decay_within
from recollect.ops.conjugate_gradient import conjugate_gradient, solve_by_conjugate_gradient

ChunkKeys = Float[Tensor, "B H N C K"]
ChunkPairs = Float[Tensor, "B H N C C"]
ChunkScalars = Float[Tensor, "B H N C"]
ChunkGrams = Float[Tensor, "B H N K K"]

_DIRECT_NUMBERS = 2**18
"""Numbers in the systems that are factorised at once: what stays in the cache."""


class Growth(NamedTuple):
    """A Gram matrix at the start of each chunk and what the chunk adds to it.

    Attributes:
        keys: the rows `k_j`.
        importance: `w_j`, at least 0.
        g: log-decays, whose cumulative sum inside the chunk is `b`.
        gram: `H_0`, symmetric.
        ridge: `r` for every position, or `None` for no fixed ridge.
    """

    keys: ChunkKeys
    importance: ChunkScalars
    g: ChunkScalars
    gram: ChunkGrams
    ridge: ChunkKeys | None = None


class ChunkFactor(NamedTuple):
    """What solves a chunk without a fixed ridge.

    Attributes:
        whiten: `L_0^-1`.
        rows: `A`.
        inner: `L^-1`.
        between: `e^(b_i - b_j)` for `j <= i`, else 0.
        kept: `e^b`.
    """

    whiten: ChunkGrams
    rows: ChunkKeys
    inner: ChunkPairs
    between: ChunkPairs
    kept: Float[Tensor, "B H N C 1"]


def solve_growth(
    q: ChunkKeys, growth: Growth, *, tolerance: float | None = None, max_iterations: int | None = None
) -> ChunkKeys:
    """`M_t^-1 q_t` for every position of every chunk, with gradients for all tensors.

    Exact, or with a fixed ridge by so many conjugate gradients.

    Raises:
        torch.linalg.LinAlgError: without a fixed ridge, where not one digit of an answer would be right.
    """
    direct = growth.ridge is not None and max_iterations is None
    factor = (None,) * len(ChunkFactor._fields) if direct else factor_for(growth)
    return _Solve.apply(q, *growth, *factor, tolerance, max_iterations)


def residual_of_growth(
    q: ChunkKeys, growth: Growth, *, tolerance: float | None, max_iterations: int | None
) -> ChunkScalars:
    """Relative residuals of `solve_growth` with a fixed ridge."""
    if max_iterations is None:
        # At unit size, so that the squares of a norm neither overflow nor vanish.
        unit = q / q.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(q.dtype).tiny)
        left = unit - _Product(growth)(solve_directly(unit, growth))
        return left.norm(dim=-1) / unit.norm(dim=-1).clamp(min=1.0)
    factor = factor_for(growth)
    return conjugate_gradient(
        _Product(growth),
        q,
        lambda x: solve_once(factor, x),
        tolerance=tolerance,
        max_iterations=max_iterations,
    )[1]


@torch.no_grad()
def factor_for(growth: Growth) -> ChunkFactor:
    """The exact factor without a fixed ridge, the preconditioner with one."""
    if growth.ridge is None:
        factor = chunk_factor(growth)
        _refuse_rounding(growth, factor)
        return factor
    written = (growth.keys.square() * growth.importance[..., None]).sum(-2)
    size = (torch.diagonal(growth.gram, dim1=-2, dim2=-1) + written).amax(-1, keepdim=True)
    rounding = 4 * growth.gram.shape[-1] * torch.finfo(size.dtype).eps * size
    prior = growth.gram + torch.diag_embed(growth.ridge[..., 0, :] + rounding)
    return chunk_factor(growth._replace(gram=prior, g=_gentle(growth.g)))


def chunk_factor(growth: Growth) -> ChunkFactor:
    """Factorise `H_0` and the keys of its chunk.

    Raises:
        torch.linalg.LinAlgError: `H_0` is not positive definite, as far as its precision shows.
    """
    whiten = _inverse_cholesky(growth.gram)
    rows = (growth.keys * growth.importance.sqrt()[..., None]) @ whiten.mT
    kept = growth.g.cumsum(-1).exp()
    inner = _inverse_cholesky(rows @ rows.mT + torch.diag_embed(kept))
    return ChunkFactor(whiten, rows, inner, decay_within(growth.g), kept[..., None])


def solve_directly(q: ChunkKeys, growth: Growth) -> ChunkKeys:
    """`x_t` with a fixed ridge, factorised for each position; some chunks at a time, to bound memory."""
    positions = q.shape[0] * q.shape[1] * q.shape[3]
    chunks = max(1, _DIRECT_NUMBERS // max(1, positions * q.shape[-1] ** 2))
    pieces = zip(*(x.split(chunks, dim=2) for x in (q, *growth) if x is not None), strict=True)
    return torch.cat([_solve_positions(piece[0], Growth(*piece[1:])) for piece in pieces], dim=2)


def _solve_positions(q: ChunkKeys, growth: Growth) -> ChunkKeys:
    """Each position's own `M_t`, formed and solved."""
    assert growth.ridge is not None
    weights = decay_within(growth.g) * growth.importance[..., None, :]
    pairs = (growth.keys[..., :, None] * growth.keys[..., None, :]).flatten(-2)
    written = (weights @ pairs).unflatten(-1, (q.shape[-1], q.shape[-1]))
    before = growth.g.cumsum(-1).exp()[..., None, None] * growth.gram.unsqueeze(-3)
    systems = torch.diagonal_scatter(
        written.add_(before), torch.diagonal(written, dim1=-2, dim2=-1) + growth.ridge, dim1=-2, dim2=-1
    )
    size = torch.diagonal(systems, dim1=-2, dim2=-1).amax(-1, keepdim=True)
    # A ridge below the rounding of its Gram matrix would leave it indefinite; one step of refinement then
    # solves with the ridge that was asked for.
    raised = torch.diagonal(systems, dim1=-2, dim2=-1) + q.shape[-1] * torch.finfo(q.dtype).eps * size
    lower = torch.linalg.cholesky(torch.diagonal_scatter(systems, raised, dim1=-2, dim2=-1))
    x = torch.cholesky_solve(q.unsqueeze(-1), lower)
    return (x + torch.cholesky_solve(q.unsqueeze(-1) - systems @ x, lower)).squeeze(-1)


def solve_once(factor: ChunkFactor, q: ChunkKeys) -> ChunkKeys:
    """`x_t` without a fixed ridge."""
    return _solve_white(factor, q @ factor.whiten.mT) @ factor.whiten


def solve_refined(factor: ChunkFactor, q: ChunkKeys) -> ChunkKeys:
    """`x_t` without a fixed ridge, with one step of iterative refinement."""
    white = q @ factor.whiten.mT
    x = _solve_white(factor, white)
    product = factor.kept * x + ((x @ factor.rows.mT) * factor.between) @ factor.rows
    return (x + _solve_white(factor, white - product)) @ factor.whiten


def _solve_white(factor: ChunkFactor, white: ChunkKeys) -> ChunkKeys:
    """Woodbury's identity in the coordinates in which `H_0` is the identity."""
    forward = (white @ factor.rows.mT) @ factor.inner.mT
    return (white - (forward.tril() @ factor.inner) @ factor.rows) / factor.kept


def inverse_of(matrix: Float[Tensor, "*batch K K"]) -> Float[Tensor, "*batch K K"]:
    """The inverse of a symmetric positive definite matrix.

    Raises:
        torch.linalg.LinAlgError: it is not positive definite, or so nearly that no digit would be right.
    """
    whiten = _inverse_cholesky(matrix)
    _refuse_lost_pivots(matrix.detach(), whiten.detach())
    return whiten.mT @ whiten


class _Product:
    """`x -> M_t x_t` for every position of every chunk, without forming any `M_t`."""

    def __init__(self, growth: Growth) -> None:
        self.keys, importance, g, self.gram, self.ridge = growth
        self.weights = decay_within(g) * importance[..., None, :]
        self.kept = g.cumsum(-1).exp()[..., None]

    def __call__(self, x: ChunkKeys) -> ChunkKeys:
        product = ((x @ self.keys.mT) * self.weights) @ self.keys + self.kept * (x @ self.gram)
        return product if self.ridge is None else torch.addcmul(product, self.ridge, x)


class _Solve(torch.autograd.Function):
    """The implicit function theorem.

    With `M_t z_t` the gradient that arrives, that of the arguments is the gradient of `-z_t^T M_t x_t` at
    fixed `x` and `z`. The factor is a device for solving, and has none.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        q: Tensor, keys: Tensor, importance: Tensor, g: Tensor, gram: Tensor, ridge: Tensor | None,
        whiten: Tensor | None, rows: Tensor | None, inner: Tensor | None, between: Tensor | None,
        kept: Tensor | None,
        tolerance: float | None, max_iterations: int | None,
    ) -> Tensor:  # fmt: skip
        if ridge is not None and max_iterations is None:
            return solve_directly(q, Growth(keys, importance, g, gram, ridge))
        assert whiten is not None and rows is not None and inner is not None  # noqa: PT018
        assert between is not None and kept is not None  # noqa: PT018
        factor = ChunkFactor(whiten, rows, inner, between, kept)
        if ridge is None:
            return solve_refined(factor, q)
        product = _Product(Growth(keys, importance, g, gram, ridge))
        return solve_by_conjugate_gradient(
            product,
            q,
            lambda x: solve_once(factor, x),
            tolerance=tolerance,
            max_iterations=max_iterations or 0,
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.tolerance, ctx.max_iterations = inputs
        ctx.save_for_backward(*tensors[1:], output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *arguments, x = ctx.saved_tensors
        keys, importance, g, gram, ridge = arguments[:5]
        z = _Solve.apply(gradients[0], *arguments, ctx.tolerance, ctx.max_iterations)
        between, late = decay_within(g), z * g.cumsum(-1).exp()[..., None]
        weights = between * importance[..., None, :]
        read, written = x @ keys.mT, z @ keys.mT
        pairs = between * read * written
        weighted = pairs * importance[..., None, :]
        for_keys = -(weights * written).mT @ x - (weights * read).mT @ z
        # A decay acts on all pairs that it lies between, and on all reads of what came before the chunk.
        reads = torch.cat([(late * (x @ gram)).sum(-1, keepdim=True), weighted], dim=-1)
        for_g = -_sums_from_here_on(reads).tril().sum(-1)
        for_ridge = None if ridge is None else -z * x
        return z, for_keys, -pairs.sum(-2), for_g, -late.mT @ x, for_ridge, *[None] * 7


def _sums_from_here_on(x: Tensor) -> Tensor:
    """Of each row and all later ones."""
    return x.flip(-2).cumsum(-2).flip(-2)


def _gentle(g: ChunkScalars) -> ChunkScalars:
    """Decays that lose at most a factor e over a chunk: what a preconditioner can take for steeper ones."""
    return g.clamp(min=-1 / g.shape[-1])


def _refuse_rounding(growth: Growth, factor: ChunkFactor) -> None:
    """Raise where rounding leaves less than one digit of `M_t^-1`.

    Either `H_0` has lost a direction, or it has decayed to less than one unit of what the chunk wrote.
    """
    _refuse_lost_pivots(growth.gram, factor.whiten)
    written = factor.rows.square().sum(-1).amax(-1)
    _refuse_unless_positive(factor.kept[..., -1, 0] - torch.finfo(written.dtype).eps * written)


def _refuse_lost_pivots(matrix: Tensor, whiten: Tensor) -> None:
    """Raise if a pivot of `matrix = L L^T`, with `whiten = L^-1`, is but rounding of its diagonal."""
    pivots, sizes = (torch.diagonal(x, dim1=-2, dim2=-1) for x in (whiten, matrix))
    _refuse_unless_positive(pivots**-2 - 8 * torch.finfo(matrix.dtype).eps * sizes)


def _refuse_unless_positive(margin: Tensor) -> None:
    """The Cholesky factorisation of a number is a check that `vmap` and one graph keep."""
    smallest = torch.cat([margin.flatten(), margin.new_ones(1)]).amin()
    torch.linalg.cholesky(smallest.reshape(1, 1))


def _inverse_cholesky(matrix: Tensor) -> Tensor:
    """`L^-1` of `matrix = L L^T`: one small inverse, after which all else are products."""
    lower = torch.linalg.cholesky(matrix)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.solve_triangular(lower, identity.expand_as(lower), upper=False)
