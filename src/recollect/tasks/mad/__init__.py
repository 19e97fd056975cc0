"""The six tasks of mechanistic architecture design (arXiv:2403.17844) and their score."""

from recollect.tasks.mad.base import Factor, MadTask
from recollect.tasks.mad.compression import Compression
from recollect.tasks.mad.fuzzy_recall import FuzzyRecall
from recollect.tasks.mad.in_context_recall import InContextRecall
from recollect.tasks.mad.memorisation import Memorisation
from recollect.tasks.mad.noisy_recall import NoisyRecall
from recollect.tasks.mad.score import MadScore, mad_score
from recollect.tasks.mad.selective_copying import SelectiveCopying

MAD_TASKS: dict[str, type[MadTask]] = {
    "mad_recall": InContextRecall,
    "mad_fuzzy_recall": FuzzyRecall,
    "mad_noisy_recall": NoisyRecall,
    "mad_selective_copying": SelectiveCopying,
    "mad_compression": Compression,
    "mad_memorisation": Memorisation,
}

__all__ = [
    "MAD_TASKS",
    "Compression",
    "Factor",
    "FuzzyRecall",
    "InContextRecall",
    "MadScore",
    "MadTask",
    "Memorisation",
    "NoisyRecall",
    "SelectiveCopying",
    "mad_score",
]
