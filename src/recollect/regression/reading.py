r"""Associations given straight to the regressor of a layer: what its regression itself recalls, untrained.

$$m_t = \arg\min_{m \in M} \sum_{i \le t} w_i^{(t)} \lVert v_i - m(k_i) \rVert^2, \qquad y_t = m_t(q_t)$$

Keys, queries and values come as they are: projections, short convolution, activation, QK norm, skip, output
norm and gate are left out. What a layer would compute from its input has a natural value instead:

| signal | value |
|---|---|
| gated decay, learned weight decay | none: nothing is forgotten, and what is written is not scaled |
| constant decay, constant weight decay | the layer's own, and its scale of what is written |
| importance | 1 |
| learned step, linear class | the layer's largest, but at most $1 / \lVert \phi(k) \rVert^2$, after which |
| | the association is answered exactly; `normalised` at most 1, `implicit` the largest |
| learned step, other classes | that of an input of zeros, where training starts |
| learned momentum | that of an input of zeros, where training starts |
| several steps a position | each takes the same association |
| learned slope | 0 |
| angles computed from the input | 0; rotary and trained angles are the layer's own |

Features, ridge, bandwidth and the start of a network are the layer's own. Every query is answered after the
association of its position was learned, also by layers that answer before (which then need a bonus of 1 for
the present one). A regressor that is linear in the query is read at scale 1, the regressor itself.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core import NotDefinedError
from recollect.core.shapes import ChannelDecay, HeadDecay, Keys, Queries, StepSizes, Values
from recollect.ops.dispatch import map_state
from recollect.regression.choice import choose
from recollect.regression.function_classes import LOCAL, Linear, LocalConstant
from recollect.regression.gates import FixedDecay, Rate
from recollect.regression.general.history import is_read_before
from recollect.regression.layer import RegressionLayer
from recollect.regression.optimizers import Exact, OneStep, Sgd
from recollect.regression.problem import Associations, Constants, EntryKeys, EntrySteps
from recollect.regression.solver import Solver
from recollect.regression.steps import momentum_share

AskedQueries = Float[Tensor, "B M H K"]
Answers = Float[Tensor, "B M H V"]


def regress(
    layer: RegressionLayer,
    q: Queries,
    k: Keys,
    v: Values,
    *,
    step: float | None = None,
    log_decay: float = 0.0,
) -> Values:
    r"""The layer's own regression of `v` on `k`, read at `q`: position t after associations 0 to t.

    Args:
        layer: any layer whose heads have keys of their own.
        q: queries.
        k: keys, with `K` channels before features.
        v: values.
        step: learned steps of an online optimizer, instead of the natural ones.
        log_decay: of gated decays at each position, at most 0.

    Raises:
        NotDefinedError: the layer makes its keys itself.
        ValueError: heads or channels that are not the layer's.

    Cost: that of the layer's solver.

    Example:
        >>> from recollect.regression import RegressionLayer, Sgd
        >>> layer = RegressionLayer(2, num_heads=1, optimizer=Sgd())
        >>> k = torch.eye(2)[None, :, None]
        >>> regress(layer, k, k, 3 * k)[0, :, 0]
        tensor([[3., 0.],
                [0., 3.]])
    """
    a = associations_of(layer, q, k, v, step=step, log_decay=log_decay)
    constants: Constants = layer.constants(k)
    solver = answering_after(layer)
    empty = solver.initial_state(len(k), layer.sizes, constants, k)
    return _turned_back(layer, solver.read(a, constants, empty, None)[0], start=0)


def recall(
    layer: RegressionLayer,
    k: Keys,
    v: Values,
    queries: AskedQueries,
    *,
    step: float | None = None,
    log_decay: float = 0.0,
) -> Answers:
    r"""Answers to several queries after all associations were read; asking writes nothing.

    All but the last association are read once; then each query reads the last one with a copy of the state.
    So a query stands at the position of the last association, which is what rotations, decays and windows
    see: association `i` of `n` has age `n - 1 - i`.

    Args:
        layer: any layer whose heads have keys of their own.
        k: keys of `T >= 1` associations.
        v: their values.
        queries: `M` queries of each sequence.
        step: learned steps of an online optimizer, instead of the natural ones.
        log_decay: of gated decays at each position, at most 0.

    Raises:
        NotDefinedError: the layer makes its keys itself.
        ValueError: heads or channels that are not the layer's.

    Cost: that of the layer's solver for `T` positions, and of `M` streaming steps.

    Example:
        >>> from recollect.regression import Exact, RegressionLayer
        >>> layer = RegressionLayer(2, num_heads=1, optimizer=Exact(ridge=1e-9)).double()
        >>> k = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).double()[None, :, None]
        >>> recall(layer, k, k, k[:, :1])[0, :, 0].round(decimals=6)
        tensor([[1., 0.]], dtype=torch.float64)
    """
    count, last = queries.shape[1], k.shape[1] - 1
    signals = {"step": step, "log_decay": log_decay}
    constants: Constants = layer.constants(k)
    solver = answering_after(layer)
    state = solver.initial_state(len(k), layer.sizes, constants, k)
    if last > 0:
        past = associations_of(layer, k[:, :-1], k[:, :-1], v[:, :-1], **signals)
        _, state = _writer(layer, solver).read(past, constants, state, None)
    asked = queries.flatten(0, 1).unsqueeze(1)
    k_last, v_last = (x[:, -1:].repeat_interleave(count, dim=0) for x in (k, v))
    present = associations_of(layer, asked, k_last, v_last, start=last, **signals)
    copies = map_state(lambda x: x.repeat_interleave(count, dim=0), state)
    answers, _ = solver.read(present, constants, copies, None)
    return _turned_back(layer, answers, start=last).squeeze(1).unflatten(0, (len(k), count))


def associations_of(
    layer: RegressionLayer,
    q: Queries,
    k: Keys,
    v: Values,
    *,
    start: int = 0,
    step: float | None = None,
    log_decay: float = 0.0,
) -> Associations:
    """The regression that these queries, keys and values pose to a layer, with the natural signals.

    Args:
        layer: any layer whose heads have keys of their own.
        q: queries.
        k: keys.
        v: values.
        start: position of the first association.
        step: learned steps of an online optimizer, instead of the natural ones.
        log_decay: of gated decays at each position, at most 0.

    Raises:
        NotDefinedError: the layer makes its keys itself.
        ValueError: heads or channels that are not the layer's.

    Example:
        >>> from recollect.regression import CATALOG
        >>> k = torch.ones(1, 3, 1, 2)
        >>> associations_of(CATALOG["retnet"](2, num_heads=1, value_dim=2), k, k, k).g.flatten().exp()
        tensor([0.9688, 0.9688, 0.9688])
    """
    _check(layer, q, k, v)
    positions = torch.arange(start, start + k.shape[1], device=k.device)
    g, key_factor = _decay(layer, k, log_decay)
    q, k, v = _turned(layer, q, k, v, start)
    q = layer.features(q, positions, "query") * _query_scale(layer)
    k = layer.features(k, positions, "key")
    if key_factor is not None:
        k = k * key_factor
    momentum = _momentum(layer, k)
    k, v = (x.repeat_interleave(layer.num_steps, dim=1) for x in (k, v))
    return Associations(
        q=q, k=k, v=v, g=g,
        log_importance=torch.zeros_like(q[..., 0]) if len(layer.signals.importances) else None,
        step=_step(layer, k, momentum, step), momentum=momentum,
        slope=None if layer.signals.slope is None else torch.zeros_like(q),
    )  # fmt: skip


def natural_key_norm(layer: RegressionLayer) -> float:
    r"""The norm that a layer's keys and queries have as a matter of course: 1 or $\sqrt K$.

    It is 1 with QK norm, and where the norm is nothing but a factor of the answers: in a linear class
    without features, one step, no normaliser. Elsewhere channels have mean square 1, as those of projected
    inputs have: similarities such as $e^{q^\top k / \sqrt K}$ tell keys of norm 1 hardly apart.

    Example:
        >>> from recollect.regression import CATALOG
        >>> [natural_key_norm(CATALOG[name](4, num_heads=1)) for name in ("deltanet", "softmax_attention")]
        [1.0, 2.0]
    """
    function, optimizer = layer.composition.function_class, layer.composition.optimizer
    plain = isinstance(function, Linear) and function.features == "none"
    if layer.qk_norm or (plain and isinstance(optimizer, OneStep) and optimizer.normalise == "none"):
        return 1.0
    return layer.projections.sizes.key_dim**0.5


def answering_after(layer: RegressionLayer) -> Solver:
    """What solves a layer's regression, answering each query after the association of its position."""
    composition = layer.composition
    if not is_read_before(composition):
        return layer.solver
    bonus = {"bonus": False} if isinstance(composition.optimizer, OneStep) else {}
    after = composition.optimizer.model_copy(update={"retrieve": "after"} | bonus)
    return choose(replace(composition, optimizer=after), layer.sizes)


