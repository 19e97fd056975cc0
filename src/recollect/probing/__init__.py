"""The memory function of a sequence map, measured; the audit of a trained model's error."""

from recollect.probing.audit import Audit, audit
from recollect.probing.projection import Projection, Projector

__all__ = ["Audit", "Projection", "Projector", "audit"]
