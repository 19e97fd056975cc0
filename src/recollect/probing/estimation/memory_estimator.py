r"""The memory function of data, with bands: regularised impulse-response estimation.

$$y_t = c + \sum_i \sum_{s < L} \rho_i(s)\, x_{t-s,i} + e_t$$
"""

import inspect
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy.stats import t as student

from recollect.core import ConfigError, one_of
from recollect.probing.estimation.cautions import cautions
from recollect.probing.estimation.excitation import measure_excitation
from recollect.probing.estimation.input_covariance import input_covariance
from recollect.probing.estimation.lag_choice import choose_lags, most_lags
from recollect.probing.estimation.linear_share import linear_share
from recollect.probing.estimation.memory_fit import MemoryFit, fit_memory
from recollect.probing.estimation.noise import autocovariance
from recollect.probing.estimation.nonlinear_remainder import remainder_test
from recollect.probing.estimation.prediction import filtered
from recollect.probing.estimation.prior_search import Delay
from recollect.probing.estimation.priors import PRIORS
from recollect.probing.estimation.records import Records, read_records

_SHOWN_LAGS = 33
"""Of the noise's autocorrelation."""

_FOLDS, _FOLDS_OF_LARGE, _LARGE = 10, 5, 1000
"""Folds of the cross-validation; fewer with many columns."""


