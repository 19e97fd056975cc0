"""All gates of a layer: decays, importances, steps, momentum, slopes.

A learned step is `max_step sigmoid(W x + b)` times the share that the composition bears (`steps`).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recollect.core import ConfigError
from recollect.core.shapes import ChannelDecay, HeadDecay, Queries, Sequence, StepSizes
from recollect.regression.function_classes import LocalLinear
from recollect.regression.gates import DecayGate, FixedDecay, ImportanceGate, Rate
from recollect.regression.optimizers import Sgd
from recollect.regression.problem import Composition, EntrySteps, HeadSizes
from recollect.regression.steps import START_MOMENTUM, momentum_share, step_share
from recollect.regression.weights import ConstantDecay, GatedDecay, Importance


class Gates(NamedTuple):
    """What was computed from the stream; `None` where the composition has no such part."""

    g: HeadDecay | ChannelDecay | None
    key_factor: Tensor | None
    log_importance: HeadDecay | None
    step: EntrySteps | None
    momentum: StepSizes | None
    slope: Queries | None


class Signals(nn.Module):
    """The gates that a composition asks for."""

    def __init__(self, composition: Composition, dim: int, sizes: HeadSizes) -> None:
        super().__init__()
        factors, optimizer = composition.weights.factors, composition.optimizer
        heads = sizes.num_heads
        decays = [factor for factor in factors if isinstance(factor, GatedDecay | ConstantDecay)]
        if sum(factor.scales_writes for factor in decays) > 1:
            raise ConfigError(
                "expected at most one decay with scales_writes=True: each scales the same keys."
            )
        self.decays = nn.ModuleList(
            DecayGate(factor, dim, heads, sizes.key_dim)
            if isinstance(factor, GatedDecay)
            else FixedDecay(factor, heads, sizes.key_dim)
            for factor in decays
        )
        self.importances = nn.ModuleList(
            ImportanceGate(factor, dim, heads) for factor in factors if isinstance(factor, Importance)
        )
        online = optimizer if isinstance(optimizer, Sgd) else None
        self.num_steps = 1 if online is None else online.num_steps
        self.function_class = composition.function_class
        self.step = self.momentum = self.weight_decay = self.slope = None
        if online is not None:
            largest = online.max_step * step_share(self.function_class, online)
            self.step = Rate(online.step, dim, heads * online.num_steps, largest=largest)
            if online.momentum != 0:
                self.momentum = Rate(online.momentum, dim, heads, start=START_MOMENTUM)
            if online.weight_decay != 0:
                self.weight_decay = Rate(online.weight_decay, dim, heads, start=0.01)
        if (
            isinstance(composition.function_class, LocalLinear)
            and composition.function_class.slope == "learned"
        ):
            self.slope = nn.Linear(dim, heads * sizes.key_dim, bias=False)

    def forward(self, stream: Sequence, num_heads: int) -> Gates:
        g, factor = self._decay(stream)
        importances = [gate(stream) for gate in self.importances]
        momentum = None if self.momentum is None else self.momentum(stream)
        return Gates(
            g=g,
            key_factor=factor,
            log_importance=torch.stack(importances).sum(0) if importances else None,
            step=self._steps(stream, num_heads, momentum),
            momentum=momentum,
            slope=None if self.slope is None else self.slope(stream).unflatten(-1, (num_heads, -1)),
        )

    def _steps(self, stream: Sequence, num_heads: int, momentum: StepSizes | None) -> EntrySteps | None:
        if self.step is None:
            return None
        step = self.step(stream).unflatten(-1, (-1, num_heads))
        if self.step.is_learned and momentum is not None:
            step = step * momentum_share(self.function_class, momentum.unsqueeze(2))
        return step.flatten(1, 2)

    def _decay(self, stream: Sequence) -> tuple[Tensor | None, Tensor | None]:
        g, factor = None, None
        for gate in self.decays:
            decay, scale = gate(stream)
            g = decay if g is None else _added(g, decay)
            factor = factor if scale is None else scale
        if self.weight_decay is not None:
            kept = self.weight_decay.log_rest(stream)
            g = kept if g is None else _added(g, kept)
        return g, factor


def _added(a: Tensor, b: Tensor) -> Tensor:
    """The sum of two log-decays, per head or per channel."""
    if a.ndim == b.ndim:
        return a + b
    return a[..., None] + b if a.ndim < b.ndim else a + b[..., None]
