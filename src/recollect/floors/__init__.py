"""Floors: what a class of models cannot do, proven, beside what an explicit construction does."""

from recollect.floors.aak import aak_upper
from recollect.floors.alibi import AlibiHeads, HeadsFit
from recollect.floors.asymptotic import PowerLaw, power_law
from recollect.floors.classes import BOUNDED, MODEL_CLASSES, find_class
from recollect.floors.dilated import LinearDilated
from recollect.floors.finite_memory import FilterFit, FiniteMemory
from recollect.floors.floor import Fit, Floor, ModelClass
from recollect.floors.linear_recurrence import LinearRecurrence
from recollect.floors.no_positions import NoPositions
from recollect.floors.none import NoFloor
from recollect.floors.of_model import construction_of, floor_of
from recollect.floors.problem import Problem, Weighting
from recollect.floors.recurrence_bound import RecurrenceBound, recurrence_bounds
from recollect.floors.recurrence_fit import RecurrenceFit, fit_recurrences
from recollect.floors.relative_bias import BiasFit, RelativeBias
from recollect.floors.search import SizeAnswer, check_target, smallest_size
from recollect.floors.static_readout import static_readout_bounds
from recollect.floors.tensor_train_fit import DilatedFit
from recollect.floors.warm_start import warm_start

__all__ = [
    "BOUNDED",
    "MODEL_CLASSES",
    "AlibiHeads",
    "BiasFit",
    "DilatedFit",
    "FilterFit",
    "FiniteMemory",
    "Fit",
    "Floor",
    "HeadsFit",
    "LinearDilated",
    "LinearRecurrence",
    "ModelClass",
    "NoFloor",
    "NoPositions",
    "PowerLaw",
    "Problem",
    "RecurrenceBound",
    "RecurrenceFit",
    "RelativeBias",
    "SizeAnswer",
    "Weighting",
    "aak_upper",
    "check_target",
    "construction_of",
    "find_class",
    "fit_recurrences",
    "floor_of",
    "power_law",
    "recurrence_bounds",
    "smallest_size",
    "static_readout_bounds",
    "warm_start",
]