class MemoryEstimator:
    r"""Memory functions of a target in one or several inputs, by Gaussian priors and marginal likelihood.

    The priors (`recollect.probing.estimation.PRIORS`) fade exponentially or as a power law, rough or smooth,
    oscillate, or begin after a dead time; `ridge` stands for nothing known. Coloured noise is found from the
    residual and filtered out. Estimates and bands are averaged over priors and hyperparameters. For n rows,
    p inputs and L lags: O(p^2 n log n + p (p L)^3) work, O(p n + (p L)^2) memory.

    Args:
        lags: L; None chooses as many as the data ask for, at most 512 and a tenth of the rows.
        prior: "auto" for the largest marginal likelihood, or the name of one.
        noise: "auto" or "ar" for an autoregression whose order is chosen by BIC, "white" for none.
        confidence: of the bands.
        delay: lags before a memory begins, one number or one for each input; "auto" looks for them.

    Attributes:
        memory_: `(lags, inputs)`, lag 0 first, in target units for each input unit.
        lower_, upper_: its band, pointwise.
        standard_errors_: of the memory.
        intercept_: c.
        noise_variance_: of e.
        noise_nmse_: the same over the variance of y.
        prior_: name of the prior of each input, joined by commas where they differ.
        evidence_: log marginal likelihood by name.
        hyperparameters_: by input name.
        delay_: dead time of each input.
        linear_share_, linear_share_interval_: explained out of sample.
        excitation_, remainder_: see `Excitation` and `RemainderTest`.
        noise_autocorrelation_: of the residual, from lag 0.
        input_covariance_: `r[lag, i, j] = cov(x_{t,i}, x_{t-lag,j})`, at twice as many lags.
        warnings_: what to beware of, as sentences.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=400)
        >>> y = 2.0 * x + np.concatenate([[0.0], x[:-1]]) + 0.1 * rng.normal(size=400)
        >>> MemoryEstimator(lags=8).fit(x, y).memory_[:2, 0].round(1)
        array([2., 1.])
    """

    def __init__(
        self,
        lags: int | None = None,
        *,
        prior: str = "auto",
        noise: str = "auto",
        confidence: float = 0.95,
        delay: Delay | tuple[Delay, ...] = "auto",
    ) -> None:
        self.lags = lags
        self.prior = prior
        self.noise = noise
        self.confidence = confidence
        self.delay: Delay | tuple[Delay, ...] = delay

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> "MemoryEstimator":
        """Change constructor arguments."""
        for name, value in params.items():
            one_of(name, self.get_params(), "parameter")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks before it cross-validates: a regressor that needs a target."""
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags  # asked by scikit-learn alone

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(),
        )

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = {k: v for k, v in self.get_params().items() if v != defaults[k].default}
        return f"MemoryEstimator({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def fit(
        self,
        X: ArrayLike | pd.DataFrame | pd.Series,
        y: ArrayLike | pd.Series,
        groups: ArrayLike | None = None,
        times: ArrayLike | None = None,
    ) -> "MemoryEstimator":
        """Estimate the memory functions.

        Args:
            X: `(n,)` or `(n, p)`.
            y: `(n,)`.
            groups: a label of each row; where it changes, a new sequence begins.
            times: rising inside a group; a gap begins a new sequence.

        Raises:
            ConfigError: arguments out of range; values missing, no numbers, or constant; too few rows.
        """
        records = read_records(X, y, groups, times)
        self._check(records)
        self.lags_ = self.lags or choose_lags(records, self.noise)
        delays = self._delays(records.inputs.shape[1])
        _check_rows(records, self.lags_)
        self._fit = fit_memory(records, self.lags_, prior=self.prior, noise=self.noise, delays=delays)
        self._keep_estimate(records, self._fit)
        self._keep_diagnostics(records, self._fit)
        return self

    def predict(
        self,
        X: ArrayLike | pd.DataFrame | pd.Series,
        groups: ArrayLike | None = None,
        times: ArrayLike | None = None,
    ) -> Float64[np.ndarray, " n"]:
        """What the memory functions make of the past of each row; NaN where it is not known."""
        self._fitted()
        records = read_records(X, None, groups, times)
        if records.inputs.shape[1] != self.n_features_in_:
            raise ConfigError(f"expected {self.n_features_in_} inputs, got {records.inputs.shape[1]}.")
        return self.intercept_ + filtered(records.inputs, self.memory_, records.spans).sum(1)

    def score(
        self,
        X: ArrayLike | pd.DataFrame | pd.Series,
        y: ArrayLike | pd.Series,
        groups: ArrayLike | None = None,
        times: ArrayLike | None = None,
    ) -> float:
        """R^2 over the rows that are predicted."""
        predicted = self.predict(X, groups, times)
        known = ~np.isnan(predicted)
        target = read_records(X, y, groups, times).target
        assert target is not None
        if not known.any():
            raise ConfigError(f"no row has {self.lags_} lags in its sequence: give longer sequences.")
        left = np.square(target[known] - predicted[known]).sum()
        return float(1 - left / np.square(target[known] - target[known].mean()).sum())

    def draws(self, count: int, seed: int = 0) -> Float64[np.ndarray, "count lags p"]:
        """Memory functions drawn from the posterior."""
        self._fitted()
        return self._fit.mixture.draws(count, seed)

    def _fitted(self) -> None:
        if not hasattr(self, "memory_"):
            raise ConfigError("this MemoryEstimator has not seen data: call `fit` first.")

    def _check(self, records: Records) -> None:
        one_of(self.prior, ("auto", *PRIORS), "prior")
        one_of(self.noise, ("auto", "white", "ar"), "noise")
        if not 0 < self.confidence < 1:
            raise ConfigError(f"expected 0 < confidence < 1, got {self.confidence}.")
        if self.lags is not None and self.lags < 1:
            raise ConfigError(f"expected at least 1 lag, got {self.lags}.")
        assert records.target is not None
        columns = [*zip(records.names, records.inputs.T, strict=True), ("y", records.target)]
        for name, column in columns:
            if np.ptp(column) == 0:
                raise ConfigError(
                    f"column `{name}` is constant ({column[0]:g}): it tells nothing, leave it out."
                )

    def _delays(self, p: int) -> tuple[Delay, ...]:
        delays = self.delay if isinstance(self.delay, tuple) else (self.delay,) * p
        if len(delays) != p:
            raise ConfigError(f"expected one delay or {p}, one for each input, got {len(delays)}.")
        for delay in delays:
            if delay != "auto" and not (isinstance(delay, int) and 0 <= delay < self.lags_):
                raise ConfigError(f"expected delays from 0 to {self.lags_ - 1}, or 'auto', got {delay!r}.")
        return delays

    def _keep_estimate(self, records: Records, fit: MemoryFit) -> None:
        belief = fit.posterior
        assert records.target is not None
        self.memory_ = fit.mixture.memory
        self.standard_errors_ = fit.mixture.standard_errors
        reach = float(student.ppf((1 + self.confidence) / 2, belief.degrees)) * self.standard_errors_
        self.lower_, self.upper_ = self.memory_ - reach, self.memory_ + reach
        self.intercept_ = fit.intercept
        self.noise_variance_ = fit.noise_variance
        rows = ~np.isnan(fit.residual)
        self.noise_nmse_ = float(min(fit.noise_variance / records.target[rows].var(), 1.0))
        names = [tuned.prior.name for tuned in belief.tuned]
        self.prior_ = names[0] if len(set(names)) == 1 else ", ".join(names)
        self.evidence_ = fit.evidences
        self.hyperparameters_ = {
            name: {
                parameter.name: float(value)
                for parameter, value in zip(tuned.prior.parameters, tuned.logs.exp(), strict=True)
            }
            for name, tuned in zip(records.names, belief.tuned, strict=True)
        }
        self.delay_ = np.array([tuned.prior.delay for tuned in belief.tuned])
        self.n_features_in_ = len(records.names)
        self.feature_names_in_ = np.array(records.names, dtype=object)
        self.n_samples_ = int(rows.sum())
        self.n_segments_ = len(records.spans)

    def _keep_diagnostics(self, records: Records, fit: MemoryFit) -> None:
        assert records.target is not None
        p = len(records.names)
        folds = _FOLDS if p * self.lags_ <= _LARGE else _FOLDS_OF_LARGE
        tuned = fit.posterior.tuned
        share = linear_share(records, fit.problem, tuned, folds=folds, confidence=self.confidence)
        self.linear_share_, self.linear_share_interval_ = share.share, share.interval
        self.input_covariance_ = input_covariance(records.inputs, records.spans, 2 * self.lags_)
        self.excitation_ = measure_excitation(self.input_covariance_[: self.lags_], records.names)
        self.remainder_ = remainder_test(records, fit, folds)
        known = tuple((a + self.lags_ - 1, z) for a, z in records.spans if z - a >= self.lags_)
        covariance, _ = autocovariance(fit.residual, known, _SHOWN_LAGS)
        self.noise_autocorrelation_ = covariance / covariance[0]
        most = self.lags is None and self.lags_ == most_lags(records)
        interval = self.linear_share_interval_
        self.warnings_ = cautions(fit, self.excitation_, self.remainder_, interval, most_lags=most)


def _check_rows(records: Records, lags: int) -> None:
    full = sum(max(stop - start - lags + 1, 0) for start, stop in records.spans)
    needed = max(10, lags // 4)
    if full < needed:
        raise ConfigError(
            f"{lags} lags leave {full} rows whose past is known, too few to learn from: give at least "
            f"{needed - full} rows more in one sequence, or ask for fewer lags."
        )
