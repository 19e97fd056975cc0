"""The page of a diagnosis: the answer in three sentences, then the evidence."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recollect.diagnosis.sentences import family_title
from recollect.report.diagnosis.figures import (
    figures,
    floor_figures,
    memory_figures,
    memory_functions,
    series_of,
    target_of,
)
from recollect.report.drawn_figure import ENDINGS, write_figure
from recollect.report.drawn_page import write_page
from recollect.report.memory_numbers import named_numbers, shown, shown_interval, value_of, with_interval


def write_diagnosis(document: Mapping[str, Any], path: Path) -> Path:
    """Write the page, or by its ending (svg, png, pdf) the charts of memory and floors; returns `path`.

    Args:
        document: `Diagnosis.document()`, or the same read from JSON.
        path: the file; it is replaced, its folder is made.
    """
    title = f"What {target_of(document)} needs"
    if path.suffix in ENDINGS:
        drawn = {**memory_figures(document), **floor_figures(document)}
        return write_figure([*drawn.values()], path, title=title)
    return write_page(
        "diagnosis.html.j2",
        path,
        document=document,
        figures=figures(document),
        title=title,
        facts=_facts(document),
        sentences=document["sentences"],
        warnings=document.get("warnings") or [],
        notes=series_of(document).get("notes") or [],
        numbers=named_numbers(document),
        taps=_taps(document),
        families=_families(document),
        quality=_quality(document),
        confirmation=_confirmation(document),
        method=_method(document),
        evidence=_evidence(document),
    )


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was read, as labels and values."""
    series = series_of(document)
    inputs = "its own past" if series.get("autonomous") else ", ".join(series.get("inputs") or ())
    return _known(
        [
            ("source", series.get("source")),
            ("input", inputs),
            ("rows", series.get("rows")),
            ("sequences", series.get("sequences")),
            ("step", series.get("step")),
            ("noise", _share(document.get("noise_nmse"))),
            ("target NMSE", _shown_if_any(document.get("target_nmse"))),
        ]
    )


def _known(facts: Sequence[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(label, str(value)) for label, value in facts if value not in (None, "")]


def _shown_if_any(number: Any) -> str | None:
    return None if number is None else shown(number)


def _share(number: Any) -> str | None:
    value = value_of(number)
    return None if value is None else f"{100 * value:.3g} %"


def _taps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The numbers behind the charts, input by input."""
    return [
        {
            "name": name,
            "rows": [
                (lag, *(f"{number:.4g}" for number in numbers))
                for lag, numbers in enumerate(
                    zip(function["values"], function["lower"], function["upper"], strict=True)
                )
            ],
        }
        for name, function in memory_functions(document).items()
    ]


def _families(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the table of families that a theorem binds, and reasons for the others."""
    chosen = (document.get("recommended") or {}).get("family")
    bound, free = [], []
    for each in document.get("recommendations") or ():
        row = {
            "family": family_title(each["family"]),
            "unit": each.get("unit") or "",
            "why": each.get("why") or "",
            "size": shown(each.get("size")),
            "impossible_below": shown(each.get("impossible_below")),
            "floor": shown(each.get("floor")),
            "predicted": shown(each.get("predicted")),
            "state": shown(each.get("state_size")),
            "cost": shown(each.get("cost_per_step")),
            "chosen": each["family"] == chosen,
        }
        (bound if each.get("binding") else free).append(row)
    return {"bound": bound, "free": free}


def _quality(document: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What the data can tell, and what a linear functional cannot: name, value, words."""
    remainder, excitation = document.get("remainder") or {}, document.get("excitation") or {}
    share = with_interval(document.get("linear_share"), document.get("linear_share_interval"))
    rows = [
        (
            "linear share",
            share,
            "of the variance that the memory function explains on rows it was not fitted to",
        ),
        ("noise", document.get("noise_nmse"), "of the variance that it leaves unexplained"),
        ("reached below", document.get("reached_below"), "total NMSE that counts as reaching the target"),
        (
            "nonlinear remainder, p",
            remainder.get("p_value"),
            "probability of as much nonlinearity if there were none; below 0.05 there is some",
        ),
        (
            "nonlinear remainder, share",
            remainder.get("share"),
            "of the variance, which products and powers add",
        ),
        (
            "condition of the inputs",
            excitation.get("condition"),
            excitation.get("message") or "largest over smallest variance of a direction of lags and inputs",
        ),
        ("directions excited", excitation.get("directions"), _of_possible(excitation)),
    ]
    return [(name, _spelled(number), words) for name, number, words in rows if number is not None]


def _of_possible(excitation: Mapping[str, Any]) -> str:
    possible = excitation.get("possible")
    return "of lags and inputs together" if possible is None else f"of {possible} lags and inputs together"


def _spelled(number: Any) -> str:
    interval = shown_interval(number)
    return shown(number) + (f" ({interval})" if interval else "")


def _confirmation(document: Mapping[str, Any]) -> dict[str, Any] | None:
    found = document.get("confirmation")
    if not found:
        return None
    return {
        "budget": found.get("budget"),
        "noise_there": shown(found.get("noise_there")),
        "num_rows": found.get("num_rows"),
        "adequate": found.get("adequate"),
        "smaller_is_not": found.get("smaller_is_not"),
        "trials": [
            {
                "family": family_title(trial["family"]),
                "size": trial["size"],
                "role": trial["role"],
                "predicted": shown(trial["predicted"]),
                "predicted_there": shown(trial.get("predicted_there")),
                "measured": shown(trial["measured"]),
                "spread": shown(trial.get("measured_se")),
            }
            for trial in found.get("trials") or ()
        ],
    }


def _method(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How it was computed."""
    estimation = document.get("estimation") or {}
    confidence = document.get("confidence")
    delays = estimation.get("delays") or {}
    return _known(
        [
            ("prior", estimation.get("prior")),
            ("lags", document.get("lags")),
            ("confidence", None if confidence is None else f"{100 * confidence:g} %"),
            ("delay", ", ".join(f"{name} {delay}" for name, delay in delays.items() if delay)),
            *_numbers_in(estimation.get("hyperparameters") or {}),
            ("Recollect", document.get("recollect")),
        ]
    )


def _numbers_in(found: Mapping[str, Any], owner: str = "") -> list[tuple[str, str]]:
    """Numbers by their names, with that of the input they belong to."""
    rows = []
    for name, value in found.items():
        if isinstance(value, Mapping):
            rows += _numbers_in(value, f" of {name}")
        elif isinstance(value, int | float):
            rows.append((name.replace("_", " ") + owner, shown(value)))
    return rows


def _evidence(document: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Priors from the most to the least likely: name, log evidence, and how far it is behind."""
    found = {name: value for name, value in _evidences(document).items() if value is not None}
    most = max(found.values(), default=0.0)
    ordered = sorted(found.items(), key=lambda pair: -pair[1])
    return [(name, f"{value:.1f}", f"{value - most:.1f}") for name, value in ordered]


def _evidences(document: Mapping[str, Any]) -> Mapping[str, float | None]:
    return (document.get("estimation") or {}).get("evidence") or {}
