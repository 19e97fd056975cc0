"""`recollect show`: one memory function, task, model, study or stored run."""

import json
from typing import Any

import typer
import yaml
from pydantic import BaseModel
from rich.table import Table

from recollect.cli.console import out
from recollect.cli.entries import CATEGORIES
from recollect.cli.layers import find_layer
from recollect.cli.stored_run import find_run
from recollect.core import ConfigError, suggestion
from recollect.memory import FAMILIES
from recollect.models import LAYERS, MIXERS, MixerFacts, mixer_facts
from recollect.studies import DEFAULT_URL, STUDIES, find_study
from recollect.tasks import TASKS


def show_command(name: str, store: str | None, *, as_json: bool) -> None:
    """See `recollect.cli.app.show`."""
    document = _entry(name) or _stored_run(name, store or DEFAULT_URL)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    for title, value in document.items():
        if isinstance(value, str) and "\n" in value:
            out.print(f"[bold]{title}[/]")
            out.print(value, markup=False, highlight=False, soft_wrap=True)
        elif isinstance(value, list):
            out.print(_options_table(value))
        elif isinstance(value, dict):
            out.print(f"[bold]{title}[/]")
            out.print(yaml.safe_dump(value, sort_keys=False).rstrip(), markup=False, highlight=False)
        else:
            out.print(f"[bold]{title}[/]: {value}", highlight=False)


def _entry(name: str) -> dict[str, Any] | None:
    if name in FAMILIES:
        return {"memory function": name, "about": _text("memory", name), "options": _fields(FAMILIES[name])}
    if name in TASKS:
        return {"task": name, "about": _text("tasks", name), "options": _fields(TASKS[name])}
    if name in MIXERS or name in LAYERS:
        facts = mixer_facts(name)
        options = [
            {"option": o.name, "type": o.type, "default": "required" if o.required else str(o.default)}
            for o in facts.options
        ]
        return {
            "model" if name in MIXERS else "layer": name,
            "about": facts.description,
            **_composition(name),
            "state size": _state(facts),
            "receptive field": facts.receptive_field or "unbounded",
            "linear and time-invariant": facts.is_lti,
            "options": options,
        }
    if name in STUDIES:
        study = find_study(name)
        size = {"runs": study.most_runs, "seeds": study.seeds}
        return {"study": name, **size, "definition": study.model_dump(mode="json")}
    return None


def _composition(name: str) -> dict[str, str]:
    """A named regression layer at dim 32, as it describes itself."""
    layer = find_layer(name)
    return {} if layer is None else {"at dim 32": str(layer.describe())}


def _stored_run(prefix: str, url: str) -> dict[str, Any]:
    record = find_run(prefix, url)
    if record is None:
        known = [name for category in CATEGORIES.values() for name in category()]
        hint = suggestion(prefix, known) or "; `recollect list` names the entries, `recollect runs` the runs."
        raise ConfigError(f"nothing is called {prefix!r}{hint}")
    return record.model_dump(mode="json", exclude={"series"})


def _state(facts: MixerFacts) -> str:
    growth = f", and {facts.state_growth} more a position" if facts.state_growth else ", whatever the length"
    return f"{facts.state_size} scalars at dim 32{growth}"


def _text(category: str, name: str) -> str:
    return CATEGORIES[category]()[name]


def _fields(model: type[BaseModel]) -> list[dict[str, str]]:
    return [
        {
            "option": name,
            "type": str(getattr(field.annotation, "__name__", field.annotation)),
            "default": "required"
            if field.is_required()
            else str(field.get_default(call_default_factory=True)),
        }
        for name, field in model.model_fields.items()
    ]


def _options_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(*rows[0]) if rows else Table("no options")
    for row in rows:
        table.add_row(*[str(value) for value in row.values()])
    return table
