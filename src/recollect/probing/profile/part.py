"""One module inside a model, as a map of its own: what a single block or layer remembers."""

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from recollect.core import ConfigError
from recollect.probing.maps import SequenceMap
from recollect.probing.maps.readout import Readout

_COUNT, _LENGTH = 32, 64


class _Interrupted(Exception):  # noqa: N818 (nothing went wrong: what comes behind the module is not asked)
    """Ends a forward pass with what was to be seen of it."""

    def __init__(self, seen: Tensor) -> None:
        super().__init__()
        self.seen = seen


def part_of(probed: SequenceMap, path: str, readout: Readout | None = None) -> SequenceMap:
    """The module at `path`, on the inputs that it meets while the model reads its background.

    The model is run with the module's input put in its place, so that everything else the module is handed
    (masks, positions) is as ever; the layers before it are read in vain, those behind it not at all.

    Args:
        probed: the whole model.
        path: of the module, as in `named_modules()`: `blocks.0.mixer`.
        readout: a matrix whose columns combine the module's outputs; all of these if None.

    Raises:
        ConfigError: no such module, one that is never called, one that maps no `(B, T, channels)`, or a
            readout that does not fit.

    Example:
        >>> from recollect.models import ModelConfig
        >>> from recollect.probing.maps import sequence_map
        >>> model = ModelConfig(mixer="lru", dim=4, num_layers=2).build(1, 1, seed=0)
        >>> part = part_of(sequence_map(model), "blocks.1.mixer")
        >>> part.input_size, part.output_size
        (4, 4)
    """
    module = _find(probed, path)

    def draw(count: int, length: int, seed: int) -> Tensor:
        return _met(probed, module, path, probed.draw(count, length, seed).to(probed.device, probed.dtype))

    def apply(x: Tensor) -> Tensor:
        y = _answered(probed, module, path, x)
        if readout is None:
            return y
        if len(readout) != y.shape[-1]:
            raise ConfigError(
                f"readout has {len(readout)} rows, {path} has {y.shape[-1]} outputs: expected as many."
            )
        return y @ readout.to(y)

    met = draw(_COUNT, min(_LENGTH, probed.max_length or _LENGTH), 0)
    with torch.no_grad():
        answer = apply(met)
    return replace(
        probed,
        apply=apply,
        draw=draw,
        input_size=met.shape[-1],
        output_size=answer.shape[-1],
        background=f"what {path} meets while the model reads: {probed.background}",
        input_scale=met.detach().to("cpu", torch.float64).flatten(0, 1).std(0),
        is_white_gaussian=False,
        name=f"{probed.name}, {path}",
        dtype=met.dtype,
    )


def _find(probed: SequenceMap, path: str) -> nn.Module:
    if probed.module is None:
        raise ConfigError(f"module={path!r}: {probed.name} is a plain function; expected a torch.nn.Module.")
    modules = dict(probed.module.named_modules())
    if path in modules and path:
        return modules[path]
    near = get_close_matches(path, modules, n=3, cutoff=0.4)
    raise ConfigError(
        f"module={path!r}: {probed.name} has none of that name; near are {', '.join(near) or 'none'}, and "
        "named_modules() lists all."
    )


@torch.no_grad()
def _met(probed: SequenceMap, module: nn.Module, path: str, background: Tensor) -> Tensor:
    """What the module reads while the model reads the background."""

    def stop(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Interrupted(_sequence(path, [*args, *kwargs.values()]))

    hook = module.register_forward_pre_hook(stop, with_kwargs=True)
    return _seen(probed, path, background, [hook])


def _answered(probed: SequenceMap, module: nn.Module, path: str, x: Tensor) -> Tensor:
    """What the module makes of x."""

    def put(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        met = _sequence(path, [*args, *kwargs.values()])
        exchanged = {name: x if value is met else value for name, value in kwargs.items()}
        return tuple(x if value is met else value for value in args), exchanged

    def stop(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        raise _Interrupted(_sequence(path, output if isinstance(output, tuple | list) else [output]))

    hooks = [module.register_forward_pre_hook(put, with_kwargs=True), module.register_forward_hook(stop)]
    # What the layers before the module read does not matter.
    background = torch.zeros(*x.shape[:2], probed.input_size, dtype=probed.dtype, device=probed.device)
    return _seen(probed, path, background, hooks)


def _seen(probed: SequenceMap, path: str, background: Tensor, hooks: list[RemovableHandle]) -> Tensor:
    try:
        probed.apply(background)
    except _Interrupted as interrupted:
        return interrupted.seen
    finally:
        for hook in hooks:
            hook.remove()
    raise ConfigError(
        f"module={path!r}: {probed.name} never calls it, so that it meets no inputs to be read on."
    )


def _sequence(path: str, values: Iterable[Any]) -> Tensor:
    """The first `(B, T, channels)` among what a module is handed or returns."""
    for value in values:
        if isinstance(value, Tensor) and value.ndim == 3 and value.is_floating_point():
            return value
    raise ConfigError(
        f"module={path!r} reads or returns no (B, T, channels) tensor: choose a layer or a mixer."
    )