def _writer(layer: RegressionLayer, solver: Solver) -> Solver:
    """A solver that carries the same, where answers while reading would cost more than they need to.

    A fit around the query changes nothing in the associations that are kept for it: means will do.
    """
    composition = layer.composition
    if not isinstance(composition.function_class, LOCAL) or not solver.name.startswith("ops."):
        return solver
    return choose(replace(composition, function_class=LocalConstant(), optimizer=Exact()), layer.sizes)


def check_keys(layer: RegressionLayer) -> None:
    """Raise `NotDefinedError` for a layer that makes its keys itself."""
    made = {
        "ones": "its keys are constant: a diagonal recurrence",
        "decay": "its keys are what its decays let go",
    }
    if layer.projections.keys in made:
        raise NotDefinedError(
            f"{layer.title or 'this layer'} cannot be given associations: {made[layer.projections.keys]}."
        )


def _check(layer: RegressionLayer, q: Queries, k: Keys, v: Values) -> None:
    check_keys(layer)
    sizes = layer.projections.sizes
    for name, x, channels in (("q", q, sizes.key_dim), ("k", k, sizes.key_dim), ("v", v, sizes.value_dim)):
        if x.shape[2:] != (sizes.num_heads, channels):
            raise ValueError(
                f"{name}: expected (B, T, {sizes.num_heads}, {channels}), the layer's heads and channels, "
                f"got {tuple(x.shape)}. Build the layer with the num_heads, key_dim and value_dim of these."
            )


