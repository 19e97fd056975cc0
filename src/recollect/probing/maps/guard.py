"""A model that is probed is left as it was: mode, buffers, gradients, random state."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from recollect.core import ConfigError
from recollect.probing.maps.sequence_map import SequenceMap


@contextmanager
def untouched(of: SequenceMap | nn.Module | None, seed: int = 0) -> Iterator[None]:
    """Inside, a model is in evaluation mode and only its inputs have gradients; afterwards it is as before.

    Restored, also after an exception: of every submodule the training flag, the buffers and the other
    attributes (lists and dictionaries among them one level deep); of every parameter `grad` and
    `requires_grad`; the global random state of PyTorch (CPU and CUDA), NumPy and Python, which inside begins
    at `seed`, so that a map that draws is drawn alike every time; and whether gradients are recorded, which
    inside they are. Parameters are not copied, so that a large model has to fit once: a `forward` that
    writes to them is not undone, nor what it writes into a tensor that is neither parameter nor buffer.

    Cost: a copy of the buffers.

    Raises:
        ConfigError: a lazy module that has not read anything yet, which cannot be undone.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
        >>> with untouched(model):
        ...     model.training, model[0].weight.requires_grad
        (False, False)
        >>> model.training, model[0].weight.requires_grad
        (True, True)
    """
    module = of.module if isinstance(of, SequenceMap) else of
    with (
        _random_state_kept(seed),
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        _differentiable_in_evaluation(module),
    ):
        if module is None:
            yield
            return
        before = _State(module)
        try:
            for part in module.modules():
                part.training = False  # not `eval()`: a user's may do more than that
            for parameter, *_ in before.gradients:
                parameter.requires_grad_(False)
            yield
        finally:
            before.restore()


class _State:
    """What of a module is not its parameters' values."""

    def __init__(self, module: nn.Module) -> None:
        tensors = [*module.parameters(), *module.buffers()]
        if any(is_lazy(tensor) for tensor in tensors):
            raise ConfigError(
                f"{type(module).__name__} has lazy parameters that have no shape yet: let it read a sequence "
                "first, then probe it."
            )
        self.modes = [(part, part.training) for part in module.modules()]
        self.attributes = [(vars(part), dict(vars(part))) for part in module.modules()]
        self.containers = [
            (value, value.copy())
            for _, attributes in self.attributes
            for value in attributes.values()
            if isinstance(value, dict | list)
        ]
        # Parameters that were made in inference mode have no gradients to begin with.
        parameters = [parameter for parameter in module.parameters() if not parameter.is_inference()]
        self.gradients = [(parameter, parameter.requires_grad, parameter.grad) for parameter in parameters]
        self.buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]

    def restore(self) -> None:
        for container, content in self.containers:
            if not _holds(container, content):
                container.clear()
                container.update(content) if isinstance(container, dict) else container.extend(content)
        for current, attributes in self.attributes:
            _restore_attributes(current, attributes)
        for part, training in self.modes:
            part.training = training
        for parameter, required, gradient in self.gradients:
            parameter.requires_grad_(required)
            parameter.grad = gradient
        for buffer, values in self.buffers:
            _restore_values(buffer, values)


def _holds(container: Any, content: Any) -> bool:
    """Whether a list or dictionary holds these very objects."""
    pairs = zip(container, content, strict=False)
    if isinstance(container, dict):
        pairs = ((container[name], content.get(name)) for name in container)
    return len(container) == len(content) and all(now is before for now, before in pairs)


def _restore_attributes(current: dict[str, Any], attributes: dict[str, Any]) -> None:
    for name in current.keys() - attributes.keys():
        del current[name]
    for name, value in attributes.items():
        if current.get(name) is not value:
            current[name] = value


@torch.no_grad()
def _restore_values(buffer: Tensor, values: Tensor) -> None:
    # Only where something changed: writing would invalidate a graph of the caller that still needs it.
    if not torch.equal(buffer, values):
        buffer.copy_(values)


def _differentiable_in_evaluation(module: nn.Module | None) -> AbstractContextManager[Any]:
    """The recurrent layers of cuDNN have no backward pass in evaluation mode; PyTorch's own have."""
    recurrent = module is not None and any(isinstance(part, nn.RNNBase) for part in module.modules())
    return torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()


@contextmanager
def _random_state_kept(seed: int) -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    # A CUDA that nobody has used yet has no state to keep, and must not be started for it.
    on_gpu = torch.cuda.is_initialized()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if on_gpu else ()):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.manual_seed_all(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
