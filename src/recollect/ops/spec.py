"""What is known of an op: enough to test, time and describe all of them alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SampleInputs = Callable[[torch.Generator, int], dict[str, Any]]


@dataclass(frozen=True)
class OpSpec:
    """An op and what its tests need.

    Attributes:
        op: the public function.
        forms: names of its forms; `reference` is the definition, the last one is the default.
        sample_inputs: arguments of the op for a generator and a length, tensors in float64: everything but
            `scale`, states, `form` and `cu_seqlens`. Sequences have the batch and the time as axes 0 and 1.
        sequences: the arguments that have a time axis, with their number of entries for each position.
        settings: variants of the op by further arguments (a window, a kernel); every test is run for each.
        scales_queries: whether `scale` is a factor of the queries; not where a query is also a point at which
            a function is read, or where keys are compared with keys.
    """

    op: Callable[..., tuple[Tensor, Any]]
    forms: tuple[str, ...]
    sample_inputs: SampleInputs
    sequences: Mapping[str, int]
    settings: tuple[Mapping[str, Any], ...] = ({},)
    scales_queries: bool = True
