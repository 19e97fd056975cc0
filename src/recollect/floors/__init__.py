"""Floors: what a class of models cannot do, proven, beside what an explicit construction does."""

from recollect.floors.alibi import AlibiHeads, HeadsFit
from recollect.floors.classes import MODEL_CLASSES, find_class
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
from recollect.floors.relative_bias import RelativeBias
from recollect.floors.search import SizeAnswer, smallest_size
from recollect.floors.tensor_train_fit import DilatedFit
from recollect.floors.warm_start import warm_start

__all__ = [
    "MODEL_CLASSES",
    "AlibiHeads",
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
    "Problem",
    "RecurrenceBound",
    "RecurrenceFit",
    "RelativeBias",
    "SizeAnswer",
    "Weighting",
    "construction_of",
    "find_class",
    "fit_recurrences",
    "floor_of",
    "recurrence_bounds",
    "smallest_size",
    "warm_start",
]
