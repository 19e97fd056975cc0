"""Arguments and options of the commands, by name; what several commands share stands first."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Missing(StrEnum):
    """What is done with a missing value."""

    refuse_it = "refuse"
    split_there = "split"


class Estimator(StrEnum):
    """How the memory of a model is measured."""

    auto = "auto"
    jacobian = "jacobian"
    correlation = "correlation"
    impulse = "impulse"
    step = "step"


class Category(StrEnum):
    """What can be listed."""

    memory = "memory"
    tasks = "tasks"
    models = "models"
    layers = "layers"
    studies = "studies"


class Format(StrEnum):
    """What a report can be written as."""

    html = "html"
    svg = "svg"
    png = "png"
    pdf = "pdf"
    csv = "csv"
    parquet = "parquet"


class Weighting(StrEnum):
    """Whose error a floor is about."""

    uniform = "uniform"
    window = "window"


class Status(StrEnum):
    """How a run can have ended."""

    done = "done"
    diverged = "diverged"
    failed = "failed"


Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="RECOLLECT_STORE",
        help="Result store, an SQLAlchemy URL (SQLite or PostgreSQL); sqlite:///recollect.db by default.",
    ),
]

AsJson = Annotated[
    bool,
    typer.Option("--json", help="One JSON document on standard output, progress on standard error."),
]

Family = Annotated[
    str,
    typer.Argument(
        help="A memory function (`recollect list memory`), or a mapping such as "
        "`'{family: sine, frequency: 0.3}'`."
    ),
]

ModelClasses = Annotated[
    list[str] | None,
    typer.Option(
        help="A class of models: ssm (or linear_rnn: any matrix), lru (or s4d: diagonal), real_ssm, "
        "tcn (or fir, gated_conv), linear_tcn, alibi, learned_alibi, relative_bias, no_positions; other "
        "mixers answer why they have no floor. Repeatable; ssm by default."
    ),
]

Sizes = Annotated[
    str | None,
    typer.Option(
        metavar="SIZES",
        help="4, or 1,2,4, or 1:32. Powers of two by default. With --target: the largest one is the "
        "largest that is tried.",
    ),
]

DataFile = Annotated[Path, typer.Argument(help="The data: .csv, .tsv, .parquet, .npy or .npz.")]
InputColumns = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="NAMES",
        help="Columns that may be remembered, e.g. u1,u2. Without: the target is predicted one step "
        "ahead from its own past.",
    ),
]
TargetColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The column to predict; needed where several are numbers."),
]
GroupColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="A column that tells several sequences apart.")
]
TimeColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A column of numbers or dates; gaps in it split the sequence."),
]
MissingPolicy = Annotated[Missing, typer.Option(help="Refuse missing values, or split the sequence there.")]
OwnPast = Annotated[
    bool, typer.Option("--own-past", help="The target's own past is an input beside the others.")
]
Difference = Annotated[
    bool, typer.Option("--difference", help="Take step-to-step changes of all columns first.")
]
Lags = Annotated[
    int | None, typer.Option(min=1, help="Lags of the memory function; chosen from the data by default.")
]
TargetNmse = Annotated[
    float | None,
    typer.Option(metavar="NMSE", help="Error to reach, noise included; the noise found by default."),
]
Confirm = Annotated[bool, typer.Option("--confirm", help="Train the recommended and the neighbouring sizes.")]
DiagnosisOutput = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Page (html) or chart (svg, png, pdf); recollect-diagnosis.html unless --json.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")]
Spec = Annotated[
    str,
    typer.Argument(
        help="A stored run's id (it is trained again), a checkpoint, `package.module:attribute`, the "
        "folder of a Hugging Face model, `hf:name`, or a layer (`recollect list models`)."
    ),
]
EstimatorName = Annotated[
    Estimator,
    typer.Option(
        help="jacobian: mean slope; correlation: of black boxes; impulse, step: what jumps do. auto: the "
        "first that fits."
    ),
]
Length = Annotated[int, typer.Option(min=1, help="Number of lags.")]
Samples = Annotated[int, typer.Option(min=4, help="Random sequences that are read.")]
Amplitude = Annotated[
    float | None,
    typer.Option(help="Deviation of the white background; take that of your data. 1 by default."),
]
Background = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A table of numbers to read the model on, a column for each input; or white, or tokens. By "
        "default white, random tokens, or the inputs of a run's task.",
    ),
]
InputSize = Annotated[int | None, typer.Option(min=1, help="Input channels, where the model does not say.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="Argument of a layer, class or function, e.g. dim=16. Repeatable."
    ),
]
Module = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="Only this part of the model, on the inputs it meets there."),
]
Positions = Annotated[
    list[int] | None,
    typer.Option(min=0, help="Also seen from this earlier position. Repeatable."),
]
ProbeOutput = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Page (html), chart (svg, png, pdf) or every number (parquet); recollect-probe.html unless "
        "--json.",
    ),
]
