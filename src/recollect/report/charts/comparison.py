"""What a report compares, and the scales that keep a model's colour and mark the same in every chart."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from recollect.report.labels import in_order
from recollect.report.results import Result
from recollect.report.scores import by_criterion

_COLOURS = (
    "#3a86d4", "#ee7733", "#0d9f87", "#cc3377", "#a58a00",
    "#8a63d2", "#2fb3d9", "#c7504a", "#6a9a3b", "#8c8c8c",
    "#1f4e79", "#7f5539",
)  # fmt: skip
_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")


@dataclass(frozen=True)
class Family:
    """One family of memory functions as an axis.

    Attributes:
        alphas: the strengths present, rising.
        falls: whether memory grows as alpha falls.
        levels: what errors are held against where a theorem binds, `floor` and `floor_attained`; those that
            some model has.
    """

    alphas: list[float]
    falls: bool
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scored:
    """What is scored by one criterion: models and tasks in the order in which they are shown."""

    models: list[str]
    tasks: list[str]


@dataclass(frozen=True)
class Comparison:
    """Labels in the order in which they are shown."""

    models: list[str]
    tasks: list[str]
    families: dict[str, Family]
    criteria: dict[str, Scored]

    @classmethod
    def of(cls, found: Sequence[Result]) -> "Comparison":
        """Tasks and families as the results are ordered (from short to long memory), models by name."""
        alphas: dict[str, list[float]] = {}
        for result in found:
            if result.family is not None and result.alpha is not None:
                alphas.setdefault(result.family, []).append(result.alpha)
        return cls(
            models=_models(found),
            tasks=_tasks(found),
            families={
                family: Family(sorted(set(grown)), grown[0] > grown[-1], _levels(found, family))
                for family, grown in alphas.items()
            },
            criteria={
                criterion: Scored(_models(part), _tasks(part))
                for criterion, part in by_criterion(found).items()
            },
        )

    @property
    def colours(self) -> dict[str, str]:
        """By model; the same in every chart and in the text."""
        return {model: _COLOURS[place % len(_COLOURS)] for place, model in enumerate(self.models)}

    def colour(self, legend: alt.Legend | None = None) -> alt.Color:
        scale = alt.Scale(domain=self.models, range=list(self.colours.values()))
        return alt.Color("model:N", scale=scale, legend=legend)

    def fill(self, legend: alt.Legend | None = None) -> alt.Fill:
        scale = alt.Scale(domain=self.models, range=list(self.colours.values()))
        return alt.Fill("model:N", scale=scale, legend=legend)

    def shape(self, legend: alt.Legend | None = None) -> alt.Shape:
        shapes = [_SHAPES[place % len(_SHAPES)] for place in range(len(self.models))]
        return alt.Shape("model:N", scale=alt.Scale(domain=self.models, range=shapes), legend=legend)


def _levels(found: Sequence[Result], family: str) -> tuple[str, ...]:
    """A chart of what nobody has would have an axis without an extent."""
    bounded = [r for r in found if r.family == family and r.floor_binds and r.floor and r.has_value]
    names = ("floor", "floor_attained")
    return tuple(name for name in names if any(getattr(result, name) is not None for result in bounded))


def _models(found: Sequence[Result]) -> list[str]:
    return in_order(result.model for result in found)


def _tasks(found: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(result.task for result in found))


LEGEND = alt.Legend(title=None, orient="top", columns=3, symbolOpacity=1)
"""Above the chart, in rows that a phone has room for. Layers must agree on it, or Vega-Lite warns."""


def error_axis(field: str, title: str = "NMSE") -> alt.Y:
    """Errors on a logarithmic axis."""
    return alt.Y(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", nice=False, padding=8),
        axis=alt.Axis(format="~g", tickCount=5),
    )
