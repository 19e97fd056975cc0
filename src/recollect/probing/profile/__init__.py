"""What a probe finds: a memory function with its band, and the numbers that describe it."""

from recollect.probing.profile.decay_law import DecayLaw, decay_law
from recollect.probing.profile.estimate import LagEstimate
from recollect.probing.profile.interval import Interval
from recollect.probing.profile.memory_of import memory_of
from recollect.probing.profile.memory_profile import MemoryProfile
from recollect.probing.profile.numbers import MemoryNumbers, memory_numbers

__all__ = [
    "DecayLaw",
    "Interval",
    "LagEstimate",
    "MemoryNumbers",
    "MemoryProfile",
    "decay_law",
    "memory_numbers",
    "memory_of",
]
