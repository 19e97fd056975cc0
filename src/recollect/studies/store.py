"""The result store: one immutable row per finished run, in SQLite or PostgreSQL."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from recollect.core import StoreError
from recollect.studies import schema
from recollect.studies.record import Record
from recollect.studies.study import Study

DEFAULT_URL = "sqlite:///recollect.db"
_CHUNK = 500
_SAFE = " What was stored before is safe: mend this and run the same command again."


class Store:
    """Records and studies behind a database URL.

    Every write is one transaction. The schema carries its version (Alembic); a new database is set up
    on opening.

    Raises:
        StoreError: the database cannot be opened, belongs to something else, or is full.

    Example:
        >>> with Store("sqlite://") as store:
        ...     store.records()
        []
    """

    def __init__(self, url: str = DEFAULT_URL) -> None:
        try:
            self._engine = sa.create_engine(url)
        except (SQLAlchemyError, ModuleNotFoundError, ValueError) as error:
            raise StoreError(
                f"cannot use the store URL: {_reason(error)}. Expected e.g. {DEFAULT_URL}"
            ) from error
        self.url = self._engine.url.render_as_string(hide_password=True)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _configure_sqlite)
        with self._errors("open"), self._engine.begin() as connection:
            self._prepare(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    def add(self, record: Record) -> None:
        """Store a record. A failed record of the same run is replaced; a finished one stays as it is."""
        row = record.model_dump()
        with self._errors("write to", _SAFE), self._engine.begin() as connection:
            connection.execute(
                sa.delete(schema.runs).where(schema.runs.c.id == record.id, schema.runs.c.status == "failed")
            )
            known = connection.execute(
                sa.select(schema.runs.c.id).where(schema.runs.c.id == record.id)
            ).first()
            if known is None:
                connection.execute(sa.insert(schema.runs), row)

    def statuses(self, ids: Iterable[str]) -> dict[str, str]:
        """Status by id, for the runs among `ids` that have a record."""
        asked, query = list(ids), sa.select(schema.runs.c.id, schema.runs.c.status)
        found: dict[str, str] = {}
        with self._errors("read"), self._engine.connect() as connection:
            for first in range(0, len(asked), _CHUNK):
                part = query.where(schema.runs.c.id.in_(asked[first : first + _CHUNK]))
                found |= {row.id: row.status for row in connection.execute(part)}
        return found

    def save_study(self, study: Study, ids: Sequence[str]) -> None:
        """Remember a study's definition and the ids of its runs, in place of an earlier definition."""
        rows = [{"study": study.name, "run_id": run_id, "position": i} for i, run_id in enumerate(ids)]
        definition = study.model_dump(mode="json")
        with self._errors("write to", _SAFE), self._engine.begin() as connection:
            connection.execute(sa.delete(schema.study_runs).where(schema.study_runs.c.study == study.name))
            connection.execute(sa.delete(schema.studies).where(schema.studies.c.name == study.name))
            connection.execute(
                sa.insert(schema.studies),
                {"name": study.name, "definition": definition, "updated_at": datetime.now(UTC)},
            )
            connection.execute(sa.insert(schema.study_runs), rows)

    def studies(self) -> dict[str, int]:
        """Number of runs of each study, the latest first."""
        query = (
            sa.select(schema.studies.c.name, sa.func.count(schema.study_runs.c.run_id).label("num_runs"))
            .join_from(schema.studies, schema.study_runs)
            .group_by(schema.studies.c.name, schema.studies.c.updated_at)
            .order_by(schema.studies.c.updated_at.desc())
        )
        with self._errors("read"), self._engine.connect() as connection:
            return {row.name: row.num_runs for row in connection.execute(query)}

    def definition(self, name: str) -> Study | None:
        """A study as it was last run; None where no study of that name was."""
        query = sa.select(schema.studies.c.definition).where(schema.studies.c.name == name)
        with self._errors("read"), self._engine.connect() as connection:
            found = connection.execute(query).first()
        return None if found is None else Study.parse(found.definition, name)

    def studies_of(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """Names of the studies that each run belongs to."""
        query = sa.select(schema.study_runs.c.run_id, schema.study_runs.c.study)
        asked, found = set(ids), dict[str, list[str]]()
        with self._errors("read"), self._engine.connect() as connection:
            for row in connection.execute(query.order_by(schema.study_runs.c.study)):
                if row.run_id in asked:
                    found.setdefault(row.run_id, []).append(row.study)
        return found

    def records(self, study: str | None = None) -> list[Record]:
        """All records, or those of one study in its order."""
        query = sa.select(schema.runs)
        if study is None:
            query = query.order_by(schema.runs.c.created_at, schema.runs.c.id)
        else:
            members = schema.study_runs
            query = (
                query.join(members, members.c.run_id == schema.runs.c.id)
                .where(members.c.study == study)
                .order_by(members.c.position)
            )
        with self._errors("read"), self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def records_of(self, ids: Sequence[str]) -> list[Record]:
        """The records among `ids`, in that order."""
        found: dict[str, Record] = {}
        with self._errors("read"), self._engine.connect() as connection:
            for first in range(0, len(ids), _CHUNK):
                part = sa.select(schema.runs).where(schema.runs.c.id.in_(ids[first : first + _CHUNK]))
                found |= {row["id"]: _record(row) for row in connection.execute(part).mappings()}
        return [found[run_id] for run_id in ids if run_id in found]

    def find(self, prefix: str) -> list[Record]:
        """Records whose id starts with `prefix`."""
        query = sa.select(schema.runs).where(schema.runs.c.id.startswith(prefix, autoescape=True))
        with self._errors("read"), self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def _prepare(self, connection: sa.Connection) -> None:
        """Set up an empty database; refuse one that is not ours or of another version."""
        config = AlembicConfig()
        config.set_main_option("script_location", "recollect.studies:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        head = ScriptDirectory.from_config(config).get_current_head()
        current = MigrationContext.configure(connection).get_current_revision()
        if current == head:
            return
        if current is not None:
            raise StoreError(
                f"{self.url} has schema version {current}, this recollect writes {head}; "
                f"use the recollect version that made it, or another store with --store."
            )
        tables = sa.inspect(connection).get_table_names()
        if tables:
            raise StoreError(
                f"{self.url} holds other tables ({', '.join(sorted(tables)[:3])}) and no results; "
                f"name a new file or database with --store."
            )
        command.upgrade(config, "head")

    @contextmanager
    def _errors(self, doing: str, advice: str = "") -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(f"cannot {doing} the store {self.url}: {_reason(error)}.{advice}") from error


def _configure_sqlite(connection: Any, _: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _record(row: sa.RowMapping) -> Record:
    values = dict(row)
    if values["created_at"].tzinfo is None:  # SQLite keeps no time zone; we always write UTC.
        values["created_at"] = values["created_at"].replace(tzinfo=UTC)
    return Record.model_validate(values)


def _reason(error: Exception) -> str:
    """The database's own words, without the statement and its parameters."""
    original = getattr(error, "orig", None)
    return str(original or error).strip().splitlines()[0].rstrip(".")