def _turned(
    layer: RegressionLayer, q: Queries, k: Keys, v: Values, start: int
) -> tuple[Queries, Keys, Values]:
    rotation = layer.rotation
    if rotation is None or rotation.angle is None:
        return q, k, v
    before = _angle(layer, k, start)
    # Constant angles look at the shape of the input alone.
    if layer.turns_values:
        return q, k, rotation.values(v[:, :, 0], v, before)[0]
    q, k, _ = rotation(k[:, :, 0], q, k, before)
    return q, k, v


def _turned_back(layer: RegressionLayer, values: Values, start: int) -> Values:
    """Answers of values that turned."""
    if layer.rotation is None or layer.rotation.angle is None or not layer.turns_values:
        return values
    return layer.rotation.forwards(values[:, :, 0], values, _angle(layer, values, start))


def _angle(layer: RegressionLayer, like: Tensor, start: int) -> Tensor:
    assert layer.rotation is not None
    assert layer.rotation.angle is not None
    return layer.rotation.initial_state(len(like), like) + start * layer.rotation.angle.double()


def _query_scale(layer: RegressionLayer) -> float:
    """Only a bounded normaliser is not linear in the query."""
    optimizer = layer.composition.optimizer
    is_bounded = isinstance(optimizer, OneStep) and optimizer.normalise == "bounded"
    return layer.scale if is_bounded else 1.0


def _decay(
    layer: RegressionLayer, k: Keys, log_decay: float
) -> tuple[HeadDecay | ChannelDecay | None, Tensor | None]:
    """The log-decay of all gates, and the factor of keys of a constant one."""
    composition, signals = layer.composition, layer.signals
    if not composition.parameters_decay:
        return None, None
    heads, channels = layer.sizes.num_heads, layer.sizes.key_dim
    width = (channels,) if composition.decay == "channel" else ()
    g, factor = k.new_zeros(*k.shape[:2], heads, *width), None
    for gate in signals.decays:
        if isinstance(gate, FixedDecay):
            own, scale = gate(k[:, :, 0])
            g = g + (own if own.ndim == g.ndim else own[..., None])
            factor = factor if scale is None else scale
        else:
            g = g + log_decay
    rate = signals.weight_decay
    if rate is not None and not rate.is_learned:
        kept = rate.log_rest(k[:, :, 0])
        g = g + (kept if kept.ndim == g.ndim else kept[..., None])
    return g, factor


def _step(
    layer: RegressionLayer, k: EntryKeys, momentum: StepSizes | None, given: float | None
) -> EntrySteps | None:
    """Step sizes before the rule of the optimizer."""
    rate, optimizer = layer.signals.step, layer.composition.optimizer
    if rate is None or not isinstance(optimizer, Sgd):
        return None
    if not rate.is_learned:
        return torch.full_like(k[..., 0], rate.constant or 0.0)
    if given is not None:
        return torch.full_like(k[..., 0], given)
    function = layer.composition.function_class
    if not isinstance(function, Linear):
        start = _at_zeros(rate, k).unflatten(-1, (-1, k.shape[2]))[:, :, 0]
        return start * momentum_share(function, _per_entry(momentum, k))
    largest = rate.largest * momentum_share(function, _per_entry(momentum, k))
    steps = largest * torch.ones_like(k[..., 0])
    if optimizer.rule == "implicit":
        return steps
    if optimizer.rule == "normalised":
        return steps.clamp(max=1.0)
    return torch.minimum(steps, 1 / k.square().sum(-1).clamp(min=torch.finfo(k.dtype).tiny))


def _momentum(layer: RegressionLayer, k: Keys) -> StepSizes | None:
    rate = layer.signals.momentum
    return None if rate is None else _at_zeros(rate, k)


def _at_zeros(rate: Rate, k: Keys) -> Float[Tensor, "B T width"]:
    """What a rate is for an input of zeros."""
    channels = 1 if rate.map is None else rate.map.in_features
    return rate(k.new_zeros(*k.shape[:2], channels))


def _per_entry(momentum: StepSizes | None, k: EntryKeys) -> EntrySteps | None:
    """A number of each position for each of its entries."""
    return None if momentum is None else momentum.repeat_interleave(k.shape[1] // momentum.shape[1], dim=1)
