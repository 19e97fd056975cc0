"""The data of every chart, from one call: pages and files draw from the same numbers."""

from collections.abc import Sequence

from recollect.report.datasets import Datasets, datasets
from recollect.report.floor_datasets import floor_datasets
from recollect.report.recall_datasets import recall_datasets
from recollect.report.results import Result
from recollect.studies.record import Record


def chart_data(records: Sequence[Record], found: Sequence[Result]) -> Datasets:
    """Tables by name, those of all three modules; empty where nothing was recorded."""
    return datasets(records, found) | floor_datasets(records, found) | recall_datasets(records, found)
