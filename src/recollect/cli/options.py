"""Options that several commands share."""

from typing import Annotated

import typer

from recollect.core import ConfigError, suggestion
from recollect.studies import DEFAULT_URL, Store

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="RECOLLECT_STORE",
        help="Result store: an SQLAlchemy URL (SQLite or PostgreSQL).",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on standard output, progress on standard error."),
]
DEFAULT_STORE = DEFAULT_URL


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
