"""Training and validation error against steps."""

from typing import Any

import altair as alt

from recollect.report.charts.comparison import LEGEND, Comparison, error_axis

_TITLE = "error, loss"


def loss_curves(comparison: Comparison) -> dict[str, Any]:
    """For the rows of one task: per model a solid line for validation, a faint one for training."""
    base = (
        alt.Chart(alt.NamedData("curve"))
        .transform_flatten(["step", "train_loss", "validation_error"])
        .encode(
            x=alt.X(
                "step:Q", title="step", axis=alt.Axis(format="~s", tickCount=5), scale=alt.Scale(nice=False)
            ),
            color=comparison.colour(LEGEND),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("step:Q"),
                alt.Tooltip("validation_error:Q", format=".3~g", title="validation"),
                alt.Tooltip("train_loss:Q", format=".3~g", title="training"),
            ],
        )
    )
    training = base.mark_line(strokeWidth=1, opacity=0.35).encode(y=error_axis("train_loss", _TITLE))
    validation = base.mark_line(strokeWidth=2).encode(y=error_axis("validation_error", _TITLE))
    return (
        (training + validation)
        .properties(
            width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), height=220
        )
        .to_dict()
    )
