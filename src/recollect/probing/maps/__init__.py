"""What can be probed: any causal map of sequences, its inputs, and the promise to leave it as it was."""

from recollect.probing.maps.causality import check_causal
from recollect.probing.maps.guard import untouched
from recollect.probing.maps.of_model import sequence_map
from recollect.probing.maps.sequence_map import SequenceMap

__all__ = ["SequenceMap", "check_causal", "sequence_map", "untouched"]
