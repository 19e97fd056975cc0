"""What training descends: the loss of drawn examples, or its expectation, which needs none."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from recollect.probing.population import PopulationLoss, check_population, population_nmse
from recollect.tasks import Task
from recollect.training.config import TrainingConfig
from recollect.training.parameters import Flat, ParameterLayout
from recollect.training.step import Loss


class Objective(NamedTuple):
    """How the parameters of one model are judged while it is trained.

    Attributes:
        loss: of flat parameters and a batch.
        batches: what `loss` reads, step by step.
        unit: what train losses are reported over.
        validation_error: of the model as it is: what the best checkpoint is chosen by.
    """

    loss: Loss
    batches: Iterator[Any]
    unit: float
    validation_error: Callable[[nn.Module], float]


def population_objective(model: nn.Module, layout: ParameterLayout, task: Task) -> Objective:
    """The expected loss: no batches, and a validation error without sampling noise.

    Raises:
        ConfigError: a model or a task for which it is not known exactly.
    """
    exact = PopulationLoss(model, task)

    def loss(parameters: Flat, batch: None) -> Float[Tensor, ""]:
        named = {f"model.{name}": value for name, value in layout.unflatten(parameters).items()}
        return functional_call(exact, named, ())

    return Objective(loss, repeat(None), exact.power, partial(population_nmse, task=task))


def check_objective(model: nn.Module, task: Task, config: TrainingConfig) -> None:
    """Whether this model can be trained on this task as the config says, before any training.

    Raises:
        ConfigError: `loss: population` where the expected loss is not known exactly; says why.
    """
    if config.loss == "population":
        check_population(model, task)
