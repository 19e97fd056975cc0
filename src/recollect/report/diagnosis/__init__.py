"""A diagnosis as a page or a figure, from its document alone."""

from recollect.report.diagnosis.page import write_diagnosis

__all__ = ["write_diagnosis"]
