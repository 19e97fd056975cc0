"""Networks that learn while they read: the ops of test-time training and Titans as solvers."""

from typing import Any

import torch
from torch import Tensor

from recollect.ops import titans, ttt_linear, ttt_mlp
from recollect.ops.fast_weights import FastLinear, FastMLP, fresh_learner
from recollect.regression.function_classes import MLP
from recollect.regression.op_solvers import reader, weighted_step
from recollect.regression.optimizers import Sgd
from recollect.regression.problem import Associations, Composition, Constants, HeadSizes
from recollect.regression.solver import Solver, State


def network_solver(composition: Composition) -> Solver:
    """Gradient steps of a network, a minibatch at a time; with momentum or decay two layers."""
    function, optimizer = composition.function_class, composition.optimizer
    assert isinstance(function, MLP)
    assert isinstance(optimizer, Sgd)
    moves = optimizer.momentum != 0 or composition.parameters_decay
    op: Any = titans if moves else (ttt_linear if function.depth == 1 else ttt_mlp)
    names = ("w1", "b1", "w2", "b2")[: 2 * function.depth]

    def arguments(a: Associations, c: Constants) -> dict[str, Any]:
        assert c.start is not None
        gain, bias = (None, None) if c.norm is None else c.norm
        taken = {"q": a.q, "k": a.k, "v": a.v, "eta": weighted_step(a), "ln_weight": gain, "ln_bias": bias}
        settings = {
            "minibatch_size": optimizer.minibatch,
            "layer_norm": function.layer_norm,
            "residual": function.residual,
        }
        start = dict(zip(names, c.start, strict=True))
        if not moves:
            return taken | start | settings
        none = torch.zeros_like(a.q[..., 0])
        moving = {"g": none if a.g is None else a.g, "momentum": none if a.momentum is None else a.momentum}
        return taken | start | settings | moving

    def initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> State:
        assert constants.start is not None
        start = (FastLinear if function.depth == 1 else FastMLP)(*constants.start)
        return fresh_learner(start, batch_size, has_momentum=moves)

    def state_size(sizes: HeadSizes, length: int) -> int:
        copies = 3 if moves else 2
        return copies * sizes.num_heads * _num_parameters(function, sizes) + 1

    return Solver(
        name=f"ops.{op.__name__}",
        forms=("reference", "recurrent", "chunkwise"),
        read=reader(op, arguments),
        initial_state=initial_state,
        state_size=state_size,
        cost="T K V" if function.depth == 1 else f"T {function.expansion} K (K + V)",
    )


def _num_parameters(function: MLP, sizes: HeadSizes) -> int:
    K, V = sizes.key_dim, sizes.value_dim
    hidden = function.expansion * K
    return (K + 1) * V if function.depth == 1 else (K + 1) * hidden + (hidden + 1) * V
