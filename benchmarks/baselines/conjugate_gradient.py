"""Decaying ridge regression by plain conjugate gradients: unpreconditioned, a fixed number of iterations.

All positions at once: the Gram matrix of a position is that at the start of its chunk, decayed, and the keys
of the chunk up to it (the layout of MesaNet, arXiv:2506.05233). A system that is solved to the last digit is
left alone, for its next step would be 0 / 0.
"""

import torch
from torch import Tensor


def rls_by_cg(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, num_iterations: int = 30, chunk_size: int = 64
) -> Tensor:
    """`rls` with its ridge of 1, which decays; the length is a multiple of `chunk_size`."""
    q, k, v = (x.unflatten(1, (-1, chunk_size)).permute(0, 3, 1, 2, 4) for x in (q, k, v))
    total = g.unflatten(1, (-1, chunk_size)).permute(0, 3, 1, 2).cumsum(-1)
    future = torch.ones(chunk_size, chunk_size, dtype=torch.bool, device=q.device).triu(1)
    mask = (total[..., :, None] - total[..., None, :]).masked_fill(future, -torch.inf).exp()
    kept = total.exp()[..., None]
    gram, cross = _chunk_starts(k, v, total)

    def times_gram(x: Tensor) -> Tensor:
        return kept * (x @ gram) + ((x @ k.mT) * mask) @ k

    first = q.square().sum(-1, keepdim=True)
    solution, residual, direction, square = torch.zeros_like(q), q, q, first
    for _ in range(num_iterations):
        unsolved = square > (torch.finfo(q.dtype).eps ** 2) * first
        image = times_gram(direction)
        step = unsolved * square / torch.where(unsolved, (direction * image).sum(-1, keepdim=True), 1.0)
        solution = solution + step * direction
        residual = residual - step * image
        new_square = residual.square().sum(-1, keepdim=True)
        direction = residual + unsolved * new_square / torch.where(unsolved, square, 1.0) * direction
        square = new_square
    outputs = kept * (solution @ cross) + ((solution @ k.mT) * mask) @ v
    return outputs.permute(0, 2, 3, 1, 4).flatten(1, 2)


def _chunk_starts(k: Tensor, v: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Gram matrices and cross sums before each chunk."""
    end = total[..., -1:]
    late = (k * (end - total).exp()[..., None]).mT
    writes = torch.cat([late @ k, late @ v], dim=-1)
    start = torch.eye(k.shape[-1], dtype=k.dtype, device=k.device)
    state = torch.cat([start, torch.zeros_like(v[0, 0, 0, :1]).expand(k.shape[-1], -1)], dim=-1)
    before, state = [], state.expand_as(writes[:, :, 0])
    for decay, write in zip(end[..., None].exp().unbind(2), writes.unbind(2), strict=True):
        before.append(state)
        state = decay * state + write
    gram, cross = torch.stack(before, dim=2).split([k.shape[-1], v.shape[-1]], dim=-1)
    return gram, cross
