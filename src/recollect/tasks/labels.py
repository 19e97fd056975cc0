"""What a task is called in tables and charts."""

from typing import Any

from recollect.core import Config


def label_kind(task: Config) -> str:
    """The task's `kind`."""
    return str(type(task).model_fields["kind"].default)


def label_of(task: Config, *hidden: str) -> str:
    """`kind(field=value, ...)` with the fields that have no default, or differ from it.

    Example:
        >>> from recollect.tasks import MQAR
        >>> label_of(MQAR(length=64, num_pairs=4))
        'mqar(length=64, num_pairs=4)'
    """
    fields = type(task).model_fields
    shown = [
        f"{name}={_short(getattr(task, name))}"
        for name, field in fields.items()
        if name not in ("kind", *hidden)
        and (field.is_required() or getattr(task, name) != field.get_default(call_default_factory=True))
    ]
    return f"{label_kind(task)}({', '.join(shown)})" if shown else label_kind(task)


def _short(value: Any) -> str:
    """A number as short as it is exact enough, a config by its own label, a tuple by its entries."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_short, value))}]"
    if isinstance(value, Config):
        return str(getattr(value, "label", value))
    return f"{value:g}" if isinstance(value, float) else str(value)
