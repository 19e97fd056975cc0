"""Floors: what a class of models cannot do, proven, beside what an explicit construction does."""

from recollect.floors.floor import Fit, Floor, ModelClass
from recollect.floors.none import NoFloor
from recollect.floors.problem import Problem, Weighting

__all__ = ["Fit", "Floor", "ModelClass", "NoFloor", "Problem", "Weighting"]
