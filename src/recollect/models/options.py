"""A mixer's options, read from its constructor's signature: checked, completed and described.

One mechanism for the mixers here and for a user's: the parameters after the first (`dim`) become the
fields of a strict pydantic model, so an unknown name or a wrong type is refused before anything is built.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from recollect.core.config import explain
from recollect.core.errors import ConfigError

Factory = Callable[..., Any]
"""A mixer's class, or a function that returns a mixer; its first argument is the width."""


def complete_options(factory: Factory, options: dict[str, Any], where: str) -> dict[str, Any]:
    """The options given, checked, and beside them every default that is a plain value; as JSON.

    Raises:
        ConfigError: unknown option (with the nearest name), missing option, wrong type.

    Example:
        >>> from recollect.models import TCN
        >>> complete_options(TCN, {"num_level": 3}, "tcn")
        Traceback (most recent call last):
        recollect.core.errors.ConfigError: tcn: unknown field 'num_level'; did you mean 'num_levels'?
    """
    checked = _checked(factory, options, where)
    defaults = {name: field.default for name, field in type(checked).model_fields.items()}
    plain = {name for name, value in defaults.items() if _is_plain(value)}
    return checked.model_dump(mode="json", include=plain | set(options))


def typed_options(factory: Factory, options: dict[str, Any], where: str) -> dict[str, Any]:
    """The options as the annotations of `factory` want them, e.g. a tuple where JSON has a list."""
    checked = _checked(factory, options, where)
    return {name: getattr(checked, name) for name in options}


def options_model(factory: Factory, where: str) -> type[BaseModel]:
    """The pydantic model of the options of `factory`: no annotation means any type.

    Raises:
        ConfigError: where `factory` cannot be called with a width.
    """
    signature = _signature(factory)
    parameters = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    if not parameters or parameters[0].kind in (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    ):
        raise ConfigError(
            f"{where}: expected a mixer that is built as Mixer(dim, **options), got {signature}."
        )
    fields: dict[str, Any] = {}
    extra = "forbid"
    for parameter in parameters[1:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            extra = "allow"
        else:
            annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
            fields[parameter.name] = (
                annotation,
                ... if parameter.default is parameter.empty else parameter.default,
            )
    config = ConfigDict(
        extra=extra, arbitrary_types_allowed=True, allow_inf_nan=False, protected_namespaces=()
    )
    return create_model(f"{where} options", __config__=config, **fields)


def option_type(field: FieldInfo) -> str:
    """The type of an option as text, e.g. `'real' | 'complex'`."""
    text = inspect.formatannotation(field.annotation)
    return (
        text.removeprefix("Literal[").removesuffix("]").replace(", ", " | ") if "Literal[" in text else text
    )


def _checked(factory: Factory, options: dict[str, Any], where: str) -> BaseModel:
    model = options_model(factory, where)
    try:
        # Read as JSON, which is what options are: a list then does for a tuple, "3" never for a number.
        return model.model_validate_json(json.dumps(options), strict=True)
    except ValidationError as error:
        raise ConfigError(explain(error, model, where)) from error


def _signature(factory: Factory) -> inspect.Signature:
    try:
        return inspect.signature(factory, eval_str=True)
    except NameError:  # an annotation that exists for type checkers only
        signature = inspect.signature(factory)
        empty = inspect.Parameter.empty
        return signature.replace(
            parameters=[p.replace(annotation=empty) for p in signature.parameters.values()]
        )


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
