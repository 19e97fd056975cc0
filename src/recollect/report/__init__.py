"""Tables, charts and one HTML page, from stored records only."""



from recollect.report.runs import runs_table, write_table
from recollect.report.summary import summarise

__all__ = ["runs_table", "summarise", "write_charts", "write_html", "write_table"]
