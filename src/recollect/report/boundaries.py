"""Where models fail, in words: measured boundaries beside the best boundary that their class can have.

Theory brackets the class from both sides, on the strengths of the study: below `possible` a model of the
class is known that passes, at the strengths `proven` every model of it fails. Floors need not grow with the
memory: where all fail at one strength, some may pass at a stronger one. All strengths are H95, in lags.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from recollect.studies import ModelBoundary
from recollect.studies.boundary import bracket

Cause = Literal["beyond", "architecture", "explicit", "optimisation", "open"]

CAUSES: dict[Cause, str] = {
    "beyond": "passes where its class is proven to fail, by chance at the threshold or by a defect",
    "architecture": "fails where every model of its class and size must",
    "explicit": "reaches as far as the explicit model of its class",
    "optimisation": "fails where a model of its class and size is known to pass: by optimisation or its form",
    "open": "undecided",
}

RULE = (
    "Fails where an explicit model passes: the whole interval lies below the first strength at which the "
    "explicit model of the class fails. Undecided: the interval reaches further than that, or at some weaker "
    "strength no explicit model is known. Otherwise the strengths at which the median over the seeds passes "
    "and fails are compared. What is proven or constructed is so at the strengths of the study, not between "
    "them, and for this length of the sequence."
)


@dataclass(frozen=True)
class SeriesText:
    """One series of memories.

    Attributes:
        title: of the series.
        lines: what is said, by its heading.
    """

    title: str
    lines: dict[str, str]


def cause(found: ModelBoundary) -> Cause | None:
    """Why a model fails where it does; None where no theorem binds, nothing fails, or too little was run."""
    theory, kind = found.theory, found.boundary.kind
    if not theory.binds or kind == "undecided":
        return None
    _, failed = measured_bracket(found)
    if _beyond(found) is not None:
        return "beyond"
    if failed is None or kind == "never_fails":
        return None
    if theory.must_fail(failed):
        return "architecture"
    if not theory.constructs:
        return "open"
    possible = math.inf if theory.possible is None else theory.possible
    if failed >= possible:
        return "explicit"
    high = math.inf if found.boundary.high is None else found.boundary.high
    return "optimisation" if high < possible else "open"


def measured_bracket(found: ModelBoundary) -> tuple[int | None, int | None]:
    """The strongest memory before the first failure, and the weakest that fails; medians over seeds."""
    return bracket(_medians(found), found.threshold)


def _medians(found: ModelBoundary) -> dict[int, float]:
    """The median error over the seeds, by H95."""
    errors: dict[int, list[float]] = {}
    for point in found.points:
        errors.setdefault(int(point.strength), []).append(math.exp(point.log_error))
    return {h95: median(at) for h95, at in errors.items()}


def _beyond(found: ModelBoundary) -> int | None:
    """The strongest memory before the first failure at which the model passes and is proven to fail."""
    passed, _ = measured_bracket(found)
    tried = (h95 for h95 in _medians(found) if passed is not None and h95 <= passed)
    return max(filter(found.theory.must_fail, tried), default=None)


def measured(found: ModelBoundary) -> str:
    """H95*, or why there is none."""
    match found.boundary.kind:
        case "crosses":
            return f"{found.boundary.strength:.3g}"
        case "never_fails":
            return f"never fails up to {found.h95_high}"
        case "fails_everywhere":
            return "fails everywhere"
        case "undecided":
            return "too few runs"


def interval(found: ModelBoundary) -> str:
    """Of H95*, an open end as the end of the range; empty where it says nothing.

    A boundary that lies outside the range has one where some bootstrap samples lie inside.
    """
    low, high, kind = found.boundary.low, found.boundary.high, found.boundary.kind
    outside = (kind == "never_fails" and low is not None and low < found.h95_high * (1 - 1e-9)) or (
        kind == "fails_everywhere" and high is not None and high > found.h95_low * (1 + 1e-9)
    )
    if kind != "crosses" and not outside:
        return ""
    first = f"<{found.h95_low}" if low is None else f"{low:.3g}"
    last = f">{found.h95_high}" if high is None else f"{high:.3g}"
    return f"[{first}, {last}]"


def alpha_words(found: ModelBoundary) -> str:
    """The boundary as alpha, its interval where both ends are known; empty where it does not cross."""
    if found.alpha is None:
        return ""
    ends = [end for end in (found.alpha_low, found.alpha_high) if end is not None]
    spread = f" [{min(ends):.3g}, {max(ends):.3g}]" if len(ends) == 2 else ""
    return f"{found.alpha:.3g}{spread}"


def theory_words(found: ModelBoundary) -> str:
    """Where the best model of the class fails first, as far as it is known; empty where nothing is proven."""
    theory = found.theory
    if not theory.binds:
        return ""
    first = theory.proven[0][0] if theory.proven else None
    if not theory.constructs:
        return "open" if first is None else f"≤ {first}"
    if theory.possible is None:
        return f"> {found.h95_high}"
    if first is None:
        return f"≥ {theory.possible}"
    return str(first) if first == theory.possible else f"{theory.possible}–{first}"


def passes(found: ModelBoundary) -> str:
    """What the study asks of an error."""
    error = "NMSE" if found.of == "error" else "NMSE above the floor"
    return f"{error} passes {found.threshold:g}"


def by_series(found: Iterable[ModelBoundary]) -> dict[str, list[ModelBoundary]]:
    """The boundaries of each series, in the order of the study."""
    series: dict[str, list[ModelBoundary]] = {}
    for boundary in found:
        series.setdefault(boundary.series, []).append(boundary)
    return series


def series_texts(found: Iterable[ModelBoundary]) -> list[SeriesText]:
    """What the numbers say of each series: who reaches farthest, and why the others do not."""
    return [SeriesText(title, _lines(own)) for title, own in by_series(found).items()]


def without_theory(found: Iterable[ModelBoundary]) -> dict[str, list[str]]:
    """By reason, the models of which nothing is proven."""
    reasons: dict[str, list[str]] = {}
    for boundary in found:
        names = reasons.setdefault(boundary.theory.how, [])
        if not boundary.theory.binds and boundary.model not in names:
            names.append(boundary.model)
    return {reason: names for reason, names in reasons.items() if names}


def untested(found: Sequence[ModelBoundary]) -> list[str]:
    """Sentences on what the boundaries do not say."""
    return list(_untested(found))


def boundary_section(found: Sequence[ModelBoundary]) -> dict[str, Any]:
    """What the page says of the boundaries."""
    return {
        "passes": " or ".join(dict.fromkeys(map(passes, found))),
        "series": list(by_series(found)),
        "models": list(dict.fromkeys(one.model for one in found)),
        "cells": {(one.model, one.series): _cell(one) for one in found},
        "texts": series_texts(found),
        "rule": RULE,
        "without_theory": without_theory(found),
        "untested": untested(found),
    }


def _cell(found: ModelBoundary) -> dict[str, Any]:
    alpha, theory, why = alpha_words(found), theory_words(found), cause(found)
    lines = [interval(found), alpha and f"alpha {alpha}", theory and f"class {theory}", _runs(found)]
    return {
        "measured": measured(found),
        "lines": [line for line in lines if line],
        "title": f"{CAUSES[why]}: {found.theory.how}" if why else found.theory.how,
    }


def _runs(found: ModelBoundary) -> str:
    odd = {"diverged": found.num_diverged, "failed": found.num_failed}
    parts = [_counted(found.num_runs, "run"), *(f"{count} {word}" for word, count in odd.items() if count)]
    return ", ".join(parts)


def _lines(own: Sequence[ModelBoundary]) -> dict[str, str]:
    lines = {"reaches farthest": _farthest(own)}
    for name, words in CAUSES.items():
        models = [f"{found.model} ({_evidence(found, name)})" for found in own if cause(found) == name]
        if models:
            lines[words] = "; ".join(models)
    undecided = [found.model for found in own if found.boundary.kind == "undecided"]
    return lines | ({"too few runs to say": ", ".join(undecided)} if undecided else {})


def _farthest(own: Sequence[ModelBoundary]) -> str:
    """The model with the largest boundary, and those whose intervals reach into its own."""
    reached = {found.model: found for found in own if found.boundary.kind != "undecided"}
    if not reached:
        return "not known yet"
    never = [found for found in reached.values() if found.boundary.kind == "never_fails"]
    if never:
        verb = "never fails" if len(never) == 1 else "never fail"
        return f"{', '.join(found.model for found in never)} ({verb} up to {never[0].h95_high})"
    crossing = [found for found in reached.values() if found.boundary.kind == "crosses"]
    if not crossing:
        return f"none: all of them fail from {own[0].h95_low} on"
    best = max(crossing, key=lambda found: found.boundary.strength or 0.0)
    near = [found for found in crossing if found is not best and _overlap(found, best)]
    others = f"; not told apart from it: {', '.join(map(_named, near))}" if near else ""
    return _named(best) + others


def _named(found: ModelBoundary) -> str:
    return f"{found.model} ({measured(found)} {interval(found)})"


def _overlap(found: ModelBoundary, best: ModelBoundary) -> bool:
    return (found.boundary.high or math.inf) > (best.boundary.low or 0.0)


def _evidence(found: ModelBoundary, name: Cause) -> str:
    passed, failed = measured_bracket(found)
    does = "fails everywhere" if passed is None else f"passes {passed}, fails {failed}"
    must = _proven(found)
    match name:
        case "beyond":
            return f"passes {_beyond(found)}; {must}"
        case "architecture":
            return f"{does}; {must}"
        case "explicit":
            return f"{does}; {_construction(found)}" + (must and f", {must}")
        case "optimisation" | "open":
            return f"{_crossing(found)}; {_construction(found)}" + (must and f", {must}")


def _crossing(found: ModelBoundary) -> str:
    return " ".join(part for part in (measured(found), interval(found)) if part)


def _construction(found: ModelBoundary) -> str:
    if not found.theory.constructs:
        return "an explicit model is not known at every strength"
    if found.possible is None:
        return f"the explicit model passes up to {found.h95_high}"
    return f"the explicit model first fails at {found.possible}"


def _proven(found: ModelBoundary) -> str:
    """Where every model fails; empty where that is proven of no strength."""
    parts = [_stretch(first, last, found) for first, last in found.theory.proven]
    return f"every model {' and '.join(parts)}" if parts else ""


def _stretch(first: int, last: int, found: ModelBoundary) -> str:
    if first == found.certain:
        return f"from {first} on"
    return f"at {first}" if first == last else f"at {first} to {last}"


def _untested(found: Sequence[ModelBoundary]) -> Iterator[str]:
    ranges: dict[tuple[int, int], list[str]] = {}
    for title, own in by_series(found).items():
        ranges.setdefault((own[0].h95_low, own[0].h95_high), []).append(title)
    named = "; ".join(f"{low} to {high} ({', '.join(titles)})" for (low, high), titles in ranges.items())
    if ranges:
        yield f"H95 was sought from {named}: nothing is known outside."
    falling = [one for one in found if one.theory.proven and one.theory.proven[0][0] != one.certain]
    if falling:
        named = "; ".join(f"{one.model}, {one.series}: {_proven(one)}" for one in falling)
        yield (
            f"Floors need not grow with the memory: failure is proven at some strengths ({named}), and at "
            f"the others of these series a model of the class may pass, at stronger ones too."
        )
    strengths = [len({point.strength for point in one.points}) for one in found]
    runs, seeds = [one.num_runs for one in found], {point.seed for one in found for point in one.points}
    if seeds:
        yield (
            f"Each model was trained at {_span(strengths)} strengths of a series, in {_span(runs)} runs with "
            f"at most {_counted(len(seeds), 'seed')} each: what lies between these strengths is the fit's."
        )
        yield "A model has one size and one learning rate here; another of either may fail elsewhere."
    diverged, failed = sum(one.num_diverged for one in found), sum(one.num_failed for one in found)
    if diverged:
        yield f"Counted as failures: {_counted(diverged, 'run')} that diverged."
    if failed:
        yield f"Left out: {_counted(failed, 'run')} that ended with an error."


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
