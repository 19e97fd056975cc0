"""Tables of the result store. A change here needs a migration in `studies/migrations/versions`."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("model", Text, nullable=False, index=True),
    Column("task", Text, nullable=False, index=True),
    Column("seed", Integer, nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("facts", JSON, nullable=False),
    Column("config", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("series", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
    Column("error", Text),
    Column("wall_seconds", Float, nullable=False),
    Column("peak_memory_bytes", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

studies = Table(
    "studies",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("definition", JSON, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

study_runs = Table(
    "study_runs",
    metadata,
    Column("study", String(100), ForeignKey("studies.name"), primary_key=True),
    # No foreign key: a study knows its runs before they have records.
    Column("run_id", String(16), primary_key=True),
    Column("position", Integer, nullable=False),
)
