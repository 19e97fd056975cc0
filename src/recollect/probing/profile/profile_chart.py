"""A memory function with its band, drawn: signed, or its magnitude on a logarithmic axis."""

from typing import TYPE_CHECKING, Any

import altair as alt

if TYPE_CHECKING:
    from recollect.probing.profile.memory_profile import MemoryProfile

_BLUE, _ORANGE, _GREY = "#3a86d4", "#ee7733", "#59636e"
_MEAN, _RMS = "mean, with its band", "root mean square"
_DECADES = 6
"""Most that a logarithmic axis shows below the largest value."""

_FEW = 40
"""Lags up to which each gets a point."""


def profile_chart(profile: "MemoryProfile", *, log: bool, most_channels: int) -> alt.TopLevelMixin:
    """A panel for each pair of output and input, those of the largest energy; one alone has no heading.

    The dashed line is the root mean square of the Jacobian, where it is known: above the mean's magnitude it
    is memory that depends on the content.
    """
    pairs = _largest(profile, most_channels)
    rows = [row for pair in pairs for row in _rows(profile, *pair)]
    layers = [_band(log), _line(len(profile.values)), *([_rms()] if profile.rms is not None else [])]
    if not log:
        layers.insert(0, alt.Chart().mark_rule(strokeWidth=0.8, color=_GREY).encode(y=alt.datum(0)))
    chart = alt.layer(*layers, data=alt.Data(values=_magnitudes(rows) if log else rows))
    title = alt.Title(
        f"Memory of {profile.name}", subtitle=_key(profile, len(pairs)), anchor="start", subtitleColor=_GREY
    )
    if len(pairs) == 1:
        return chart.properties(width=620, height=280, title=title, background="white")
    panel = alt.Facet(
        "channel:N",
        title=None,
        header=alt.Header(labelFontSize=11, labelColor=_GREY),
        sort=[_heading(profile, *pair) for pair in pairs],
    )
    panels = chart.properties(width=300, height=160).facet(facet=panel, columns=2)
    return panels.properties(title=title, background="white")


def _largest(profile: "MemoryProfile", most: int) -> list[tuple[int, int]]:
    """Pairs of output and input, in their order."""
    energy = profile.values.square().sum(0)
    kept = energy.flatten().topk(min(max(most, 1), energy.numel())).indices.sort().values
    return [divmod(int(place), energy.shape[1]) for place in kept]


def _heading(profile: "MemoryProfile", output: int, channel: int) -> str:
    """What tells a pair from the others."""
    _, outputs, inputs = profile.values.shape
    named = {f"output {output}": outputs, f"input {channel}": inputs}
    return ", ".join(name for name, count in named.items() if count > 1)


def _rows(profile: "MemoryProfile", output: int, channel: int) -> list[dict[str, Any]]:
    known = {"value": profile.values, "lower": profile.lower, "upper": profile.upper, "rms": profile.rms}
    columns = {
        name: numbers[:, output, channel].tolist() for name, numbers in known.items() if numbers is not None
    }
    heading = _heading(profile, output, channel)
    return [
        {"channel": heading, "lag": lag, **dict(zip(columns, numbers, strict=True))}
        for lag, numbers in enumerate(zip(*columns.values(), strict=True))
    ]


def _magnitudes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Magnitudes and their bands, cut at the lower end of the axis."""
    largest = max(max(abs(row["value"]), row["upper"], -row["lower"]) for row in rows)
    smallest = min((abs(row["value"]) for row in rows if row["value"]), default=1.0)
    bottom = max(smallest / 2, 10.0**-_DECADES * largest)
    return [
        {
            **row,
            "value": max(abs(row["value"]), bottom),
            "lower": max(row["lower"], -row["upper"], bottom),
            "upper": max(-row["lower"], row["upper"], bottom),
            **({"rms": max(row["rms"], bottom)} if "rms" in row else {}),
        }
        for row in rows
    ]


def _band(log: bool) -> alt.Chart:
    scale: Any = alt.Scale(type="log", nice=False) if log else alt.Scale()
    axis = alt.Axis(format="~g", tickCount=4 if log else 6, grid=not log)
    y = alt.Y("lower:Q", title="magnitude" if log else "memory function", scale=scale, axis=axis)
    lag = alt.X("lag:Q", title="lag", scale=alt.Scale(nice=False, padding=6), axis=alt.Axis(grid=False))
    return alt.Chart().mark_area(opacity=0.28, color=_BLUE).encode(x=lag, y=y, y2="upper:Q")


def _line(lags: int) -> alt.Chart:
    return (
        alt.Chart()
        .transform_calculate(series=repr(_MEAN))
        .mark_line(strokeWidth=1.8, point={"size": 22} if lags <= _FEW else False)
        .encode(
            x="lag:Q",
            y="value:Q",
            color=_colour(),
            tooltip=[
                alt.Tooltip("lag:Q"),
                *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("value", "lower", "upper", "rms")),
            ],
        )
    )


def _rms() -> alt.Chart:
    return (
        alt.Chart()
        .transform_calculate(series=repr(_RMS))
        .mark_line(strokeWidth=1.4, strokeDash=[5, 3])
        .encode(x="lag:Q", y="rms:Q", color=_colour())
    )


def _colour() -> alt.Color:
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=2.5)
    return alt.Color("series:N", scale=alt.Scale(domain=[_MEAN, _RMS], range=[_BLUE, _ORANGE]), legend=legend)


def _key(profile: "MemoryProfile", shown: int) -> list[str]:
    estimate, numbers = profile.estimate, profile.numbers
    lines = [
        f"{estimate.estimator}, {estimate.samples} sequences, {estimate.background}; "
        f"band at {100 * profile.confidence:g} %",
        f"H50 {numbers.h50.value:g}, H95 {numbers.h95.value:g} of {estimate.length} lags",
    ]
    left_out = estimate.values[0].numel() - shown
    if left_out:
        lines.append(f"{left_out} more pairs of output and input are not shown")
    return lines
