"""The axis legend: the only place where axes are named.

| letter | axis |
|---|---|
| `B` | batch |
| `T` | time (always axis 1 of a sequence) |
| `H` | head |
| `K` | key dimension of a head |
| `V` | value dimension of a head |
| `N` | state of a recurrence |
| `C` | chunk |
| `D` | model width |
| `R` | runs trained together |
"""

from jaxtyping import Bool, Float, Int64
from torch import Tensor

Sequence = Float[Tensor, "B T D"]
"""A batch of sequences, as a mixer reads and writes them."""

Step = Float[Tensor, "B D"]
"""One position of a batch of sequences."""

Taps = Float[Tensor, " T"]
"""Values of a memory function at lags 0..T-1."""

Kernel = Float[Tensor, "T D D"]
"""Impulse response of a linear time-invariant mixer: `y_t = sum_s kernel[s] @ x_{t-s}`."""

Inputs = Float[Tensor, "B T inputs"]
Targets = Float[Tensor, "B T outputs"]
Mask = Bool[Tensor, "B T"]

Tokens = Int64[Tensor, "B T *slots"]
"""Tokens; several slots at one position are read together, their embeddings added."""

Labels = Int64[Tensor, "B T"]
"""A whole number at each position: the token that is asked for, or a group."""

Indices = Int64[Tensor, " B"]

Queries = Float[Tensor, "B T H K"]
Keys = Float[Tensor, "B T H K"]
Values = Float[Tensor, "B T H V"]

HeadDecay = Float[Tensor, "B T H"]
"""Logarithm of a decay per head and position, at most 0."""

ChannelDecay = Float[Tensor, "B T H K"]
"""Logarithm of a decay per key channel and position, at most 0."""

StepSizes = Float[Tensor, "B T H"]
"""Step size or importance of a position, after its sigmoid."""

HeadState = Float[Tensor, "_ H K V"]
"""A linear map from keys to values, read as `o = S^T q`; its first axis is the batch, or packed sequences."""
