"""What learns while a sequence is read: how it predicts, and the gradient of its loss on one association.

The parameters of every model are a matrix `(..., F, V)`; those of a network lie flat in `(..., P, 1)`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.ops.similarity import Similarity, log_similarity
from recollect.regression.function_classes import MLP, KernelRidge
from recollect.regression.problem import Constants

Parameters = Float[Tensor, "*B rows columns"]
Features = Float[Tensor, "*#B F"]

NORM_EPS = 1e-6
"""Added to the variance in the layer norm of a network."""


@dataclass(frozen=True)
class InnerModel:
    r"""A model and its loss $\lVert v - m(k) \rVert^2 / 2$.

    Attributes:
        predict: `(parameters, features)` to what the model says.
        gradient: `(parameters, features, directions, v)` to the gradient of the loss. A linear class moves
            its parameters along `directions`, which are the features unless the model is a sum of kernels.
    """

    predict: Callable[[Parameters, Tensor], Tensor]
    gradient: Callable[[Parameters, Tensor, Tensor, Tensor], Parameters]


def _linear_prediction(parameters: Parameters, features: Features) -> Float[Tensor, "*B V"]:
    return torch.einsum("...fv,...f->...v", parameters, features)


def _linear_gradient(
    parameters: Parameters, features: Features, directions: Tensor, v: Float[Tensor, "*#B V"]
) -> Parameters:
    residual = _linear_prediction(parameters, features) - v
    return directions.unsqueeze(-1) * residual.unsqueeze(-2)


LINEAR = InnerModel(_linear_prediction, _linear_gradient)
"""Linear in features: the gradient is an outer product."""


def network(config: MLP, key_dim: int, value_dim: int, constants: Constants) -> InnerModel:
    """A network of one or two layers."""

    def predict(parameters: Parameters, k: Float[Tensor, "*#B K"]) -> Float[Tensor, "*B V"]:
        parts = _layers(config, key_dim, value_dim, parameters.squeeze(-1))
        answer = k
        for i, (matrix, bias) in enumerate(parts):
            answer = torch.nn.functional.gelu(answer) if i else answer
            answer = torch.einsum("...fv,...f->...v", matrix, answer) + bias
        if config.layer_norm:
            assert constants.norm is not None
            gain, bias = constants.norm
            answer = torch.nn.functional.layer_norm(answer, answer.shape[-1:], eps=NORM_EPS) * gain + bias
        return answer + k if config.residual else answer

    def loss(parameters: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # Each network has its own parameters: the gradient of the sum holds the gradient of each.
        return 0.5 * (v - predict(parameters, k)).square().sum()

    def gradient(parameters: Parameters, k: Tensor, directions: Tensor, v: Tensor) -> Parameters:
        del directions
        return torch.func.grad(loss)(parameters, k, v)

    return InnerModel(predict, gradient)


def network_start(constants: Constants) -> Float[Tensor, "H P 1"]:
    """Parameters of all heads at the first position, flat."""
    assert constants.start is not None
    return torch.cat([part.flatten(1) for part in constants.start], dim=1).unsqueeze(-1)


def network_size(config: MLP, key_dim: int, value_dim: int) -> int:
    """Parameters of one head."""
    return sum((rows + 1) * columns for rows, columns in _shapes(config, key_dim, value_dim))


def kernel_matrix(
    config: KernelRidge, x: Float[Tensor, "B H T K"], keys: Float[Tensor, "B H S K"]
) -> Float[Tensor, "B H T S"]:
    """The reproducing kernel between points and associations."""
    return log_similarity(x, keys, Similarity(config.kernel, x.shape[-1] ** -0.5, config.bandwidth)).exp()


def _shapes(config: MLP, key_dim: int, value_dim: int) -> list[tuple[int, int]]:
    hidden = config.expansion * key_dim
    return [(key_dim, value_dim)] if config.depth == 1 else [(key_dim, hidden), (hidden, value_dim)]


def _layers(
    config: MLP, key_dim: int, value_dim: int, flat: Float[Tensor, "*B P"]
) -> list[tuple[Tensor, Tensor]]:
    """Matrix and bias of each layer."""
    shapes = _shapes(config, key_dim, value_dim)
    pieces = iter(
        flat.split([size for rows, columns in shapes for size in (rows * columns, columns)], dim=-1)
    )
    return [(next(pieces).unflatten(-1, shape), next(pieces)) for shape in shapes]
