r"""The chunkwise form of learning by minibatches: no parameters are built inside a minibatch.

All gradients of a minibatch are taken at its start, and are outer products $x_i e_i^\top$ of what a layer
reads and its error. So the layer $W_t$ of any position answers by attention over the minibatch,

$$x^\top W_t = \alpha_t\, x^\top W_0 + \beta_t\, x^\top M_0
- \sum_{i \le t} c_{ti}\, \eta_i (x^\top x_i)\, e_i^\top,$$

with the coefficients of `momentum_chunks` ($\alpha = c = 1$ and no $M$ without decay and momentum). A loop
over minibatches learns; then all positions of all minibatches are answered together (the dual form of Sun et
al. 2024, arXiv:2407.04620, with the momentum of arXiv:2501.00663).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
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


class Learned(NamedTuple):
    """What the loop over minibatches leaves."""

    layers: list[Layers]
    """Before each minibatch, and after the last."""

    moving: list[Layers]
    """Momentum of the layers, likewise; no layers without momentum."""

    inputs: list[list[Float[Tensor, "heads C inputs"]]]
    """What each layer read of the keys."""

    errors: list[list[Float[Tensor, "heads C outputs"]]]
    """Each layer's errors times the step sizes."""


class End(NamedTuple):
    """The coefficients of `momentum_chunks` at the end of a minibatch."""

    decay: Float[Tensor, "heads 1 1"]
    drift: Float[Tensor, "heads 1 1"]
    momentum: Float[Tensor, "heads 1 1"]
    writes: Float[Tensor, "heads C 1"]
    momenta: Float[Tensor, "heads C 1"]


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
    """The only loop goes over minibatches, and only learns."""
    batch, length, num_heads = eta.shape
    cut = Minibatches.of(minibatch_size, state.position, length, num_heads)
    present = cut.present()
    keys, queries, targets = (cut.split(x) for x in (with_one(k), with_one(q), readout.target(k, v)))
    steps = torch.where(present, cut.split(eta), 0).unsqueeze(-1)
    chunks = None
    if g is not None and momentum is not None:
        g, momentum = (torch.where(present, cut.split(x), 0) for x in (g, momentum))
        chunks = momentum_chunks(g, momentum, present.to(g.dtype))
    learned = _learn(state, readout.for_rows(batch), keys, targets, steps, chunks)
    outputs = readout(q, cut.merge(_recall(queries, learned, chunks)))
    finals = learned.layers[-1], learned.moving[-1], _start(state, learned.layers, length, minibatch_size)
    parts = (from_layers(x, like, batch) for x, like in zip(finals, state[:3], strict=True))
    return outputs, LearnerState(*parts, position=(state.position + length) % minibatch_size)


def _learn(
    state: LearnerState,
    readout: Readout,
    keys: Float[Tensor, "heads N C inputs"],
    targets: Float[Tensor, "heads N C V"],
    steps: Float[Tensor, "heads N C 1"],
    chunks: MomentumChunks | None,
) -> Learned:
    """Gradients at the start of each minibatch, and the layers after it."""
    learned = Learned([to_layers(state.parameters)], [to_layers(state.momentum)], [], [])
    start = to_layers(state.start)
    ends = [None] * keys.shape[1] if chunks is None else _ends(chunks)
    minibatches = zip(*(x.unbind(1) for x in (keys, targets, steps)), ends, strict=True)
    for key, target, step, end in minibatches:
        inputs, errors = gradients(start, readout, key, target, step)
        start, moving = _descend(learned.layers[-1], learned.moving[-1], inputs, errors, end)
        for part, new in zip(learned, (start, moving, inputs, errors), strict=True):
            part.append(new)
    return learned


def _ends(chunks: MomentumChunks) -> list[End]:
    of_layers = (x[..., -1, None, None] for x in (chunks.decay, chunks.drift, chunks.momentum))
    of_errors = (x[..., -1, :, None] for x in (chunks.writes, chunks.momenta))
    return [End(*parts) for parts in zip(*(x.unbind(1) for x in (*of_layers, *of_errors)), strict=True)]


def _descend(
    layers: Layers, moving: Layers, inputs: list[Tensor], errors: list[Tensor], end: End | None
) -> tuple[Layers, Layers]:
    """Layers and their momentum after all steps of a minibatch."""
    outer = [(x.mT, e) for x, e in zip(inputs, errors, strict=True)]
    if end is None:
        return [torch.baddbmm(w, x, e, alpha=-1) for w, (x, e) in zip(layers, outer, strict=True)], []
    pairs = list(zip(layers, moving, outer, strict=True))
    layers = [
        torch.baddbmm(end.decay * w + end.drift * m, x, end.writes * e, alpha=-1) for w, m, (x, e) in pairs
    ]
    return layers, [torch.baddbmm(end.momentum * m, x, end.momenta * e, alpha=-1) for _, m, (x, e) in pairs]


def _recall(
    queries: Float[Tensor, "heads N C inputs"], learned: Learned, chunks: MomentumChunks | None
) -> Float[Tensor, "heads N C V"]:
    """The last layer's output at every position."""
    x = z = queries
    for i in range(len(learned.layers[0])):
        if i:
            x = with_one(gelu(z))
        inputs, errors, before = (
            torch.stack([part[i] for part in parts], dim=1)
            for parts in (learned.inputs, learned.errors, learned.layers[:-1])
        )
        scores = x @ inputs.mT
        if chunks is None:
            z = x @ before - scores.tril() @ errors
        else:
            moving = torch.stack([part[i] for part in learned.moving[:-1]], dim=1)
            still, drift = (
                (x @ before) * chunks.decay.unsqueeze(-1),
                (x @ moving) * chunks.drift.unsqueeze(-1),
            )
            z = still + drift - (scores * chunks.writes) @ errors
    return z


def _start(state: LearnerState, layers: list[Layers], length: int, minibatch_size: int) -> Layers:
    """Layers at the start of the minibatch that each sequence has reached: one of two that may be."""
    starts = [to_layers(state.start), *layers[1:]]
    fewest = length // minibatch_size
    if length % minibatch_size == 0:
        return starts[fewest]
    more = (state.position + length) // minibatch_size > fewest
    num_heads = len(layers[0][0]) // len(more)
    more = more.repeat_interleave(num_heads)[:, None, None]
    return [torch.where(more, new, old) for new, old in zip(starts[fewest + 1], starts[fewest], strict=True)]
