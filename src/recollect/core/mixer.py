"""The mixer contract: what every sequence mixer of this package offers, and what a user's must.

A mixer maps `(B, T, D)` to `(B, T, D)` and is causal: output t depends on inputs 0..t. It is built as
`Mixer(dim, **options)` and its defaults work for `dim=32`. A user's module needs only `__init__(dim)`
and `forward`; the rest of the contract is what lets a mixer stream, be probed and be given a floor.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import Kernel, Sequence, Step

State = Any
"""What a mixer carries between steps: a tensor, or a (named) tuple of tensors."""


@runtime_checkable
class Mixer(Protocol):
    """A causal map of sequences that can also be read one step at a time.

    A mixer that is linear in its input but changes with the position says so by `is_linear = True`, beside
    `is_lti = False`; one without that attribute is taken to be as linear as its `is_lti` says.

    Attributes:
        is_lti: whether the map is linear and time-invariant at the present options.
        receptive_field: number of inputs (the present one included) on which an output can depend,
            or `None` where it is unbounded.
    """

    is_lti: bool
    receptive_field: int | None

    def __call__(self, x: Sequence) -> Sequence:
        """All positions at once (training)."""
        ...

    def initial_state(self, batch_size: int) -> State:
        """The state before the first input, in the parameters' dtype and on their device."""
        ...

    def step(self, x_t: Step, state: State) -> tuple[Step, State]:
        """One position: the output and the next state. The state that came in is left as it was."""
        ...

    def state_size(self, length: int) -> int:
        """Number of real scalars that `step` carries for one sequence after `length` inputs."""
        ...


@runtime_checkable
class LtiMixer(Mixer, Protocol):
    """A mixer that is a convolution: `y_t = sum_s kernel(length)[s] @ x_{t-s}`."""

    def kernel(self, length: int) -> Kernel:
        """Impulse response at lags 0..length-1, differentiable in the parameters."""
        ...


class SeparableKernel(NamedTuple):
    """`k_t(s) = sum_j gains[t, j] kernels[s, j]` for s <= t: a map that changes with the position t.

    Attributes:
        gains: at positions 0..T-1.
        kernels: at lags 0..T-1.
    """

    gains: Float[Tensor, "T terms"]
    kernels: Float[Tensor, "T terms outputs inputs"]


@runtime_checkable
class RespondingMixer(Protocol):
    """A linear mixer that answers impulses in closed form, between the maps that enclose it.

    One block between two linear maps then has its impulse response without a sequence of zeros being read,
    and without the `D x D` numbers a lag of a `Kernel`.
    """

    def response(
        self, write: Float[Tensor, "D inputs"], read: Float[Tensor, "outputs D"], length: int
    ) -> Float[Tensor, "T outputs inputs"] | SeparableKernel:
        """`read @ k(s) @ write` at lags s = 0..length-1, differentiable in everything."""
        ...
