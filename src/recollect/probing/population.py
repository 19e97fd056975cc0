r"""The expected loss of an affine model on white input: a quadratic form in its linear response.

For independent inputs of mean zero and unit variance, targets
$y_t = M \sum_s \rho(s) x_{t-s} + \varepsilon_t$ and $\hat y_t = b_t + \sum_{s \le t} k_t(s) x_{t-s}$,

$$E\, |\hat y_t - y_t|^2 = \sum_{s \le t} | k_t(s) - \rho(s) M |_F^2 + |b_t|^2 + O \sigma^2$$

with O outputs and noise of variance $\sigma^2$ (the risk identity, a classical projection; only that the
inputs are uncorrelated is used). The mean over t and over the outputs is what a sampled loss estimates: here
it is exact, and so are its gradients. From zero state, lag s of a kernel that does not depend on t counts
T - s times.
"""

from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recollect.core import ConfigError
from recollect.models import SequenceModel
from recollect.models.linear_response import LinearResponse, Response
from recollect.tasks import FunctionalTask, Task


def linear_response(model: nn.Module, length: int) -> Response:
    """Kernel and bias of an affine model over `length` positions, differentiable in its parameters.

    Cost: of one closed form, or of reading inputs + 1 sequences, where the model is time-invariant; else one
    T x T table, or T inputs + 1 sequences (`SequenceModel.linear_response`).

    Raises:
        ConfigError: a model that is not affine, or that is no `SequenceModel`.

    Example:
        >>> from recollect.models import ModelConfig
        >>> model = ModelConfig(mixer="lru", dim=4).build(1, 1, seed=0)
        >>> linear_response(model, 6).kernel.shape
        torch.Size([6, 1, 1])
    """
    return _affine(model).linear_response(length)


def check_population(model: nn.Module, task: Task) -> None:
    """Whether the expected loss of this model on this task is known exactly.

    Raises:
        ConfigError: names what stands against it, and what to do.
    """
    _affine(model)
    _white_linear(task)


def population_loss(model: nn.Module, task: Task) -> Float[Tensor, ""]:
    """What `task.loss` of fresh examples is on average; in the model's dtype, differentiable.

    Cost: that of `linear_response`.

    Raises:
        ConfigError: see `check_population`.

    Example:
        >>> from recollect.models import ModelConfig
        >>> task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 2}, "length": 8})
        >>> model = ModelConfig(mixer="lru", dim=4).build(1, 1, seed=0)
        >>> _ = model.decoder.weight.data.zero_(), model.decoder.bias.data.zero_()
        >>> round(population_loss(model, task).item(), 6)  # of 8 positions, 2 have no target yet
        0.75
    """
    return PopulationLoss(model, task)()


def population_nmse(model: nn.Module, task: Task, length: int | None = None) -> float:
    """Expected squared error over expected power of the targets, noise included in both; in float64.

    The model is left as it is: a copy in double precision answers.

    Args:
        model: an affine model.
        task: a linear functional task on white input.
        length: positions of a sequence; the task's own if None.

    Raises:
        ConfigError: see `check_population`.

    Example:
        >>> from recollect.models import ModelConfig
        >>> task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 2}, "length": 8})
        >>> model = ModelConfig(mixer="lru", dim=4).build(1, 1, seed=0)
        >>> _ = model.decoder.weight.data.zero_(), model.decoder.bias.data.zero_()
        >>> population_nmse(model, task)
        1.0
    """
    check_population(model, task)
    with torch.no_grad():
        loss = PopulationLoss(deepcopy(model).double(), task, length)
        return float(loss() / loss.power)


class PopulationLoss(nn.Module):
    """`population_loss` as a module around the model, with the target's part computed once.

    Its parameters are the model's under the prefix `model.`: `torch.func.functional_call` differentiates in
    them.

    Args:
        model: an affine model; used, not copied.
        task: a linear functional task on white input.
        length: positions of a sequence; the task's own if None.

    Attributes:
        power: mean square of the targets, noise included.

    Raises:
        ConfigError: see `check_population`.
    """

    def __init__(self, model: nn.Module, task: Task, length: int | None = None) -> None:
        super().__init__()
        affine, linear = _affine(model), _white_linear(task)
        self.model = affine
        self.length = length or linear.length
        self.variance = linear.noise**2
        like = next(affine.parameters())
        # Tensors of its own, not buffers: the model's checkpoints have no place for them.
        self.target = _target(linear, self.length).to(like)
        silent = LinearResponse(torch.zeros_like(self.target), torch.zeros_like(self.target[..., 0]))
        self.power = float(silent.mean_square(self.target)) + self.variance

    def forward(self) -> Float[Tensor, ""]:
        return self.model.linear_response(self.length).mean_square(self.target) + self.variance


def _target(task: FunctionalTask, length: int) -> Float[Tensor, "T outputs inputs"]:
    taps = task.taps(length)
    mixing = torch.eye(task.channels).to(taps) if task.mixing is None else taps.new_tensor(task.mixing)
    return torch.einsum("t,oi->toi", taps, mixing)


def _affine(model: nn.Module) -> SequenceModel:
    if not isinstance(model, SequenceModel):
        raise ConfigError(
            f"an exact loss needs the linear response of a SequenceModel, got {type(model).__name__}: put it "
            "into the backbone as a mixer with `is_lti`, or train with loss: sampled."
        )
    if not model.is_affine:
        raise ConfigError(
            "an exact loss needs a model whose outputs are linear in the inputs; here stand against it "
            f"{', '.join(model.nonlinear_parts)}. Take a linear mixer (ssm, lru, s4d, rnn or tcn with "
            "activation=linear, attention with content=False), norm: none and channel_mixer: none, or train "
            "with loss: sampled."
        )
    return model


def _white_linear(task: Task) -> FunctionalTask:
    if not isinstance(task, FunctionalTask):
        raise ConfigError(
            f"an exact loss needs a functional task, got {task.label}: train with loss: sampled."
        )
    if not task.input.is_independent:
        raise ConfigError(
            f"an exact loss needs white input (gaussian, uniform, signs), got {task.input.label}: change "
            "`input`, or train with loss: sampled."
        )
    if task.output != "identity":
        raise ConfigError(
            f"an exact loss needs targets that are linear in the input, got output={task.output!r}: take "
            "output: identity, or train with loss: sampled."
        )
    return task
