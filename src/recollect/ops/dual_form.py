r"""The chunkwise form of learning by minibatches: no parameters are built inside a minibatch.

All gradients of a minibatch are taken at its start, and are outer products $x_i e_i^\top$ of what a layer
reads and its error. So the layer $W_t$ of any position answers by attention over the minibatch,

$$x^\top W_t = \alpha_t\, x^\top W_0 + \beta_t\, x^\top M_0
- \sum_{i \le t} c_{ti}\, \eta_i (x^\top x_i)\, e_i^\top,$$

with the coefficients of `momentum_chunks` ($\alpha = c = 1$ and no $M$ without decay and momentum). This
is the dual form of Sun et al. 2024 (arXiv:2407.04620), with the momentum of arXiv:2501.00663.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import gelu

from recollect.core.shapes import HeadDecay, Keys, Queries, StepSizes, Values
from recollect.ops.fast_weights import (
    Layers,
    LearnerState,
    Readout,
    from_layers,
    gradients,
    to_layers,
    with_one,
)
from recollect.ops.minibatches import Minibatches
from recollect.ops.momentum_chunks import MomentumChunks, momentum_chunks


def learn_by_minibatches(
    q: Queries,
    k: Keys,
    v: Values,
    eta: StepSizes,
    state: LearnerState,
    *,
    readout: Readout,
    minibatch_size: int,
    g: HeadDecay | None = None,
    momentum: StepSizes | None = None,
) -> tuple[Values, LearnerState]:
    """The only loop goes over minibatches; columns where no position is present change nothing."""
    batch, length, num_heads = eta.shape
    cut = Minibatches.of(minibatch_size, state.position, length, num_heads)
    present = cut.present()
    keys, queries, targets = (cut.split(x) for x in (with_one(k), with_one(q), readout.target(k, v)))
    steps = torch.where(present, cut.split(eta), 0).unsqueeze(-1)
    chunks: list[MomentumChunks] | list[None] = [None] * cut.num_minibatches
    if g is not None and momentum is not None:
        g, momentum = (torch.where(present, cut.split(x), 0) for x in (g, momentum))
        parts = momentum_chunks(g, momentum, present.to(g.dtype))
        chunks = [MomentumChunks(*part) for part in zip(*(x.unbind(1) for x in parts), strict=True)]
    layers, moving, start = (to_layers(x) for x in state[:3])
    rows, starts, outputs = readout.for_rows(batch), [start], []
    minibatches = zip(*(x.unbind(1) for x in (queries, keys, targets, steps)), chunks, strict=True)
    for query, key, target, step, chunk in minibatches:
        inputs, errors = gradients(starts[-1], rows, key, target, step)
        outputs.append(_recall(query, layers, moving, inputs, errors, chunk))
        layers, moving = _descend(layers, moving, inputs, errors, chunk)
        starts.append(layers)
    outputs = readout(q, cut.merge(torch.stack(outputs, dim=1)))
    finals = layers, moving, _start(starts, state.position, length, num_heads, minibatch_size)
    parts = (from_layers(x, like) for x, like in zip(finals, state[:3], strict=True))
    return outputs, LearnerState(*parts, position=(state.position + length) % minibatch_size)


def _recall(
    query: Float[Tensor, "heads C _"],
    layers: Layers,
    moving: Layers,
    inputs: list[Tensor],
    errors: list[Tensor],
    chunk: MomentumChunks | None,
) -> Float[Tensor, "heads C V"]:
    """The last layer's output at every position."""
    x = z = query
    for i, (layer, read, error) in enumerate(zip(layers, inputs, errors, strict=True)):
        x = with_one(gelu(z)) if i else x
        z, scores = x @ layer, x @ read.mT
        if chunk is None:
            scores = scores.tril()
        else:
            z = chunk.decay.unsqueeze(-1) * z + chunk.drift.unsqueeze(-1) * (x @ moving[i])
            scores = chunk.writes * scores
        z = torch.baddbmm(z, scores, error, alpha=-1)
    return z


def _descend(
    layers: Layers, moving: Layers, inputs: list[Tensor], errors: list[Tensor], chunk: MomentumChunks | None
) -> tuple[Layers, Layers]:
    """Layers and their momentum after all steps of a minibatch."""
    steps = [(x.mT, e) for x, e in zip(inputs, errors, strict=True)]
    if chunk is None:
        return [torch.baddbmm(w, x, e, alpha=-1) for w, (x, e) in zip(layers, steps, strict=True)], []
    decay, drift, kept = (x[:, -1:, None] for x in (chunk.decay, chunk.drift, chunk.momentum))
    writes, momenta = (x[:, -1, :, None] for x in (chunk.writes, chunk.momenta))
    pairs = list(zip(layers, moving, steps, strict=True))
    layers = [torch.baddbmm(decay * w + drift * m, x, writes * e, alpha=-1) for w, m, (x, e) in pairs]
    return layers, [torch.baddbmm(kept * m, x, momenta * e, alpha=-1) for _, m, (x, e) in pairs]


def _start(
    starts: list[Layers], position: Int64[Tensor, " B"], length: int, num_heads: int, minibatch_size: int
) -> Layers:
    """Layers at the start of the minibatch that each sequence has reached: one of two that may be."""
    fewest = length // minibatch_size
    if length % minibatch_size == 0:
        return starts[fewest]
    more = (position + length) // minibatch_size > fewest
    more = more.repeat_interleave(num_heads)[:, None, None]
    return [torch.where(more, new, old) for new, old in zip(starts[fewest + 1], starts[fewest], strict=True)]
