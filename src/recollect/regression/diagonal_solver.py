"""Heads of a single channel as scans: no state of theirs meets another."""

from torch import Tensor

from recollect.core.shapes import Values
from recollect.ops import diagonal_scan
from recollect.regression.op_solvers import matrix_size, weighted
from recollect.regression.problem import Associations, Constants, HeadSizes
from recollect.regression.solver import Solver, State


def diagonal_solver() -> Solver:
    """One step from zero with decaying weights in a linear class, for one key channel or one value channel.

    What is written at a position, `k v^T`, then has no more numbers than the longer of the two, and a scan
    over all of them costs less than products of matrices with one row.
    """
    return Solver(
        name="ops.diagonal_scan",
        forms=("reference", "recurrent", "chunkwise"),
        read=_read,
        initial_state=_initial_state,
        state_size=lambda sizes, length: matrix_size(sizes),
        cost="T K V",
    )


def _read(a: Associations, _: Constants, state: State | None, form: str | None) -> tuple[Values, State]:
    assert a.g is not None
    decay = a.g[..., None, None] if a.g.ndim == 3 else a.g[..., None]
    written = weighted(a.k, a.log_importance)[..., None] * a.v[..., None, :]
    states, last = diagonal_scan(
        decay.exp(), written, initial_state=state, output_final_state=True, form=form or "chunkwise"
    )
    # As a product of matrices this would be one for each position, of a single row or column each.
    return (a.q[..., None] * states).sum(-2), last


def _initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> State:
    return like.new_zeros(batch_size, sizes.num_heads, sizes.key_dim, sizes.value_dim)
