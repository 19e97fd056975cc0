"""The general path: every composition that means something runs here, if not in an efficient form."""

from recollect.regression.general.direct import direct
from recollect.regression.general.legal import refuse
from recollect.regression.general.online import online_loop
from recollect.regression.general.per_query import per_query_loop

__all__ = ["direct", "online_loop", "per_query_loop", "refuse"]
