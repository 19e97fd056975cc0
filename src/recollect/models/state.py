"""What a model carries from one position to the next, weighed."""

from typing import Any

import torch
from torch import Tensor

from recollect.models.backbone import SequenceModel


@torch.no_grad()
def measured_state_bytes(model: SequenceModel, length: int) -> int | None:
    """Bytes of the tensors that `step` hands on after `length` positions of one sequence.

    Read off the state itself, in the dtype it has, and not from what the mixers say of it. None where a mixer
    cannot be read one position at a time, or fails at it. Cost: `length` steps.

    Example:
        >>> from recollect.models import ModelConfig
        >>> measured_state_bytes(ModelConfig(mixer="gru", dim=8).build(1, 1, seed=0), length=3)
        32
    """
    like = next(model.parameters())
    shape = (1,) if model.is_tokens else (1, model.input_size)
    x_t = torch.zeros(shape, dtype=torch.int64 if model.is_tokens else like.dtype, device=like.device)
    try:
        state: Any = model.initial_state(1)
        for _ in range(length):
            _, state = model.step(x_t, state)
    except Exception:  # A user's `step` may raise anything; what was trained must not be lost to it.
        return None
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(state))


def _tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in state for tensor in _tensors(part)] if isinstance(state, tuple | list) else []
