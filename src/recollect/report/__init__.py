"""Tables, charts and one HTML page, from stored records only."""

from recollect.report.files import write_charts
from recollect.report.page import write_html
from recollect.report.results import Result, results
from recollect.report.runs import runs_table, write_table
from recollect.report.summary import summarise

__all__ = ["Result", "results", "runs_table", "summarise", "write_charts", "write_html", "write_table"]
