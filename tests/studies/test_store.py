import sqlite3

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from recollect.core import StoreError
from recollect.studies import SerialExecutor, Store, execute, run_study, schema


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'results.db'}"


@pytest.fixture
def record(study):
    return execute(study.runs()[0])


def test_a_record_comes_back_as_it_went_in(url, record):
    with Store(url) as store:
        store.add(record)
    with Store(url) as store:
        assert store.records() == [record]
        assert store.find(record.id[:6]) == [record]
        assert store.statuses([record.id, "absent"]) == {record.id: "done"}


def test_a_finished_record_is_never_replaced_but_a_failed_one_is(url, record):
    failed = record.model_copy(update={"status": "failed", "metrics": {}})
    with Store(url) as store:
        store.add(failed)
        store.add(record)
        store.add(failed)
        assert store.records() == [record]


def test_a_study_knows_its_records_in_its_order(url, define):
    first, second = define(name="first"), define(name="second", seeds=2)
    with Store(url) as store:
        run_study(second, store, SerialExecutor())
        store.save_study(first, [run.id for run in first.runs()])
        assert [r.id for r in store.records("first")] == [run.id for run in first.runs()]
        assert [r.id for r in store.records("second")] == [run.id for run in second.runs()]
        assert store.studies() == {"first": 4, "second": 8}
        shared, alone = first.runs()[0].id, second.runs()[1].id
        assert store.studies_of([shared, alone]) == {shared: ["first", "second"], alone: ["second"]}
        store.save_study(second, [run.id for run in first.runs()])
        assert store.studies()["second"] == 4


def test_the_baseline_migration_makes_the_declared_schema(url):
    Store(url).close()
    with sa.create_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_sqlite_writes_ahead(url, tmp_path):
    with Store(url):
        connection = sqlite3.connect(tmp_path / "results.db")
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("nonsense", "cannot use the store URL"),
        ("sqlite:////nowhere/at/all.db", "unable to open"),
        ("oracle+nothing://u:secret@h/d", "cannot use the store URL"),
    ],
)
def test_an_unusable_url_is_refused(bad, message):
    with pytest.raises(StoreError, match=message) as caught:
        Store(bad)
    assert "secret" not in str(caught.value)


def test_a_file_of_something_else_is_left_alone(tmp_path):
    text = tmp_path / "text.db"
    text.write_text("not a database at all, but a text that is long enough to be read as a header" * 20)
    with pytest.raises(StoreError, match="not a database"):
        Store(f"sqlite:///{text}")
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE photos (id INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="holds other tables"):
        Store(f"sqlite:///{other}")


def test_a_store_of_another_version_says_so(url, tmp_path):
    Store(url).close()
    connection = sqlite3.connect(tmp_path / "results.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="schema version 9999"):
        Store(url)
