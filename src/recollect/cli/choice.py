"""Choosing among what a store holds."""

from recollect.core import ConfigError, suggestion
from recollect.studies import Store


def chosen_study(store: Store, study: str | None) -> str | None:
    """The study asked for, the latest one if none is; None where the store has no studies.

    Raises:
        ConfigError: the store has no study of that name.
    """
    known = store.studies()
    if study is None:
        return next(iter(known), None)
    if study not in known:
        hint = suggestion(study, known) or f". Stored: {', '.join(known) or 'none'}."
        raise ConfigError(f"the store {store.url} has no study {study!r}{hint}")
    return study
