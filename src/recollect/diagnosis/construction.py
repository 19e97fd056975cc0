"""A model set to the best explicit fit of a memory function that it can hold: where training may start."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from recollect.core import ConfigError
from recollect.diagnosis.filter_start import is_single_filter, start_from_filter
from recollect.diagnosis.input_metric import Autocovariance, InputMetric, Memory
from recollect.diagnosis.pole_search import PoleSearch
from recollect.diagnosis.shared_poles import SharedPoles
from recollect.diagnosis.shared_start import start_from_poles
from recollect.floors import construction_of, warm_start
from recollect.models import LRU, SSM, SequenceModel
from recollect.tasks import FunctionalTask


@dataclass(frozen=True, eq=False)
class KnownMemory:
    """A memory function, and the input that it was estimated from.

    Attributes:
        values: at lags 0..L-1 of each input.
        autocovariance: of the input at those lags at least, in the same units.
        num_samples: positions that it was estimated from.
    """

    values: Memory
    autocovariance: Autocovariance
    num_samples: int

    @cached_property
    def metric(self) -> InputMetric:
        """What an error of the memory function costs."""
        return InputMetric.of(self.autocovariance, len(self.values), self.num_samples)


def constructed(model: SequenceModel, memory: KnownMemory | None) -> SequenceModel | None:
    """The model, in place, set to a fit; None where it can hold none that is known.

    An LRU, an SSM and a single convolution take any number of inputs, and the fit that is best for the input
    as it is; other models take one input, and the fit for a white one: training goes on from there.
    """
    if memory is None:
        return None
    mixers: list[Any] = model.mixers
    try:
        if len(mixers) == 1 and isinstance(mixers[0], LRU | SSM):
            start_from_poles(model, _best_poles(mixers[0], memory))
            return model
        if is_single_filter(model):
            field = min(mixers[0].receptive_field, len(memory.values))
            start_from_filter(model, memory.metric.best_filter(memory.values, field))
            return model
        return _white_construction(model, memory) if memory.values.shape[1] == 1 else None
    except ConfigError:
        return None


def _best_poles(mixer: LRU | SSM, memory: KnownMemory) -> SharedPoles:
    """From few states to all: each size begins from the one before."""
    lags = len(memory.values)
    search = PoleSearch(memory.values, memory.metric, lags, real=mixer.system.num_parts == 1)
    fit = None
    for size in _sizes_up_to(mixer.system.num_states):
        fit, _ = search.best(size, fit)
    if fit is None:
        raise ConfigError("a recurrence without states holds no fit.")
    return fit


def _sizes_up_to(largest: int) -> list[int]:
    """By half as many again, and the last."""
    sizes = [1]
    while sizes[-1] < largest:
        sizes.append(min(largest, max(sizes[-1] + 1, sizes[-1] * 3 // 2)))
    return sizes


def _white_construction(model: SequenceModel, memory: KnownMemory) -> SequenceModel | None:
    taps = memory.values[:, 0].tolist()
    task = FunctionalTask.parse(
        {
            "memory": {"family": "empirical", "taps": taps},
            "length": len(taps),
            "normalisation": "none",
        }
    )
    fit = construction_of(task, model)
    if fit is None:
        return None
    warm_start(model, fit)
    return model
