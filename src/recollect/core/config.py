"""The base of every configuration: frozen, strict, hashable through its canonical JSON."""

import hashlib
import json
import types
from collections.abc import Iterator
from typing import Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from recollect.core.errors import ConfigError
from recollect.core.names import suggestion


class Config(BaseModel):
    """A frozen value. Unknown fields are refused, with the nearest known name.

    Example:
        >>> class Grid(Config):
        ...     length: int
        >>> Grid.parse({"lenght": 64})
        Traceback (most recent call last):
        recollect.core.errors.ConfigError: grid: unknown field 'lenght'; did you mean 'length'?
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @classmethod
    def parse(cls, data: Any, where: str = "") -> Self:
        """Validate plain data (from YAML, JSON or Python).

        Raises:
            ConfigError: names each offending field, what was expected there and what came.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(explain(error, cls, where or cls.__name__.lower())) from error

    def canonical_json(self) -> str:
        """One string per value: sorted keys, no blanks, every default spelled out."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """The message of a pydantic error in our form: path, expectation, what came, nearest name."""
    lines = list(dict.fromkeys(_explain_one(item, model, where) for item in error.errors()))
    # A field that is there under a misspelt name is not worth a second complaint.
    meant = {line.rpartition("did you mean ")[2].rstrip("?") for line in lines if "did you mean " in line}
    needed = [
        line for line in lines if not any(line.endswith(f"field {name} is required.") for name in meant)
    ]
    return "\n".join(needed)


def _explain_one(item: ErrorDetails, model: type[BaseModel], where: str) -> str:
    path = [str(part) for part in item["loc"]]
    place, parent = ".".join([where, *path]), ".".join([where, *path[:-1]])
    context = item.get("ctx", {})
    match item["type"]:
        case "extra_forbidden":
            known = set(_field_names(model, path[:-1]))
            hint = suggestion(path[-1], known) or f". Known: {', '.join(sorted(known))}."
            return f"{parent}: unknown field {path[-1]!r}{hint}"
        case "missing":
            return f"{parent}: the field {path[-1]!r} is required."
        case "union_tag_not_found":
            return f"{place}: the field {context['discriminator']} is required."
        case "union_tag_invalid":
            name, tag = context["discriminator"].strip("'"), context["tag"]
            tags = [tag.strip().strip("'") for tag in context["expected_tags"].split(",")]
            return f"{place}: unknown {name} {tag!r}{suggestion(tag, tags) or '.'} Known: {', '.join(tags)}."
        case _:
            message = item["msg"].removeprefix("Value error, ")
            return f"{place}: {message} (got {_short(item['input'])})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _field_names(model: type[BaseModel], path: list[str]) -> Iterator[str]:
    """Field names of the model(s) reached from `model` along `path` (list indices and union tags skipped)."""
    models = [model]
    for part in path:
        found = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        if found:
            models = [inner for annotation in found for inner in _models_in(annotation)]
        else:
            tagged = [m for m in models if part in _tags(m)]
            models = tagged or models
    for reached in models:
        yield from reached.model_fields


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    if get_origin(annotation) in (Union, types.UnionType) or get_args(annotation):
        for inner in get_args(annotation):
            yield from _models_in(inner)


def _tags(model: type[BaseModel]) -> set[Any]:
    return {field.default for field in model.model_fields.values()} | {model.__name__}
