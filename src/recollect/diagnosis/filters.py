r"""Convolutional nets: how far back they must read.

The least cost of a filter of the last R inputs is the residual of projecting the target on them, the Schur
complement of the input's covariance. It bounds every convolution; under white input of independent values,
and under jointly Gaussian input, every function of the last R inputs, for the best predictor is then linear.
"""

import torch

from recollect.diagnosis.answer import Construction, Recommendation, SizedFloor, answer
from recollect.diagnosis.joint_filter import JointFilter
from recollect.diagnosis.question import Question
from recollect.floors import FilterFit


def recommend_filter(question: Question) -> Recommendation:
    """The smallest receptive field; one exact residual for all sizes, from one Cholesky factor."""
    costs = question.metric.costs_beyond(question.memory)
    lags, num_inputs = question.memory.shape
    enough = next((field for field in range(1, lags + 1) if float(costs[field]) <= question.allowed), lags)
    sizes = {1 << doubling for doubling in range(lags.bit_length())} | {enough - 1, enough, enough + 1, lags}
    # A sum of squares of sums of n terms, and a Cholesky factor: right to some n roundings of the whole.
    guard = 8 * question.memory.numel() * torch.finfo(torch.float64).eps * question.power
    sized = []
    for size in sorted(size for size in sizes if 1 <= size <= lags):
        values = question.metric.best_filter(question.memory, size)
        predicted = question.total(question.metric.cost(question.memory - values))
        floor = question.total(max(0.0, float(costs[size]) - guard))
        model, fit = filter_model(size, num_inputs), _fit(values[:size].clone())
        sized.append(SizedFloor(size, floor, predicted, model, fit))
    return answer("tcn", "taps", sized, question.reach, num_inputs, _why(question, enough))


def filter_model(size: int, num_inputs: int) -> dict[str, object]:
    """One level of exactly so many taps, which holds every filter."""
    options = {"kernel_size": size, "num_levels": 1, "activation": "linear", "residual": False}
    return {"mixer": "tcn", "dim": num_inputs, "options": options, "residual": False}


def _fit(values: torch.Tensor) -> Construction:
    return FilterFit(values[:, 0].clone()) if values.shape[1] == 1 else JointFilter(values)


def _why(question: Question, field: int) -> str:
    levels = max(field - 1, 1).bit_length()
    whom = (
        "any nonlinearity, for independent input"
        if question.metric.is_white
        else ("exact for linear convolutions; for any nonlinearity where the input is Gaussian")
    )
    return (
        f"what the last {field} inputs cannot tell of the output: {whom}; kernels of 2 taps reach as far in "
        f"{levels} dilated level{'s' * (levels > 1)}"
    )
