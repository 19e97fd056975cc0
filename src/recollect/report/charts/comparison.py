"""What a report compares, and the scales that keep a model's colour and mark the same in every chart."""

from dataclasses import dataclass

import altair as alt
import pandas as pd

_COLOURS = (
    "#3a86d4", "#ee7733", "#0d9f87", "#cc3377", "#a58a00", "#8a63d2", "#2fb3d9", "#c7504a", "#6a9a3b", "#8c8c8c",
)  # fmt: skip
_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")

ERROR_FORMAT = ".2~g"


@dataclass(frozen=True)
class Comparison:
    """Labels in the order in which they are shown."""

    models: list[str]
    tasks: list[str]

    @classmethod
    def of(cls, summary: pd.DataFrame) -> "Comparison":
        """Tasks as the summary orders them, models by name."""
        return cls(models=sorted(summary["model"].unique()), tasks=list(summary["task"].unique()))

    def colour(self, legend: alt.Legend | None = None) -> alt.Color:
        colours = [_COLOURS[i % len(_COLOURS)] for i in range(len(self.models))]
        return alt.Color("model:N", scale=alt.Scale(domain=self.models, range=colours), legend=legend)

    def shape(self) -> alt.Shape:
        shapes = [_SHAPES[i % len(_SHAPES)] for i in range(len(self.models))]
        return alt.Shape("model:N", scale=alt.Scale(domain=self.models, range=shapes), legend=None)

    def legend(self) -> alt.Legend:
        """Above the chart, in rows that a phone has room for."""
        return alt.Legend(title=None, orient="top", columns=3, symbolType="stroke", symbolStrokeWidth=3)


def error_axis(field: str, title: str = "NMSE") -> alt.Y:
    """Errors on a logarithmic axis."""
    return alt.Y(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", nice=False, padding=8),
        axis=alt.Axis(format="~g", tickCount=5),
    )
