"""Ops as they are often written: a Python loop over time that slices `x[:, t]`.

Each slice's backward writes a zero tensor of the size of the whole input, so the backward pass is quadratic
in the length. Arguments have the names, order and meaning of `recollect.ops`, with its default settings;
states start from zero.
"""

import torch
from torch import Tensor


def _outer(k_t: Tensor, v_t: Tensor) -> Tensor:
    return torch.einsum("bhk,bhv->bhkv", k_t, v_t)


def _read(state: Tensor, q_t: Tensor) -> Tensor:
    return torch.einsum("bhkv,bhk->bhv", state, q_t)


def _empty(k: Tensor, v: Tensor) -> Tensor:
    return k.new_zeros(k.shape[0], k.shape[2], k.shape[3], v.shape[3])


def linear_attn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`S = S + k v^T`."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v), []
    for t in range(q.shape[1]):
        state = state + _outer(k[:, t], v[:, t])
        outputs.append(_read(state, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def retention(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor) -> Tensor:
    """`S = gamma S + k v^T`."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v), []
    for t in range(q.shape[1]):
        state = log_decay.exp()[:, None, None] * state + _outer(k[:, t], v[:, t])
        outputs.append(_read(state, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def simple_gla(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """`S = e^g S + k v^T`, a decay for each head."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v), []
    for t in range(q.shape[1]):
        state = g[:, t].exp()[..., None, None] * state + _outer(k[:, t], v[:, t])
        outputs.append(_read(state, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def gla(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """`S = diag(e^g) S + k v^T`, a decay for each key channel."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v), []
    for t in range(q.shape[1]):
        state = g[:, t].exp()[..., None] * state + _outer(k[:, t], v[:, t])
        outputs.append(_read(state, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def delta_rule(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    """`S = S + beta k (v - S^T k)^T`."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v), []
    for t in range(q.shape[1]):
        error = v[:, t] - _read(state, k[:, t])
        state = state + _outer(k[:, t], beta[:, t, :, None] * error)
        outputs.append(_read(state, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def longhorn(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    """The delta rule with the step `beta / (1 + beta |k|^2)`."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v), []
    for t in range(q.shape[1]):
        error = v[:, t] - _read(state, k[:, t])
        step = beta[:, t] / (1 + beta[:, t] * k[:, t].square().sum(-1))
        state = state + _outer(k[:, t], step[..., None] * error)
        outputs.append(_read(state, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def gated_delta_rule(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Tensor:
    """The delta rule on a state that decays, per head."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v), []
    for t in range(q.shape[1]):
        state = g[:, t].exp()[..., None, None] * state
        error = v[:, t] - _read(state, k[:, t])
        state = state + _outer(k[:, t], beta[:, t, :, None] * error)
        outputs.append(_read(state, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def kda(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Tensor:
    """The delta rule on a state that decays, per key channel."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v), []
    for t in range(q.shape[1]):
        state = g[:, t].exp()[..., None] * state
        error = v[:, t] - _read(state, k[:, t])
        state = state + _outer(k[:, t], beta[:, t, :, None] * error)
        outputs.append(_read(state, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def momentum_delta_rule(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, momentum: Tensor) -> Tensor:
    """The gated delta rule whose errors go into a momentum first."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v), []
    moving = state
    for t in range(q.shape[1]):
        state = g[:, t].exp()[..., None, None] * state
        error = v[:, t] - _read(state, k[:, t])
        moving = momentum[:, t, :, None, None] * moving + _outer(k[:, t], beta[:, t, :, None] * error)
        state = state + moving
        outputs.append(_read(state, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def memory_attn(q: Tensor, k: Tensor, v: Tensor, poles: Tensor, residues: Tensor) -> Tensor:
    """One decaying sum for each pole, added with the residues."""
    scale, state, outputs = q.shape[-1] ** -0.5, _empty(k, v).unsqueeze(2), []
    for t in range(q.shape[1]):
        state = poles[..., None, None] * state + _outer(k[:, t], v[:, t]).unsqueeze(2)
        outputs.append(_read((residues[..., None, None] * state).sum(2).real, scale * q[:, t]))
    return torch.stack(outputs, dim=1)


def rls(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """Recursive least squares from ridge 1, by rank-one updates of the inverse.

    The stable update: `k^T P` is computed, and not taken for the transpose of `P k`.
    """
    regressor, outputs = _empty(k, v), []
    inverse = torch.eye(k.shape[-1], dtype=k.dtype, device=k.device).expand(k.shape[0], k.shape[2], -1, -1)
    for t in range(q.shape[1]):
        decay = g[:, t].exp()
        column = torch.einsum("bhjk,bhk->bhj", inverse, k[:, t])
        row = torch.einsum("bhj,bhjk->bhk", k[:, t], inverse)
        gain = column / (decay + (k[:, t] * column).sum(-1))[..., None]
        error = v[:, t] - _read(regressor, k[:, t])
        regressor = regressor + _outer(gain, error)
        inverse = (inverse - _outer(gain, row)) / decay[..., None, None]
        outputs.append(_read(regressor, q[:, t]))
    return torch.stack(outputs, dim=1)


def mesa(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, ridge: Tensor) -> Tensor:
    """Normal equations with a ridge that does not decay, solved at each position."""
    gram, cross, outputs = _empty(k, k), _empty(k, v), []
    for t in range(q.shape[1]):
        decay, weighted = g[:, t].exp()[..., None, None], beta[:, t, :, None] * k[:, t]
        gram = decay * gram + _outer(weighted, k[:, t])
        cross = decay * cross + _outer(weighted, v[:, t])
        outputs.append(_read(cross, torch.linalg.solve(gram + torch.diag_embed(ridge), q[:, t])))
    return torch.stack(outputs, dim=1)


SLICED_OPS = {
    "linear_attn": linear_attn,
    "retention": retention,
    "simple_gla": simple_gla,
    "gla": gla,
    "delta_rule": delta_rule,
    "longhorn": longhorn,
    "gated_delta_rule": gated_delta_rule,
    "kda": kda,
    "momentum_delta_rule": momentum_delta_rule,
    "memory_attn": memory_attn,
    "rls": rls,
    "mesa": mesa,
}
