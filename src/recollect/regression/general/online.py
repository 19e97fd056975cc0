"""Online learning as a loop over time: for weights that one chain of updates serves."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from recollect.core.shapes import Keys, Values
from recollect.regression.function_classes import MLP, KernelRidge
from recollect.regression.general.descent import Chain, Example, descend
from recollect.regression.general.inner_model import (
    LINEAR,
    InnerModel,
    kernel_matrix,
    network,
    network_size,
    network_start,
)
from recollect.regression.general.legal import check_form
from recollect.regression.optimizers import Sgd
from recollect.regression.problem import Associations, Composition, Constants, HeadSizes
from recollect.regression.solver import Solver, State
from recollect.regression.steps import entry_weight, ruled_step


class OnlineState(NamedTuple):
    """What online learning carries from one position to the next.

    Attributes:
        chain: parameters, last update and start of the minibatch; those of a kernel class have a row for each
            association.
        keys: `(B, S, H, K)`, the associations of a kernel class, else none.
        num_read: `(B, 1)` positions read where there are minibatches, else `(B, 0)`.
    """

    chain: Chain
    keys: Keys
    num_read: Int64[Tensor, "_ _"]


def online_loop(composition: Composition) -> Solver:
    r"""The general path of online learning: gradient steps on one association after the other.

    $$\theta_t = e^{g_t} \theta_{t-1} + u_t, \qquad
    u_t = \mu_t u_{t-1} - \eta_t e^{b_t} \nabla \tfrac12 \lVert v_t - m(k_t) \rVert^2$$

    For `Sgd` in a class with parameters (linear, network) or a kernel class, with weights that multiply; the
    gradient is taken at the decayed parameters, or where the minibatch started (at its decayed start). One
    chain over time, T sequential steps; the outer gradient goes through them. A kernel class keeps its
    associations, all others a state of constant size.

    The rule takes the weighted step and the norm of the features: for a kernel, $\kappa(k, k)$.

    Args:
        composition: with `Sgd` as its optimizer.

    Example:
        >>> from recollect.regression import Linear, Sgd, Uniform
        >>> online_loop(Composition(Uniform(), Linear(), Sgd(minibatch=2))).cost
        'T K V'
    """
    config = sgd_of(composition)

    def initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> OnlineState:
        start = _start(composition, sizes, constants, like).expand(batch_size, -1, -1, -1)
        held = sizes.key_dim if _is_kernel(composition) else 0
        return OnlineState(
            chain=Chain.at(start, momentum=config.momentum != 0, minibatch=config.minibatch > 1),
            keys=like.new_zeros(batch_size, 0, sizes.num_heads, held),
            num_read=like.new_zeros((batch_size, int(config.minibatch > 1)), dtype=torch.int64),
        )

    def read(a: Associations, c: Constants, state: State | None, form: str | None) -> tuple[Values, State]:
        check_form(form, "loop")
        if state is None:
            sizes = HeadSizes(a.q.shape[2], a.q.shape[3], a.v.shape[3])
            state = initial_state(a.q.shape[0], sizes, c, a.q)
        return _read(composition, a, c, state)

    def state_size(sizes: HeadSizes, length: int) -> int:
        associations = length * config.num_steps if _is_kernel(composition) else 0
        copies = 1 + int(config.momentum != 0) + int(config.minibatch > 1)
        parameters = associations * sizes.value_dim + _num_parameters(composition, sizes)
        per_head = copies * parameters + associations * sizes.key_dim
        return sizes.num_heads * per_head + int(config.minibatch > 1)

    return Solver(
        name="general path: a loop over time",
        forms=("loop",),
        read=read,
        initial_state=initial_state,
        state_size=state_size,
        cost=_cost(composition),
    )


def sgd_of(composition: Composition) -> Sgd:
    """The optimizer of an online solver."""
    assert isinstance(composition.optimizer, Sgd)
    return composition.optimizer


def inner_model(composition: Composition, a: Associations, constants: Constants) -> InnerModel:
    """The model whose parameters are learned."""
    if isinstance(composition.function_class, MLP):
        return network(composition.function_class, a.k.shape[-1], a.v.shape[-1], constants)
    return LINEAR


def _read(
    composition: Composition, a: Associations, constants: Constants, state: OnlineState
) -> tuple[Values, OnlineState]:
    """The loop; views are taken once, as a slice inside it makes its gradient quadratic in T."""
    config = sgd_of(composition)
    model = inner_model(composition, a, constants)
    chain, keys = state.chain, state.keys
    if _is_kernel(composition):
        keys = torch.cat([keys, a.k], dim=1)
        chain = _with_room(chain, a.k.shape[1], config)
    queries, features, directions, square = _features(composition, a, keys)
    examples = _examples(composition, a, state, features, directions, square)
    outputs = []
    for q_t in queries.unbind(1):
        earlier = chain
        for _ in range(config.num_steps):
            chain = descend(model, chain, next(examples), undecayed=config.gradient == "undecayed")
        read = earlier if config.retrieve == "before" else chain
        outputs.append(model.predict(read.parameters, q_t))
    num_read = state.num_read + a.q.shape[1]
    return torch.stack(outputs, dim=1), OnlineState(chain, keys, num_read)


def _features(
    composition: Composition, a: Associations, keys: Keys
) -> tuple[Tensor, Tensor, Tensor, Float[Tensor, "B E H"]]:
    """Features of queries and of keys, directions of the updates, and squared norms of the features.

    A sum of kernels has a parameter for each association: it is predicted from the similarities to all of
    them, of which those to come have parameters of 0, and moves along the present one.
    """
    function_class = composition.function_class
    if not isinstance(function_class, KernelRidge):
        return a.q, a.k, a.k, a.k.square().sum(-1)
    queries, features = (
        kernel_matrix(function_class, x.transpose(1, 2), keys.transpose(1, 2)).transpose(1, 2)
        for x in (a.q, a.k)
    )
    new = torch.eye(keys.shape[1], dtype=a.k.dtype, device=a.k.device)[-a.k.shape[1] :]
    square = torch.einsum("behs,es->beh", features, new)
    return queries, features, new.expand(len(a.k), 1, -1, -1).transpose(1, 2), square


def _examples(
    composition: Composition,
    a: Associations,
    state: OnlineState,
    features: Tensor,
    directions: Tensor,
    square: Float[Tensor, "B E H"],
) -> Iterator[Example]:
    """The associations, in the order in which they are learned."""
    config = sgd_of(composition)
    assert a.step is not None
    step = ruled_step(config.rule, a.step, entry_weight(a), square)
    decays, shares = (_per_position(x, a.q.shape[1]) for x in (a.g, a.momentum))
    columns = (features, directions, a.v, step.unsqueeze(-1))
    for e, (x, direction, v, size) in enumerate(zip(*(c.unbind(1) for c in columns), strict=True)):
        t, is_first = e // config.num_steps, e % config.num_steps == 0
        starts = ((state.num_read + t) % config.minibatch == 0) & is_first if config.minibatch > 1 else None
        yield Example(
            features=x, directions=direction, v=v, step=size,
            log_decay=decays[t] if is_first else None, momentum=shares[t], starts=starts,
        )  # fmt: skip


def _per_position(x: Tensor | None, length: int) -> list[Tensor | None]:
    if x is None:
        return [None] * length
    return list((x if x.ndim == 4 else x.unsqueeze(-1)).unbind(1))


def _start(
    composition: Composition, sizes: HeadSizes, constants: Constants, like: Tensor
) -> Float[Tensor, "1 H _ _"]:
    """Parameters before the first association; a sum of kernels has none yet."""
    if isinstance(composition.function_class, MLP):
        return network_start(constants).unsqueeze(0)
    rows = 0 if _is_kernel(composition) else sizes.key_dim
    return like.new_zeros(1, sizes.num_heads, rows, sizes.value_dim)


def _num_parameters(composition: Composition, sizes: HeadSizes) -> int:
    """Parameters of a head whose number does not grow."""
    if isinstance(composition.function_class, MLP):
        return network_size(composition.function_class, sizes.key_dim, sizes.value_dim)
    return 0 if _is_kernel(composition) else sizes.key_dim * sizes.value_dim


def _is_kernel(composition: Composition) -> bool:
    return isinstance(composition.function_class, KernelRidge)


def _with_room(chain: Chain, count: int, config: Sgd) -> Chain:
    """A chain of a sum of kernels with parameters of 0 for associations to come."""

    def padded(x: Tensor) -> Tensor:
        return torch.nn.functional.pad(x, (0, 0, 0, count))

    return Chain(
        padded(chain.parameters),
        padded(chain.update) if config.momentum != 0 else chain.update,
        padded(chain.anchor) if config.minibatch > 1 else chain.anchor,
    )


def _cost(composition: Composition) -> str:
    n = sgd_of(composition).num_steps
    steps = "T" if n == 1 else f"{n} T"
    if _is_kernel(composition):
        return "T^2 (K + V)" if n == 1 else f"{n**2} T^2 (K + V)"
    if isinstance(composition.function_class, MLP) and composition.function_class.depth == 2:
        return f"{steps} {composition.function_class.expansion} K (K + V)"
    return f"{steps} K V"
