"""The ops as solvers: which arguments each takes from a layer, what it carries and costs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recollect.ops import (
    delta_rule,
    gated_delta_product,
    gated_delta_rule,
    gla,
    kda,
    linear_attn,
    memory_attn,
    mesa,
    momentum_delta_rule,
    rls,
    simple_gla,
)
from recollect.ops.least_squares import LeastSquaresState
from recollect.ops.memory_attn import MemoryState
from recollect.ops.momentum_delta_rule import MomentumState
from recollect.regression.memory_weights import memory_weights
from recollect.regression.optimizers import Exact, Sgd
from recollect.regression.problem import Associations, Composition, Constants, HeadSizes
from recollect.regression.solver import Solver, State
from recollect.regression.steps import entry_weight, ruled_step

Arguments = Callable[[Associations, Constants], dict[str, Any]]

CHUNKED = ("reference", "recurrent", "parallel", "chunkwise")


def linear_solver(composition: Composition) -> Solver:
    """One step from zero in a linear class: a sum of outer products that decays."""
    op = {"none": linear_attn, "head": simple_gla, "channel": gla}[composition.decay]

    def arguments(a: Associations, _: Constants) -> dict[str, Any]:
        decay = {} if a.g is None else {"g": a.g}
        return {"q": a.q, "k": weighted(a.k, a.log_importance), "v": a.v, **decay}

    return _matrix_solver(op, arguments, "T (C + K) V")


def delta_solver(composition: Composition) -> Solver:
    """Steps of gradient descent in a linear class: delta rules."""
    assert isinstance(composition.optimizer, Sgd)
    num_steps, rule = composition.optimizer.num_steps, composition.optimizer.rule
    op: Callable[..., Any] = {"none": delta_rule, "head": gated_delta_rule, "channel": kda}[composition.decay]
    if composition.optimizer.weight_decay != 0 and composition.decay == "none":
        op = gated_delta_rule
    if num_steps > 1:
        op = gated_delta_product

    def arguments(a: Associations, _: Constants) -> dict[str, Any]:
        taken = {"q": a.q, "k": a.k, "v": a.v, "beta": weighted_step(a, rule)}
        if op is delta_rule:
            return taken
        if op is gated_delta_product:
            g = a.q.new_zeros(a.q.shape[:3]) if a.g is None else a.g
            return taken | {"g": g, "num_steps": num_steps}
        return taken | {"g": a.g}

    return _matrix_solver(op, arguments, "T (C + K) V" if num_steps == 1 else f"{num_steps} T (C + K) V")


def momentum_solver(composition: Composition) -> Solver:
    """Gradient descent with momentum in a linear class."""
    assert isinstance(composition.optimizer, Sgd)
    rule = composition.optimizer.rule

    def arguments(a: Associations, _: Constants) -> dict[str, Any]:
        g = a.q.new_zeros(a.q.shape[:3]) if a.g is None else a.g
        return {"q": a.q, "k": a.k, "v": a.v, "g": g, "beta": weighted_step(a, rule), "momentum": a.momentum}

    def initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> State:
        zero = like.new_zeros(batch_size, sizes.num_heads, sizes.key_dim, sizes.value_dim)
        return MomentumState(zero, zero)

    return Solver(
        name="ops.momentum_delta_rule",
        forms=("reference", "recurrent", "chunkwise"),
        read=reader(momentum_delta_rule, arguments),
        initial_state=initial_state,
        state_size=lambda sizes, length: 2 * matrix_size(sizes),
        cost="T (C + K) V",
    )


def least_squares_solver(composition: Composition) -> Solver:
    """The exact minimiser in a linear class."""
    assert isinstance(composition.optimizer, Exact)
    fixed = composition.optimizer.prior == "fixed"

    def arguments(a: Associations, c: Constants) -> dict[str, Any]:
        g = a.q.new_zeros(a.q.shape[:3]) if a.g is None else a.g
        taken = {"q": a.q, "k": a.k, "v": a.v, "g": g, "ridge": c.ridge}
        importance = None if a.log_importance is None else a.log_importance.exp()
        if not fixed:
            return taken | {"importance": importance}
        return taken | {"beta": torch.ones_like(g) if importance is None else importance}

    def initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> State:
        H, K, V = sizes.num_heads, sizes.key_dim, sizes.value_dim
        assert constants.ridge is not None
        prior = like.new_zeros(H, K, K) if fixed else torch.diag_embed(constants.ridge)
        return LeastSquaresState(prior.expand(batch_size, H, K, K), like.new_zeros(batch_size, H, K, V))

    return Solver(
        name="ops.mesa" if fixed else "ops.rls",
        forms=("reference", "recurrent", "chunkwise"),
        read=reader(mesa if fixed else rls, arguments),
        initial_state=initial_state,
        state_size=lambda sizes, length: matrix_size(sizes) + sizes.num_heads * sizes.key_dim**2,
        cost="iterations T K (C + K)" if fixed else "T (C^2 + C K + K^2 + K^3 / C)",
    )


def memory_solver(composition: Composition) -> Solver:
    """One step from zero with a memory function or a window as weights: exponentials, or values by age."""
    memory = None if composition.memory is None else memory_weights(composition.memory)
    found = None if memory is None else memory.sum
    poles = 0 if found is None else len(found.poles)
    num_taps = composition.window or 0 if memory is None else len(memory.taps)
    kept = num_taps - 1 if found is None else 0

    def arguments(a: Associations, c: Constants) -> dict[str, Any]:
        heads, none = a.q.shape[2], a.q.new_zeros(0)
        ends = found is None
        taps = a.q.new_ones(kept + 1) if c.taps is None else c.taps
        return {
            "q": a.q,
            "k": weighted(a.k, a.log_importance),
            "v": a.v,
            "poles": (none if c.poles is None else c.poles).expand(heads, -1),
            "residues": (none if c.residues is None else c.residues).expand(heads, -1),
            "taps": taps.expand(heads, -1) if ends else None,
        }

    def initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> State:
        H, K, V = sizes.num_heads, sizes.key_dim, sizes.value_dim
        dtype = like.dtype if constants.poles is None else constants.poles.dtype
        return MemoryState(
            like.new_zeros(batch_size, H, poles, K, V, dtype=dtype),
            like.new_zeros(batch_size, kept, H, K),
            like.new_zeros(batch_size, kept, H, V),
        )

    return Solver(
        name="ops.memory_attn",
        forms=CHUNKED,
        read=reader(memory_attn, arguments),
        initial_state=initial_state,
        # Poles are complex numbers here, two scalars each.
        state_size=lambda sizes, length: (
            2 * poles * matrix_size(sizes) + kept * sizes.num_heads * (sizes.key_dim + sizes.value_dim)
        ),
        cost=f"T (C (K + V) + {2 * poles} K V)" if poles else f"T (C + {kept + 1}) (K + V)",
    )


def weighted(k: Tensor, log_importance: Tensor | None) -> Tensor:
    """Keys times the importance of their association, which a linear class writes once."""
    return k if log_importance is None else k * log_importance.exp()[..., None]


def weighted_step(a: Associations, rule: str = "explicit") -> Tensor:
    """The step on a weighted loss after its rule, in the keys themselves."""
    assert a.step is not None
    return ruled_step(rule, a.step, entry_weight(a), a.k.square().sum(-1))


def matrix_size(sizes: HeadSizes) -> int:
    """Scalars of one linear map for each head."""
    return sizes.num_heads * sizes.key_dim * sizes.value_dim


def reader(op: Callable[..., Any], arguments: Arguments, scale: float | None = 1.0) -> Any:
    """An op as `Solver.read`; `scale` is its factor of the queries."""

    def read(a: Associations, c: Constants, state: State | None, form: str | None) -> tuple[Tensor, State]:
        chosen = {} if form is None else {"form": form}
        return op(**arguments(a, c), scale=scale, initial_state=state, output_final_state=True, **chosen)

    return read


def _matrix_solver(op: Callable[..., Any], arguments: Arguments, cost: str) -> Solver:
    """A solver whose state is one matrix a head, zero at first."""

    def initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> State:
        return like.new_zeros(batch_size, sizes.num_heads, sizes.key_dim, sizes.value_dim)

    return Solver(
        name=f"ops.{op.__name__}",
        forms=CHUNKED,
        read=reader(op, arguments),
        initial_state=initial_state,
        state_size=lambda sizes, length: matrix_size(sizes),
        cost=cost,
    )
