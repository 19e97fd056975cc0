"""What a reader of an estimate must know before trusting it, in sentences."""

from recollect.probing.estimation.excitation import Excitation
from recollect.probing.estimation.memory_fit import MemoryFit
from recollect.probing.estimation.nonlinear_remainder import RemainderTest

_TOLD = 0.5
"""Of the prior variance; where the data take away less, they hardly count."""

_SURE = 0.01
_NOTABLE_SHARE = 0.005


def cautions(
    fit: MemoryFit,
    excitation: Excitation,
    remainder: RemainderTest,
    share_interval: tuple[float, float],
    *,
    most_lags: bool,
) -> list[str]:
    """Sentences, none where all is well."""
    lags = len(fit.posterior.memory)
    found = []
    if excitation.message:
        found.append(
            f"Poor excitation: {excitation.message}; there the memory function comes from the prior."
        )
    names = fit.problem.records.names
    weak = [name for name, told in zip(names, _told(fit), strict=True) if told < _TOLD]
    if weak:
        found.append(
            f"The data say little about the memory of {_listed(weak)}: its band is nearly the prior's."
        )
    if fit.goes_on:
        found.append(f"The memory goes on beyond the {lags} lags estimated; ask for more lags.")
    elif most_lags:
        found.append(f"The data ask for at least {lags} lags, the most that were tried.")
    if remainder.p_value < _SURE and remainder.share > _NOTABLE_SHARE:
        found.append(
            f"A nonlinear remainder: nonlinear features explain {remainder.share:.1%} more of the variance "
            f"(p = {remainder.p_value:.1g}); the memory function is that of the best linear functional."
        )
    if share_interval[0] < 0:
        found.append("Out of sample, a linear functional of the past explains no more than chance would.")
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _told(fit: MemoryFit) -> list[float]:
    """Share of each input's prior variance that the data take away."""
    belief = fit.posterior
    lags = len(belief.memory)
    after = belief.unit_variances.reshape(-1, lags).sum(1)
    before = [one.prior.log_variance(one.logs, lags).exp().sum() for one in belief.tuned]
    return [float(1 - left / prior) for left, prior in zip(after, before, strict=True)]
