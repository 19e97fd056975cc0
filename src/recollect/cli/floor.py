"""`recollect floor`: what a class of models cannot do with a memory function, beside what it can."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from recollect.cli.console import err, out
from recollect.cli.floor_table import print_answers, print_floors, print_key
from recollect.cli.options import parse_options, read_yaml
from recollect.cli.output_file import output_file, tell
from recollect.core import ConfigError, lookup
from recollect.floors import (
    Floor,
    LinearRecurrence,
    ModelClass,
    Problem,
    SizeAnswer,
    Weighting,
    find_class,
    smallest_size,
)
from recollect.floors.asymptotic import power_law
from recollect.floors.classes import BOUNDED
from recollect.floors.search import check_target
from recollect.memory import FAMILIES, AbstractMemoryFunction, energy_horizon, from_horizon
from recollect.report.charts.floor_by_size import floor_by_size, write_floor_chart

_ENDINGS = (".html", ".svg", ".png", ".pdf")
_MOST_SIZES = 4096
_POSITIONS = {
    "uniform": "NMSE at the last position",
    "window": "NMSE over all positions, from zero state",
}


@dataclass(frozen=True)
class Question:
    """A memory function, its taps over a horizon, and what an error at each lag costs."""

    memory: AbstractMemoryFunction
    problem: Problem

    @property
    def heading(self) -> str:
        """Horizons and metric."""
        h95 = energy_horizon(self.problem.rho)
        return f"horizon {self.problem.length}, H95 {h95}, {_POSITIONS[self.problem.weighting]}"

    def rows(self, name: str, model_class: ModelClass, floors: dict[int, Floor]) -> list[dict[str, Any]]:
        """Plain JSON: an object for each size, with the asymptotic law where one is known."""
        law = None
        if isinstance(model_class, LinearRecurrence) and model_class.readout == "linear":
            law = power_law(self.memory, feed_through=model_class.feed_through)
        return [
            {"model": name, "unit": model_class.unit, "size": size, **_numbers(floor)}
            | ({} if law is None else {"law": law.nmse(size)})
            for size, floor in floors.items()
        ]


def floor_command(
    family: str,
    alpha: float | None,
    h95: int | None,
    options: Sequence[str],
    horizon: int,
    models: Sequence[str],
    size: str | None,
    weighting: Weighting,
    target: float | None,
    output: Path | None,
    *,
    feed_through: bool,
    as_json: bool,
) -> None:
    """See `recollect.cli.app.floor`."""
    sizes = None if size is None else parse_sizes(size)
    if target is not None:
        check_target(target)
    names = list(dict.fromkeys(models)) or ([*BOUNDED] if target is not None else ["ssm"])
    classes = {name: find_class(name, feed_through=feed_through) for name in names}
    memory = _memory(family, alpha, h95, options, horizon)
    question = Question(memory, Problem(_taps(memory, horizon), weighting))
    path = output_file(output, _ENDINGS, "recollect-floor.html", as_json=as_json)
    if not as_json:
        heading = Text.assemble((memory.label, "bold"), f", {question.heading}\n")
        out.print(heading, highlight=False)
    if target is None:
        document = rows = _floors(question, classes, sizes, as_json=as_json)
    else:
        answers = _answers(question, classes, target, sizes)
        rows = [row for name, it in classes.items() for row in question.rows(name, it, answers[name].floors)]
        document = [_answer_row(name, it, answers[name]) for name, it in classes.items()]
        if not as_json:
            print_answers(classes, answers, target)
    if as_json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    drawn = [row for row in rows if row["binding"]]
    if path is not None and drawn:
        spec = floor_by_size(drawn, title=memory.label, subtitle=question.heading, target=target)
        tell("Chart", write_floor_chart(spec, path), as_json=as_json)


def parse_sizes(text: str) -> list[int]:
    """Sizes as the command line takes them: `4`, `1,2,4`, or `1:32` with both ends; rising, each once.

    Example:
        >>> parse_sizes("8,1:4")
        [1, 2, 3, 4, 8]
    """
    found: set[int] = set()
    for part in text.split(","):
        ends = [end.strip() for end in part.split(":")]
        if len(ends) > 2 or not all(end.isdecimal() for end in ends):
            raise ConfigError(f"--size {text!r}: expected 4, or 1,2,4, or 1:32; cannot read {part!r}.")
        first, last = int(ends[0]), int(ends[-1])
        if first < 1:
            raise ConfigError(f"--size {text!r}: sizes are at least 1, got {first}.")
        if last < first:
            raise ConfigError(f"--size {text!r}: the range {part} is reversed; write {last}:{first}.")
        if last - first >= _MOST_SIZES:
            raise ConfigError(f"--size {text!r}: a range holds at most {_MOST_SIZES} sizes.")
        found.update(range(first, last + 1))
    return sorted(found)


def _memory(
    family: str, alpha: float | None, h95: int | None, options: Sequence[str], horizon: int
) -> AbstractMemoryFunction:
    """The memory function, from a family's name and options or from a mapping."""
    data: dict[str, Any] = read_yaml(family) if family.lstrip().startswith("{") else {"family": family}
    given = parse_options(options, "width=3")
    if "family" in given:
        raise ConfigError(
            f"--option family={given['family']}: the family is the first argument, here {family!r}; "
            "change it there."
        )
    data |= given
    name = str(data.get("family"))
    fields = lookup(FAMILIES, name, "memory function").model_fields
    for field in data:
        lookup(fields, field, f"field of {name}")
    strengths = [alpha is not None, h95 is not None, "alpha" in data]
    if sum(strengths) > 1:
        raise ConfigError("--alpha, --h95 and a field `alpha` all set the strength: give one of them.")
    if "alpha" in fields and not any(strengths):
        raise ConfigError(f"{name} needs a strength: --alpha, or --h95 (lags that hold 95 % of its energy).")
    if h95 is not None:
        del data["family"]
        return from_horizon(name, h95, horizon, **data)
    return FAMILIES[name].parse(data | ({} if alpha is None else {"alpha": alpha}), where=name)


