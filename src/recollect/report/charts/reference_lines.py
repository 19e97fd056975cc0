"""What layers are held against, in grey: theory, or the best there is."""

from collections.abc import Mapping

import altair as alt

Lines = Mapping[str, tuple[str, list[int]]]
"""By column of the rows: the name in the legend, and the dashes."""


def reference_lines(lines: Lines, x: alt.X, value_title: str) -> alt.Chart:
    """One line for each column, the same for every layer of a task: drawn once in each panel.

    A column without numbers gets no line.
    """
    titles = " : ".join(f"datum.key == '{column}' ? '{name}'" for column, (name, _) in lines.items())
    names, dashes = zip(*lines.values(), strict=True)
    return (
        alt.Chart()
        .transform_filter("datum.place == 0")
        .transform_fold([*lines], as_=["key", "reference_value"])
        .transform_filter("isValid(datum.reference_value)")
        .transform_calculate(reference=f"{titles} : ''")
        .mark_line(strokeWidth=1.6, color="#59636e", clip=True)
        .encode(
            x=x,
            y=alt.Y("reference_value:Q"),
            strokeDash=alt.StrokeDash(
                "reference:N",
                # Without a domain of its own a legend that is empty has no size, and the chart neither.
                scale=alt.Scale(domain=[*names], range=[*dashes]),
                legend=alt.Legend(title=None, orient="bottom", columns=2, symbolSize=500, labelLimit=280),
            ),
            detail="family:N",
            tooltip=[
                alt.Tooltip("reference:N"),
                alt.Tooltip("reference_value:Q", format=".3~g", title=value_title),
            ],
        )
    )
