"""The stored run that an id, or its beginning, stands for."""

from recollect.core import ConfigError
from recollect.studies import Record, Store


def find_run(prefix: str, url: str) -> Record | None:
    """The only run whose id begins so; None where there is none, or where it is no beginning of an id.

    Raises:
        ConfigError: several runs begin so.
    """
    if not prefix or any(char not in "0123456789abcdef" for char in prefix):
        return None
    with Store(url) as store:
        found = store.find(prefix)
    if len(found) > 1:
        ids = ", ".join(record.id for record in found[:5])
        raise ConfigError(f"{len(found)} runs begin with {prefix!r} ({ids}, ...); give more digits.")
    return found[0] if found else None
