"""A profile as a Parquet file: a table for every program, and in its metadata what makes it a profile.

The table has the columns of `lag_table`, and `position`. The metadata under `recollect.memory_profile` is
JSON: the version of this format, the name, the confidence, and for each position what `LagEstimate` says
besides its values. Numbers are read back to the bit.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from recollect.core import ConfigError
from recollect.probing.profile.estimate import LagEstimate
from recollect.probing.profile.profile_table import lag_table

VERSION = 1
_KEY = b"recollect.memory_profile"
_BY_LAG = ("values", "standard_errors", "rms")
_BY_CHANNEL = ("output_variance", "input_variance")


def write_profile(
    path: Path, estimates: Mapping[int, LagEstimate], *, last: int, confidence: float, name: str
) -> None:
    """Write the estimates, by position, to one file; `last` is the position the profile is about.

    Raises:
        ConfigError: `path` does not end in .parquet, or cannot be written.
    """
    if path.suffix != ".parquet":
        raise ConfigError(f"a profile is saved as .parquet, got {str(path)!r}.")
    table = pd.concat(
        [
            lag_table(estimate, confidence).assign(position=position)
            for position, estimate in estimates.items()
        ],
        ignore_index=True,
    )
    facts = {
        "version": VERSION,
        "name": name,
        "confidence": confidence,
        "position": last,
        "estimates": {position: _facts(estimate) for position, estimate in estimates.items()},
    }
    columns = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(columns.schema.metadata or {}), _KEY: json.dumps(facts).encode()}
    try:
        pq.write_table(columns.replace_schema_metadata(metadata), path)
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error}") from error


def read_profile(path: Path) -> tuple[dict[int, LagEstimate], dict[str, Any]]:
    """The estimates by position, and the metadata.

    Raises:
        ConfigError: no such file, not a Parquet file, or one without a profile that this version can read.
    """
    try:
        columns = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"cannot read {str(path)!r} as a Parquet file: {error}") from error
    metadata = (columns.schema.metadata or {}).get(_KEY)
    if metadata is None:
        raise ConfigError(
            f"{str(path)!r} is a Parquet file without a memory profile: expected one that "
            "`MemoryProfile.save` has written."
        )
    facts = json.loads(metadata)
    if facts["version"] > VERSION:
        raise ConfigError(
            f"{str(path)!r} has format {facts['version']} of memory profiles, and this version of Recollect "
            f"reads up to {VERSION}: update it."
        )
    table = columns.to_pandas()
    estimates = {
        int(position): _estimate(table[table["position"] == int(position)], known)
        for position, known in facts["estimates"].items()
    }
    return estimates, facts


def _facts(estimate: LagEstimate) -> dict[str, Any]:
    """Everything but what the table holds."""
    known = {each.name: getattr(estimate, each.name) for each in fields(estimate)}
    shape = list(estimate.values.shape)
    lists = {name: known[name].tolist() for name in _BY_CHANNEL}
    rest = {name: value for name, value in known.items() if name not in _BY_LAG}
    return {**rest, **lists, "shape": shape, "has_rms": estimate.rms is not None}


def _estimate(table: pd.DataFrame, known: dict[str, Any]) -> LagEstimate:
    rest = {name: value for name, value in known.items() if name not in ("shape", "has_rms")}
    by_lag = {
        name: torch.from_numpy(np.array(table[column], dtype=np.float64)).reshape(known["shape"])
        for name, column in zip(_BY_LAG, ("value", "standard_error", "rms"), strict=True)
    }
    by_channel = {name: torch.tensor(rest.pop(name), dtype=torch.float64) for name in _BY_CHANNEL}
    return LagEstimate(**rest, **by_channel, **{**by_lag, "rms": by_lag["rms"] if known["has_rms"] else None})
