"""What each family of models needs for a series: the floor at each size, and the smallest size that suffices.

A size is *impossible* where a theorem puts every model of the family above the error to reach, and
*sufficient* where a model of that size was built and its error computed under the input's own covariance. The
recommended size is the smallest sufficient one; between the two lies what is not known.
"""

from recollect.core import ConfigError
from recollect.diagnosis.answer import Construction, Recommendation, SizedFloor
from recollect.diagnosis.content_free_heads import recommend_heads
from recollect.diagnosis.dilated_net import recommend_dilated
from recollect.diagnosis.filters import recommend_filter
from recollect.diagnosis.input_metric import Autocovariance, InputMetric, Memory, continued
from recollect.diagnosis.question import Question
from recollect.diagnosis.recurrence_floor import recurrence_costs
from recollect.diagnosis.recurrences import recommend_recurrence
from recollect.diagnosis.unbounded import recommend_unbounded

__all__ = ["Construction", "Recommendation", "SizedFloor", "recommend"]


def recommend(
    memory: Memory,
    autocovariance: Autocovariance,
    noise_variance: float,
    target_nmse: float,
    *,
    num_samples: int | None = None,
    max_size: int = 64,
) -> list[Recommendation]:
    r"""One recommendation for each family, those that a theorem bounds first.

    $$\mathrm{NMSE}(k) = \frac{\sigma^2 + (\rho - k)^\top R\, (\rho - k)}{\sigma^2 + \rho^\top R\, \rho}$$

    A size reaches the target where this is at most `target_nmse`, or 4/3 times the noise's own share if that
    is more: noise itself is reached by no finite estimate. Beyond the lags given the memory is taken to be
    over, as far again as the autocovariance is known there: a model that rings on pays. Some seconds at 128
    lags of one input and at 512 lags of four.

    Args:
        memory: $\rho$, at lags 0..L-1 of each input, in data units.
        autocovariance: $r_{l,i,j} = E[x_{t,i} x_{t-l,j}]$ of the inputs, at lags 0..L-1 or more.
        noise_variance: $\sigma^2$, of what is not explained.
        target_nmse: asked for, above 0; noise is part of it.
        num_samples: how many positions the autocovariance was estimated from: an input whose autocovariance
            is within sampling error of 0 counts as white. None: where it is 0.
        max_size: largest size that is looked at, in the unit of each family; receptive fields go up to L.

    Raises:
        ConfigError: a target that is not above 0, a noise below 0, numbers that are not finite, or nothing
            to predict.
        ValueError: an autocovariance that is none, or of too few lags.

    Example:
        >>> memory = 0.8 ** torch.arange(24, dtype=torch.float64)[:, None]
        >>> white = torch.zeros(24, 1, 1, dtype=torch.float64)
        >>> white[0] = 1.0
        >>> found = {r.family: r for r in recommend(memory, white, 0.0, 0.01)}
        >>> found["real_ssm"].size, found["tcn"].size, found["gru"].binding
        (1, 11, False)
    """
    if memory.ndim != 2 or not memory.numel() or not bool(memory.isfinite().all()):
        raise ConfigError(
            f"expected finite taps of shape (lags, inputs), got shape {tuple(memory.shape)}: estimate the "
            "memory function first."
        )
    if max_size < 1:
        raise ConfigError(f"expected sizes of at least 1, got max_size={max_size}.")
    rho = continued(memory.double(), autocovariance)
    metric = InputMetric.of(autocovariance.double(), len(rho), num_samples)
    if metric.num_inputs != rho.shape[1]:
        raise ValueError(
            f"expected an autocovariance of the {rho.shape[1]} inputs, got one of {metric.num_inputs}."
        )
    question = Question(rho, metric, noise_variance, target_nmse)
    bounds = recurrence_costs(rho, metric, range(1, max(2, max_size) + 1), question.horizon)
    recurrences = [recommend_recurrence(question, bounds, real=real) for real in (False, True)]
    tcn = recommend_filter(question)
    bounded = [*recurrences, tcn, *recommend_dilated(question), *recommend_heads(question, bounds)]
    return [*bounded, *recommend_unbounded(recurrences[0])]
