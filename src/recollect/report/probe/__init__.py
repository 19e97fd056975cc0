"""A probe as a page or a figure, from its document alone."""

from recollect.report.probe.document import probe_document
from recollect.report.probe.page import write_probe

__all__ = ["probe_document", "write_probe"]
