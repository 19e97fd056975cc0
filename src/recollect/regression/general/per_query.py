"""Online learning anew for each query: for weights that no single chain of updates serves."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import Queries, Values
from recollect.regression.function_classes import (
    LOCAL,
    MLP,
    KernelRidge,
)
from recollect.regression.general.dense_weights import Ages, ages, dense_weights
from recollect.regression.general.descent import Chain, Example, descend
from recollect.regression.general.history import (
    History,
    empty_history,
    extended,
    history_size,
    kept_positions,
    sight,
    truncated,
)
from recollect.regression.general.inner_model import kernel_matrix, network_start
from recollect.regression.general.legal import check_form
from recollect.regression.general.local_fit import degree, local_features
from recollect.regression.general.online import inner_model, sgd_of
from recollect.regression.problem import Associations, Composition, Constants, HeadSizes
from recollect.regression.solver import Solver, State
from recollect.regression.steps import ruled_step


def per_query_loop(composition: Composition) -> Solver:
    r"""The general path of online learning with weights or features that depend on the query.

    For each query t, gradient steps on all associations it may know, the oldest first:

    $$\theta_i = e^{g_i} \theta_{i-1} + u_i, \qquad
    u_i = \mu_i u_{i-1} - \eta_i W_{ti} \nabla \tfrac12 \lVert v_i - m(k_i) \rVert^2$$

    with the weights W but for the decay, which acts on the parameters. All queries run side by side, in
    T sequential steps; what is out of sight (a window, the future) makes none. Local classes descend in
    $(1, k_i - q_t, \dots)$ and answer with the constant. The steps of one position all have its weight. A
    minibatch starts where it does in the sequence, or where the sight of a query does.

    The rule takes the weighted step and the norm of the features: $1 + \lVert k - q \rVert^2 + \dots$ in a
    local class, $\kappa(k, k)$ in a kernel class.

    Args:
        composition: with `Sgd` as its optimizer.

    Example:
        >>> from recollect.regression import Linear, Sgd, Window
        >>> per_query_loop(Composition(Window(size=4), Linear(), Sgd())).cost
        'T^2 K V'
    """
    entries = sgd_of(composition).num_steps

    def initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> History:
        return empty_history(composition, batch_size, sizes, like)

    def read(a: Associations, c: Constants, state: State | None, form: str | None) -> tuple[Values, State]:
        check_form(form, "loop")
        sizes = HeadSizes(a.q.shape[2], a.q.shape[3], a.v.shape[3])
        past = initial_state(a.q.shape[0], sizes, c, a.q) if state is None else state
        history = extended(past, a)
        outputs = _read(composition, a, c, history)
        kept = kept_positions(composition, sight(composition, c))
        return outputs, truncated(history, kept, entries)

    return Solver(
        name="general path: a loop over time for each query",
        forms=("loop",),
        read=read,
        initial_state=initial_state,
        state_size=lambda sizes, length: history_size(composition, sizes, length),
        cost=_cost(composition),
    )


@dataclass(frozen=True)
class Sights:
    """What all queries see of all entries, as far as it is cheap to have at once; time before heads.

    Attributes:
        features: of each entry, `(B, E, H, K)`, or similarities to all entries, `(B, E, H, E)`.
        queries: features that the regressor is read with.
        weights: of each entry for each query, without decays.
        age: of each entry.
    """

    features: Float[Tensor, "B E H F"]
    queries: Float[Tensor, "B T H F"]
    weights: Float[Tensor, "B T H E"]
    age: Ages


def _read(composition: Composition, a: Associations, constants: Constants, history: History) -> Values:
    """One chain for each query, all of them side by side on axis 1."""
    config = sgd_of(composition)
    model = inner_model(composition, a, constants)
    seen = _sights(composition, a, constants, history)
    start = _start(composition, a, constants, history)
    chain = Chain.at(start, momentum=config.momentum != 0, minibatch=config.minibatch > 1)
    examples = _examples(composition, a, constants, history, seen)
    for example, visible in zip(examples, seen.age.visible.unbind(1), strict=True):
        stepped = descend(model, chain, example, undecayed=config.gradient == "undecayed")
        mask = visible[:, None, None, None]
        chain = Chain(*(torch.where(mask, new, old) for new, old in zip(stepped, chain, strict=True)))
    if isinstance(composition.function_class, LOCAL):
        return chain.parameters[..., 0, :]
    return model.predict(chain.parameters, seen.queries)


def _sights(composition: Composition, a: Associations, constants: Constants, history: History) -> Sights:
    age = ages(composition, constants, history, a.q.shape[1])
    weights = dense_weights(composition, constants, a.q, history, age, decays=False).values()
    features, queries = history.keys, a.q
    if isinstance(composition.function_class, KernelRidge):
        keys = history.keys.transpose(1, 2)
        features, queries = (
            kernel_matrix(composition.function_class, x.transpose(1, 2), keys).transpose(1, 2)
            for x in (history.keys, a.q)
        )
    return Sights(features, queries, rearrange(weights, "b h t s -> b t h s"), age)


def _start(
    composition: Composition, a: Associations, constants: Constants, history: History
) -> Float[Tensor, "B T H _ _"]:
    """Parameters of every query before the first association."""
    function_class, lead = composition.function_class, a.q.shape[:3]
    if isinstance(function_class, MLP):
        return network_start(constants).expand(*lead[:2], -1, -1, -1)
    rows = a.q.shape[-1]
    if isinstance(function_class, KernelRidge):
        rows = history.keys.shape[1]
    elif isinstance(function_class, LOCAL):
        rows = local_features(a.q[0, 0, 0], degree(function_class)).shape[-1] + 1
    return a.q.new_zeros(*lead, rows, a.v.shape[-1])


def _examples(
    composition: Composition, a: Associations, constants: Constants, history: History, seen: Sights
) -> Iterator[Example]:
    """The entries of a history, oldest first, as every query sees them."""
    config = sgd_of(composition)
    decays = _columns(history.log_decay, history.log_decay.shape[1])
    shares = _columns(history.momentum, history.log_decay.shape[1])
    starts = _minibatch_starts(composition, constants, history, seen.age)
    columns = (seen.features, history.values, history.step)
    rows = zip(*(x.unbind(1) for x in columns), seen.weights.unbind(-1), strict=True)
    for e, (x, v, step, weight) in enumerate(rows):
        position, is_first = e // config.num_steps, e % config.num_steps == 0
        features, directions, square = _local_view(composition, x, a.q, e)
        step = ruled_step(config.rule, step.unsqueeze(1), weight.unsqueeze(-1), square.unsqueeze(-1))
        yield Example(
            features=features, directions=directions, v=v.unsqueeze(1), step=step,
            log_decay=decays[position] if is_first else None, momentum=shares[position],
            starts=None if starts is None else starts[position] & is_first,
        )  # fmt: skip


def _local_view(
    composition: Composition, x: Float[Tensor, "B H F"], q: Queries, entry: int
) -> tuple[Tensor, Tensor, Float[Tensor, "B _ H"]]:
    """An entry as every query sees it: features, direction of the update, squared norm of the features."""
    x = x.unsqueeze(1)
    if isinstance(composition.function_class, LOCAL):
        offset = x - q
        products = local_features(offset, degree(composition.function_class))
        features = torch.cat([torch.ones_like(offset[..., :1]), products], dim=-1)
        return features, features, features.square().sum(-1)
    if isinstance(composition.function_class, KernelRidge):
        direction = torch.zeros_like(x[0, 0, 0])
        direction[entry] = 1
        return x, direction, x[..., entry]
    return x, x, x.square().sum(-1)


def _minibatch_starts(
    composition: Composition, constants: Constants, history: History, age: Ages
) -> list[Tensor] | None:
    """For each position `(B, T, 1)`, whether a minibatch of a query starts there."""
    config = sgd_of(composition)
    if config.minibatch == 1:
        return None
    length = history.log_decay.shape[1]
    position = history.num_read - length + torch.arange(length, device=history.num_read.device)
    starts = rearrange(position % config.minibatch == 0, "b s -> b 1 1 s")
    seen = sight(composition, constants)
    if seen is not None:
        oldest = age.age[:, :: config.num_steps] == seen - 1
        starts = starts | rearrange(oldest, "t s -> t 1 s")
    return list(starts.unbind(-1))


def _columns(x: Float[Tensor, "B S H _"], length: int) -> list[Tensor | None]:
    """A number of each position as all queries see it, `None` where there is none."""
    return list(x.unsqueeze(2).unbind(1)) if x.shape[-1] else [None] * length


def _cost(composition: Composition) -> str:
    n = sgd_of(composition).num_steps
    steps = "T^2" if n == 1 else f"{n} T^2"
    function_class = composition.function_class
    if isinstance(function_class, KernelRidge):
        return "T^3 V" if n == 1 else f"{n**2} T^3 V"
    if isinstance(function_class, MLP) and function_class.depth == 2:
        return f"{steps} {function_class.expansion} K (K + V)"
    if isinstance(function_class, LOCAL):
        return f"{steps} " + ["V", "K V", "K^2 V"][degree(function_class)]
    return f"{steps} K V"