def _taps(memory: AbstractMemoryFunction, horizon: int) -> Any:
    if not memory.values(horizon).any():
        raise ConfigError(
            f"{memory.label} is zero at every lag below {horizon}: take a larger --horizon or another alpha."
        )
    return memory.values(horizon, normalisation="l2")


def _floors(
    question: Question, classes: dict[str, ModelClass], sizes: Sequence[int] | None, *, as_json: bool
) -> list[dict[str, Any]]:
    """The floors of each class, printed as they come."""
    rows: list[dict[str, Any]] = []
    for place, (name, model_class) in enumerate(classes.items(), start=1):
        asked = sizes or [2**k for k in range(4 if model_class.unit == "heads" else 6)]
        with err.status(
            f"{place}/{len(classes)} {name}: {len(asked)} sizes up to {asked[-1]} {model_class.unit}"
        ):
            floors = model_class.floors(question.problem, asked)
        found = question.rows(name, model_class, dict(zip(asked, floors, strict=True)))
        if not as_json:
            print_floors(name, model_class.unit, found)
        rows += found
    if not as_json:
        print_key(rows)
    return rows


def _numbers(floor: Floor) -> dict[str, Any]:
    return {
        "lower": floor.lower,
        "attained": floor.attained,
        "binding": floor.binding,
        "how": floor.how,
    }


def _answers(
    question: Question, classes: dict[str, ModelClass], target: float, sizes: Sequence[int] | None
) -> dict[str, SizeAnswer]:
    """For each class the smallest size for a target, up to the largest size that was named."""
    answers = {}
    for place, (name, model_class) in enumerate(classes.items(), start=1):
        most = {"taps": question.problem.length, "heads": 8}.get(model_class.unit, 64)
        largest = max(sizes) if sizes else min(most, question.problem.length)
        with err.status(f"{place}/{len(classes)} {name}: smallest size up to {largest} {model_class.unit}"):
            answers[name] = smallest_size(question.problem, model_class, target, largest)
    return answers


def _answer_row(name: str, model_class: ModelClass, answer: SizeAnswer) -> dict[str, Any]:
    """Plain JSON: the answer, the floor at the size that decides, and all that were computed."""
    computed = [{"size": size, **_numbers(floor)} for size, floor in answer.floors.items()]
    return {
        "model": name,
        "unit": model_class.unit,
        "target": answer.target,
        "max_size": answer.max_size,
        "impossible_below": answer.impossible_below,
        "smallest_attaining": answer.attained_at,
        **next(row for row in computed if row["size"] == answer.deciding_size),
        "computed": computed,
    }
