"""Many layers in one chart: a colour each while they are few, else a panel for each family."""

from collections.abc import Sequence
from dataclasses import replace

import altair as alt

from recollect.report.charts.comparison import LEGEND, Comparison
from recollect.report.layer_families import FAMILIES

FEW = 8
"""Models that one panel can hold."""

_LINE_HEIGHT = 12
_PALETTE = tuple(replace(Comparison.of([]), models=[f"{place}" for place in range(10)]).colours.values())


FAMILY_SCALE = alt.Scale(range=list(_PALETTE))
"""Of the families that are present, in the order of `FAMILIES`."""


def family_colour(legend: alt.Legend | None = None) -> alt.Color:
    """By family."""
    return alt.Color("family:N", scale=FAMILY_SCALE, sort=list(FAMILIES.values()), legend=legend)


def variant_colour(legend: alt.Legend = LEGEND) -> alt.Color:
    """By variant: what is left of models that differ in size, or in one option."""
    return alt.Color("variant:N", scale=alt.Scale(range=list(_PALETTE)), sort=None, legend=legend)


def layer_colour(comparison: Comparison) -> alt.Color:
    """By model; in panels by its place in the family, which `names_in_panels` writes out."""
    if not is_crowded(comparison):
        return comparison.colour(LEGEND)
    scale = alt.Scale(domain=list(range(len(_PALETTE))), range=list(_PALETTE))
    return alt.Color("place:O", scale=scale, legend=None)


def is_crowded(comparison: Comparison) -> bool:
    """Whether the models need a panel for each family."""
    return len(comparison.models) > FEW


def highlighted() -> alt.Parameter:
    """A click on a line singles its model out; a click beside it takes all."""
    return alt.selection_point(name="model_picked", fields=["model"], on="click")


def in_panels(
    layers: list[alt.Chart], comparison: Comparison, table: str, columns: Sequence[str], *, names_at: str
) -> alt.LayerChart | alt.FacetChart:
    """The layers over the rows of `table`, which have `family`, `model` and `place`.

    Args:
        layers: charts without data; colours are those of `layer_colour`.
        comparison: what is compared.
        table: name of the dataset.
        columns: its columns of numbers, which become rows.
        names_at: the corner where the lines leave room for names, `top` or `bottom`.
    """
    if not is_crowded(comparison):
        single = alt.layer(*layers, data=alt.NamedData(table)).transform_flatten([*columns])
        return single.properties(
            width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), height=240
        )
    order = list(FAMILIES.values())
    return (
        alt.layer(*layers, _names(names_at))
        .properties(width=230, height=180)
        .facet(facet=alt.Facet("family:N", title=None, sort=order), columns=3, data=alt.NamedData(table))
        .transform_flatten([*columns])
    )


def headroom(column: str) -> alt.Chart:
    """An unseen point that keeps room for names above all lines of a logarithmic axis."""
    return (
        alt.Chart()
        .transform_aggregate(largest=f"max({column})")
        .transform_calculate(top="datum.largest * 12")
        .mark_point(opacity=0)
        .encode(y="top:Q")
    )


def _names(corner: str) -> alt.Chart:
    """The names of a panel's layers in their colours, one below the other."""
    step = f"datum.place * {_LINE_HEIGHT}"
    offset = alt.ExprRef(f"7 + {step}" if corner == "top" else f"-6 - {step}")
    scale = alt.Scale(domain=list(range(len(_PALETTE))), range=list(_PALETTE))
    return (
        alt.Chart()
        .transform_aggregate(groupby=["model", "family", "place"])
        .mark_text(align="left", fontSize=10, fontWeight="bold", dy=offset, baseline="middle")
        .encode(
            x=alt.value(5),
            y=alt.value(0) if corner == "top" else alt.value("height"),
            text="model:N",
            color=alt.Color("place:O", scale=scale, legend=None),
        )
    )
