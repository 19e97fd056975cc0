"""Ops that keep every association as solvers: kernel attention, local regression, kernel ridge regression."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from recollect.ops import (
    forgetting_attn,
    kernel_attn,
    kernel_ridge,
    local_linear_attn,
    local_polynomial_attn,
    parallax,
    softmax_attn,
)
from recollect.ops.associations import Associations as Cache
from recollect.ops.kernel_ridge import KernelRidgeState
from recollect.regression.function_classes import KernelRidge, LocalLinear, LocalPolynomial
from recollect.regression.op_solvers import CHUNKED, Arguments, reader
from recollect.regression.optimizers import OneStep
from recollect.regression.problem import Associations, Composition, Constants, HeadSizes
from recollect.regression.solver import Solver, State
from recollect.regression.weights import Importance


def local_solver(composition: Composition) -> Solver:
    """Weights by similarity in a local class: the exact fit around each query, or the sum of one step."""
    function, similarity = composition.function_class, composition.similarity
    assert similarity is not None
    window = composition.window
    if isinstance(composition.optimizer, OneStep):
        extra, op = {"normalise": False}, kernel_attn
    elif isinstance(function, LocalPolynomial):
        extra, op = {"degree": function.degree}, local_polynomial_attn
    elif isinstance(function, LocalLinear):
        extra, op = {}, parallax if function.slope == "learned" else local_linear_attn
    elif similarity.kernel == "exponential" and not _has_importance(composition):
        return _softmax_solver(composition)
    else:
        extra, op = {}, kernel_attn

    def arguments(a: Associations, c: Constants) -> dict[str, Any]:
        weights = {"bandwidth": c.bandwidth, "g": a.g, "log_importance": a.log_importance}
        taken = {"q": a.q, "k": a.k, "v": a.v, "kernel": similarity.kernel, "window": window, **weights}
        if op is parallax:
            return taken | extra | {"r": a.slope}
        # Where this solver is chosen, the ridge of a head is one number.
        ridge = {} if op is kernel_attn or c.ridge is None else {"ridge": c.ridge[:, 0]}
        return taken | extra | ridge

    degree = function.degree if isinstance(function, LocalPolynomial) else 0
    if op is local_linear_attn:
        degree = 1
    cost = ["T^2 (K + V)", "T^2 K^2 + T K^3", "T^2 K^4 + T K^6"][degree]
    return _cache_solver(op, arguments, cost, window)


def kernel_sum_solver(composition: Composition) -> Solver:
    """One step from zero in a kernel class: values summed by the reproducing kernel."""
    function, window = composition.function_class, composition.window
    assert isinstance(function, KernelRidge)

    def arguments(a: Associations, _: Constants) -> dict[str, Any]:
        kernel = {"kernel": function.kernel, "bandwidth": function.bandwidth, "normalise": False}
        weights = {"g": a.g, "log_importance": a.log_importance, "window": window}
        return {"q": a.q, "k": a.k, "v": a.v, **kernel, **weights}

    return _cache_solver(kernel_attn, arguments, "T^2 (K + V)", window)


def kernel_ridge_solver(composition: Composition) -> Solver:
    """The exact minimiser in a kernel class, with the mean ridge of a head."""
    function = composition.function_class
    assert isinstance(function, KernelRidge)

    def arguments(a: Associations, c: Constants) -> dict[str, Any]:
        assert c.ridge is not None
        kernel = {"kernel": function.kernel, "bandwidth": function.bandwidth, "ridge": c.ridge.mean(-1)}
        return {"q": a.q, "k": a.k, "v": a.v, "g": a.g, "log_importance": a.log_importance, **kernel}

    def initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> State:
        cache = _no_associations(batch_size, sizes, constants, like)
        return KernelRidgeState(cache, like.new_zeros(batch_size, sizes.num_heads))

    return Solver(
        name="ops.kernel_ridge",
        forms=("reference", "recurrent", "parallel"),
        read=reader(kernel_ridge, arguments, scale=None),
        initial_state=initial_state,
        state_size=lambda sizes, length: length * _association_size(sizes) + sizes.num_heads,
        cost="T^3",
    )


def _softmax_solver(composition: Composition) -> Solver:
    """Local constants with the exponential kernel: softmax attention, with a decay or without."""
    window = composition.window
    decays = composition.decay != "none"

    def arguments(a: Associations, c: Constants) -> dict[str, Any]:
        assert c.bandwidth is not None
        decay = {"g": a.g} if decays else {}
        return {"q": a.q / c.bandwidth.unsqueeze(-1), "k": a.k, "v": a.v, "window": window, **decay}

    op = forgetting_attn if decays else softmax_attn
    return _cache_solver(op, arguments, "T^2 (K + V)", window)


def _has_importance(composition: Composition) -> bool:
    return any(isinstance(factor, Importance) for factor in composition.weights.factors)


def _cache_solver(op: Callable[..., Any], arguments: Arguments, cost: str, window: int | None) -> Solver:
    """A solver that keeps all associations, or those in sight of a window."""

    def kept(length: int) -> int:
        return length if window is None else min(length, window - 1)

    return Solver(
        name=f"ops.{op.__name__}",
        forms=CHUNKED,
        read=reader(op, arguments, scale=None),
        initial_state=_no_associations,
        state_size=lambda sizes, length: kept(length) * _association_size(sizes),
        cost=cost if window is None else cost.replace("T^2", f"{window} T"),
    )


def _no_associations(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> State:
    widths = (sizes.key_dim,), (sizes.value_dim,), ()
    return Cache(*(like.new_zeros(batch_size, 0, sizes.num_heads, *width) for width in widths))


def _association_size(sizes: HeadSizes) -> int:
    """Scalars of one association for all heads: key, value and weight."""
    return sizes.num_heads * (sizes.key_dim + sizes.value_dim + 1)
