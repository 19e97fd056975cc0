"""The loss as language models have it: logits at every position, also where nothing is asked."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from recollect.tasks import Batch
from recollect.tasks.tokens import IGNORED
from recollect.training import ParameterLayout
from recollect.training.parameters import Flat
from recollect.training.step import Loss


def full_loss_function(model: nn.Module, layout: ParameterLayout) -> Loss:
    """Cross-entropy of all logits `(B, T, V)`, the label -100 where nothing is asked."""

    def loss(parameters: Flat, batch: Batch) -> Float[Tensor, ""]:
        logits = functional_call(model, layout.unflatten(parameters), (batch.inputs,))
        labels = batch.targets.flatten()
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels, ignore_index=IGNORED)

    return loss
