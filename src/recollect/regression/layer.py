"""A sequence layer from the three choices of test-time regression."""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from recollect.core import ConfigError, NotDefinedError
from recollect.core.shapes import Kernel, Sequence, Step
from recollect.regression.choice import choose
from recollect.regression.constants import RegressionConstants
from recollect.regression.description import Description
from recollect.regression.features import build_features
from recollect.regression.function_classes import FunctionClass, Linear
from recollect.regression.optimizers import OneStep, TestTimeOptimizer
from recollect.regression.output import Gate, GatedNorm, OutputNorm
from recollect.regression.problem import Associations, Composition, Constants, HeadSizes
from recollect.regression.projections import (
    Activation,
    KeySource,
    Projected,
    Projections,
    ProjectionState,
)
from recollect.regression.rotation import Rotated, RotationName, build_rotation
from recollect.regression.signals import Gates, Signals
from recollect.regression.weights import ConstantDecay, GatedDecay, Memory, RegressionWeights, Uniform, Window


class LayerState(NamedTuple):
    """What a layer carries from one position to the next; parts that a layer does not have are empty."""

    projections: ProjectionState
    angle: Tensor | tuple[()]
    position: Tensor | tuple[()]
    regression: Any


class RegressionLayer(nn.Module):
    r"""A layer that solves a regression while it reads (arXiv:2501.12352).

    $$m_t = \arg\min_{m \in M} \sum_{i \le t} w_i^{(t)} \lVert v_i - m(k_i) \rVert^2, \qquad
    y_t = W_o\, m_t(q_t)$$

    Queries, keys and values are linear in the input, with an optional short convolution. Which op runs, its
    cost and its state follow from the three choices; `describe()` says them. Every combination runs; one that
    means nothing is refused with the legal choices.

    Args:
        dim: width `D` of input and output.
        num_heads: number `H` of regressions side by side.
        key_dim: key channels `K` of a head; `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head; `dim / num_heads` if `None`.
        weights: regression weights, `Uniform()` unless given.
        function_class: functions to choose from, `Linear()` unless given.
        optimizer: test-time optimizer, `OneStep()` unless given.
        short_conv: taps of a causal convolution over queries, keys and values, or `None`.
        conv_bias: whether it adds a constant.
        activation: of queries, keys and values, after the convolution.
        qk_norm: give queries and keys norm 1; online optimizers need it for steps below 2 to be stable.
        scale: factor of the queries in a linear class, `K**-0.5` if `None`; 1 reads the regressor itself.
        num_key_heads: heads with queries and keys of their own, shared in groups; all if `None`.
        keys: `projected`; `queries`, the queries themselves; `ones`, trained queries and constant keys, which
            leaves a diagonal recurrence of the values; `decay`, keys `1 - e^g` of a decay per channel with
            `scales_writes`.
        stream: channels of an inner stream `silu(conv(W x))` that all else is computed from (Mamba).
        rotation: angles by which queries and keys turn: a complex decay.
        rotated: `values` turns these instead, and the answers back: pairs of their channels decay as complex
            numbers.
        skip: add each value times a trained factor of its head; for `input`, each input channel times a
            trained factor to the output.
        output_norm: over each head's channels.
        output_gate: activation of a gate that is computed from the input.
        gate_first: gate before the norm.
        gate_rank: inner width of the gate's map; full if `None`.
        norm_groups: parts over which the output norm is taken, one a head if `None`.
        norm_eps: added to the mean square there.
        title: name of a named layer.
        citation: where it was published.

    Raises:
        ConfigError: sizes that do not fit, or a combination without a meaning.

    Example:
        >>> layer = RegressionLayer(8, num_heads=2)
        >>> layer(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    receptive_field = None
    needs_full_precision = True

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int = 4,
        key_dim: int | None = None,
        value_dim: int | None = None,
        weights: RegressionWeights | None = None,
        function_class: FunctionClass | None = None,
        optimizer: TestTimeOptimizer | None = None,
        short_conv: int | None = None,
        conv_bias: bool = False,
        activation: Activation = "none",
        qk_norm: bool = True,
        scale: float | None = 1.0,
        num_key_heads: int | None = None,
        keys: KeySource = "projected",
        stream: int | None = None,
        rotation: RotationName = "none",
        rotated: Rotated = "queries_keys",
        skip: bool | Literal["input"] = False,
        output_norm: OutputNorm = "none",
        output_gate: Gate = "none",
        gate_first: bool = False,
        gate_rank: int | None = None,
        norm_groups: int | None = None,
        norm_eps: float = 1e-5,
        title: str | None = None,
        citation: str | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(dim, num_heads, num_key_heads)
        self.dim, self.title, self.citation = dim, title, citation
        self.composition = Composition(
            weights or Uniform(), function_class or Linear(), optimizer or OneStep()
        )
        heads = HeadSizes(num_heads, *(_head_size(dim, num_heads, size) for size in (key_dim, value_dim)))
        self.features = _features(self.composition, heads)
        self.counts_positions = self.features.max_length is not None
        self.sizes = HeadSizes(num_heads, self.features.size, heads.value_dim)
        self.solver = choose(self.composition, self.sizes)
        self.signals = Signals(self.composition, stream or dim, self.sizes)
        self.constants = RegressionConstants(self.composition, self.sizes)
        self.num_steps = self.signals.num_steps
        self.projections = Projections(
            dim, heads, num_key_heads=num_key_heads, num_steps=self.num_steps, keys=keys, stream=stream,
            short_conv=short_conv, conv_bias=conv_bias, activation=activation,
        )  # fmt: skip
        self.turns_values = rotated == "values" and rotation != "none"
        self.rotation = build_rotation(rotation, rotated, dim, stream, heads)
        self.qk_norm = qk_norm and keys in ("projected", "queries")
        self.scale = _query_scale(self.composition, scale, heads.key_dim)
        self.skip, self.input_skip = _skips(skip, num_heads, dim)
        self.output = GatedNorm(
            dim, num_heads, heads.value_dim, norm=output_norm, gate=output_gate, gate_first=gate_first,
            groups=norm_groups, rank=gate_rank, eps=norm_eps,
        )  # fmt: skip
        self.project_out = nn.Linear(num_heads * heads.value_dim, dim, bias=False)
        _check_keys(self)
        self.is_lti = _is_lti(self)

    def forward(self, x: Sequence) -> Sequence:
        return self._read(x, self.initial_state(len(x)), None)[0]

    def initial_state(self, batch_size: int) -> LayerState:
        like = self.project_out.weight
        constants = self.constants(like)
        return LayerState(
            projections=self.projections.initial_state(batch_size),
            angle=() if self.rotation is None else self.rotation.initial_state(batch_size, like),
            position=like.new_zeros(batch_size, dtype=torch.int64) if self.counts_positions else (),
            regression=self.solver.initial_state(batch_size, self.sizes, constants, like),
        )

    def step(self, x_t: Step, state: LayerState) -> tuple[Step, LayerState]:
        form = "recurrent" if "recurrent" in self.solver.forms else None
        y, state = self._read(x_t[:, None], state, form)
        return y[:, 0], state

    def state_size(self, length: int) -> int:
        rotation = 0 if self.rotation is None else self.rotation.state_size()
        outer = self.projections.state_size() + rotation + int(self.counts_positions)
        return outer + self.solver.state_size(self.sizes, length)

    def kernel(self, length: int) -> Kernel:
        """Impulse response, where the layer is linear and time-invariant.

        Raises:
            NotDefinedError: where it is not.
        """
        if not self.is_lti:
            raise NotDefinedError("an impulse response describes linear time-invariant layers only.")
        like = self.project_out.weight
        impulses = torch.eye(self.dim, dtype=like.dtype, device=like.device)[:, None]
        return self(nn.functional.pad(impulses, (0, 0, 0, length - 1))).permute(1, 2, 0)

    def describe(self) -> Description:
        """The triple, the equation, what runs, its state and cost, and where it was published."""
        return Description.of(self)

    def associations(self, x: Sequence, state: LayerState) -> tuple[Associations, LayerState]:
        """The regression that a sequence poses, and the state without its solution."""
        projected = self.projections(x, state.projections)
        gates: Gates = self.signals(projected.stream, self.sizes.num_heads)
        q, k, v, angle = self._turned(projected, state.angle)
        positions, position = self._positions(x, state.position)
        q = self.features(q, positions, "query")
        q = q if self.scale == 1 else q * self.scale
        k = self.features(k, positions.repeat_interleave(self.num_steps), "key")
        if gates.key_factor is not None:
            k = k * gates.key_factor.repeat_interleave(self.num_steps, dim=1)
        slope = self._turned_slope(projected.stream, gates.slope, state.angle)
        associations = Associations(
            q=q, k=k, v=v, g=gates.g, log_importance=gates.log_importance,
            step=gates.step, momentum=gates.momentum, slope=slope,
        )  # fmt: skip
        return associations, LayerState(projected.state, angle, position, state.regression)

    def _read(self, x: Sequence, state: LayerState, form: str | None) -> tuple[Sequence, LayerState]:
        angle = state.angle
        associations, state = self.associations(x, state)
        constants: Constants = self.constants(x)
        values, solved = self.solver.read(associations, constants, state.regression, form)
        if constants.bonus is not None:
            present = (associations.q * constants.bonus * associations.k).sum(-1, keepdim=True)
            values = values + present * associations.v
        if self.skip is not None:
            values = values + self.skip * associations.v
        if self.turns_values and self.rotation is not None and isinstance(angle, Tensor):
            values = self.rotation.forwards(x, values, angle)
        y = self.project_out(self.output(values, x))
        return y if self.input_skip is None else y + self.input_skip * x, state._replace(regression=solved)

    def _turned(
        self, projected: Projected, angle: Tensor | tuple[()]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | tuple[()]]:
        q, k, v = projected.q, projected.k, projected.v
        if self.qk_norm:
            q, k = _unit(q), _unit(k)
        if self.rotation is None or not isinstance(angle, Tensor):
            return q, k, v, angle
        if self.turns_values:
            v, angle = self.rotation.values(projected.stream, v, angle)
        else:
            q, k, angle = self.rotation(projected.stream, q, k, angle)
        return q, k, v, angle

    def _turned_slope(
        self, stream: Sequence, slope: Tensor | None, angle: Tensor | tuple[()]
    ) -> Tensor | None:
        """A slope is a direction among keys: it turns with the queries."""
        if slope is None or self.rotation is None or self.turns_values or not isinstance(angle, Tensor):
            return slope
        return self.rotation.forwards(stream, slope, angle)

    def _positions(self, x: Sequence, position: Tensor | tuple[()]) -> tuple[Tensor, Tensor | tuple[()]]:
        ahead = torch.arange(x.shape[1], device=x.device)
        if not isinstance(position, Tensor):
            return ahead, ()
        # All sequences of a batch are read together, so the first one's position is everyone's.
        return position[0] + ahead, position + x.shape[1]


def _features(composition: Composition, heads: HeadSizes) -> Any:
    function = composition.function_class
    if not isinstance(function, Linear):
        return build_features("none", heads.key_dim, heads.num_heads)
    return build_features(function.features, heads.key_dim, heads.num_heads, function.options)


def _skips(
    skip: bool | Literal["input"], num_heads: int, dim: int
) -> tuple[nn.Parameter | None, nn.Parameter | None]:
    """The factors of values, and of the input, that go past the regression."""
    if skip not in (True, False, "input"):
        raise ConfigError(f"skip={skip!r}: expected True, False or 'input'.")
    return (
        nn.Parameter(torch.ones(num_heads, 1)) if skip is True else None,
        nn.Parameter(torch.ones(dim)) if skip == "input" else None,
    )


def _check_keys(layer: RegressionLayer) -> None:
    """Raise `ConfigError` where several keys a position meet a part that takes one, or nothing makes keys."""
    one_each = layer.rotation is not None or layer.skip is not None or layer.input_skip is not None
    if layer.num_steps > 1 and (
        one_each or layer.projections.has_stream or layer.projections.keys == "queries"
    ):
        raise ConfigError(
            f"num_steps={layer.num_steps} has several keys a position: rotation, skip, stream and "
            f"keys='queries' need one."
        )
    factors = layer.composition.weights.factors
    makes_keys = any(isinstance(f, GatedDecay) and f.per == "channel" and f.scales_writes for f in factors)
    if layer.projections.keys == "decay" and not makes_keys:
        raise ConfigError("keys='decay' needs weights=GatedDecay(per='channel', scales_writes=True).")


def _check_sizes(dim: int, num_heads: int, num_key_heads: int | None) -> None:
    for name, size in (("dim", dim), ("num_heads", num_heads), ("num_key_heads", num_key_heads)):
        if size is not None and size < 1:
            raise ConfigError(f"{name}={size}: expected at least 1.")


def _is_lti(layer: RegressionLayer) -> bool:
    """Whether a layer weights its values by their age, and does nothing else."""
    before, after, optimizer = layer.projections, layer.output, layer.composition.optimizer
    linear = before.keys == "ones" and not before.has_stream and before.activation == "none"
    biased = before.convolution is not None and before.convolution.bias is not None
    turns = layer.rotation is not None and layer.rotation.project is not None
    by_age = ConstantDecay | Memory | Uniform | Window
    decays = all(isinstance(factor, by_age) for factor in layer.composition.weights.factors)
    function = layer.composition.function_class
    one_step = (
        isinstance(optimizer, OneStep) and optimizer.normalise == "none" and isinstance(function, Linear)
    )
    bare = (after.norm, after.gate) == ("none", "none")
    return linear and not biased and not turns and decays and one_step and bare


def _head_size(dim: int, num_heads: int, size: int | None) -> int:
    if size is not None:
        return size
    if num_heads < 1 or dim % num_heads:
        fitting = [heads for heads in range(1, dim + 1) if dim % heads == 0]
        raise ConfigError(f"dim={dim} must be divisible by num_heads={num_heads}; possible: {fitting}.")
    return dim // num_heads


def _query_scale(composition: Composition, scale: float | None, key_dim: int) -> float:
    """Similarities and distances are of the query itself."""
    if not isinstance(composition.function_class, Linear) or composition.similarity is not None:
        return 1.0
    return key_dim**-0.5 if scale is None else scale


def _unit(x: Tensor) -> Tensor:
    # The small number keeps the gradient at a vector of zeros finite.
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()
