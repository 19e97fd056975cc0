"""Regressions with every part that a composition needs, and what solves them by the general path."""

import torch
from torch import Tensor

from recollect.regression import (
    MLP,
    Exact,
    Importance,
    LocalConstant,
    LocalLinear,
    LocalPolynomial,
    Sgd,
)
from recollect.regression.general import direct, online_loop, per_query_loop
from recollect.regression.memory_weights import memory_weights
from recollect.regression.problem import Associations, Composition, Constants

B, H, K, V = 2, 3, 5, 4
LOCAL = (LocalConstant, LocalLinear, LocalPolynomial)


def composed(weights, function_class, optimizer):
    return Composition(weights, function_class, optimizer)


def normal(rng, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=rng)


def rate(rng, *shape):
    return 0.1 + 0.8 * torch.rand(*shape, dtype=torch.float64, generator=rng)


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def posed(composition, rng, length, sizes=(B, H, K, V)):
    """Associations and constants with every part that a composition needs, and no other."""
    b, h, k, v = sizes
    optimizer = composition.optimizer
    online = optimizer if isinstance(optimizer, Sgd) else None
    n = 1 if online is None else online.num_steps
    g = -0.5 * rate(rng, b, length, h, k) if composition.decay == "channel" else None
    if composition.decay == "head" or (g is None and online is not None and online.weight_decay != 0):
        g = -0.5 * rate(rng, b, length, h)
    is_important = any(isinstance(factor, Importance) for factor in composition.weights.factors)
    has_slope = getattr(composition.function_class, "slope", "") == "learned"
    associations = Associations(
        q=unit(normal(rng, b, length, h, k)),
        k=unit(normal(rng, b, length * n, h, k)),
        v=normal(rng, b, length * n, h, v),
        g=g,
        log_importance=normal(rng, b, length, h) if is_important else None,
        step=None if online is None else rate(rng, b, length * n, h),
        momentum=rate(rng, b, length, h) if online is not None and online.momentum != 0 else None,
        slope=normal(rng, b, length, h, k) if has_slope else None,
    )
    return associations, constants_of(composition, rng, h, k, v)


def constants_of(composition, rng, h, k, v):
    network, start = composition.function_class, None
    if isinstance(network, MLP):
        hidden = network.expansion * k
        shapes = [(h, k, v), (h, v)]
        if network.depth == 2:
            shapes = [(h, k, hidden), (h, hidden), (h, hidden, v), (h, v)]
        start = tuple(0.5 * normal(rng, *shape) for shape in shapes)
    memory = None if composition.memory is None else memory_weights(composition.memory)
    fitted = None if memory is None else memory.sum
    optimizer = composition.optimizer
    return Constants(
        ridge=optimizer.ridge * rate(rng, h, k) if isinstance(optimizer, Exact) else None,
        bandwidth=None if composition.similarity is None else composition.similarity.bandwidth + rate(rng, h),
        poles=None if fitted is None else fitted.poles,
        residues=None if fitted is None else fitted.residues,
        taps=memory.taps if memory is not None and fitted is None else None,
        start=start,
        norm=(1 + 0.1 * normal(rng, h, v), normal(rng, h, v))
        if getattr(network, "layer_norm", False)
        else None,
        bonus=rate(rng, h, k) if getattr(optimizer, "bonus", False) else None,
    )


def solver_of(composition):
    if not isinstance(composition.optimizer, Sgd):
        return direct(composition)
    shared = composition.is_multiplicative and not isinstance(composition.function_class, LOCAL)
    return online_loop(composition) if shared else per_query_loop(composition)


def tensors_in(x):
    if isinstance(x, Tensor):
        return [x]
    return [] if x is None else [tensor for part in x for tensor in tensors_in(part)]


def cut(a, start, stop, n=1):
    """Positions `start .. stop - 1`, with `n` entries each of what has several."""
    pieces = {
        name: None
        if x is None
        else x[:, start * n : stop * n]
        if name in ("k", "v", "step")
        else x[:, start:stop]
        for name, x in a._asdict().items()
    }
    return Associations(**pieces)


def named(composition):
    optimizer = composition.optimizer.model_dump(exclude_defaults=True)
    function = composition.function_class.model_dump(exclude_defaults=True)
    kinds = composition.optimizer.kind, composition.function_class.kind
    return f"{composition.weights.equation} {kinds[1]} {function} {kinds[0]} {optimizer}"
