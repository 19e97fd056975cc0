r"""What an error of the memory function costs, when the input has a memory of its own.

$$E\Big(\sum_{s,i} e_{s,i}\, x_{t-s,i}\Big)^2 = e^\top R\, e, \qquad
  R_{(s,i),(u,j)} = E[x_{t-s,i}\, x_{t-u,j}] = r_{u-s,\,i,\,j} \quad (u \ge s)$$

R is block Toeplitz in the autocovariance $r_{l,i,j} = E[x_{t,i}\, x_{t-l,j}]$. With a factor $R = C C^\top$
the cost is a sum of squares, that of the *whitened* error $C^\top e$. Where the input is white,
$R = I \otimes \Sigma$ and whitening acts on the inputs alone.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Float64
from scipy.linalg import toeplitz
from scipy.stats import chi2
from torch import Tensor

Memory = Float64[Tensor, "lags inputs"]
Autocovariance = Float64[Tensor, "lags inputs inputs"]
Columns = Float64[Tensor, "lags inputs columns"]

_SIGNIFICANCE = 1e-4
"""A white input is taken for a coloured one about so often."""

_FIRST_LAGS = 4
"""Colour shows most at the first lags: they are tested by themselves too."""

_LARGEST_RIDGE = 1e-2

_MOST_COLUMNS = 2048
"""Lags times inputs up to which a memory function is continued."""


def continued(memory: Memory, autocovariance: Autocovariance) -> Memory:
    """The memory function with zeros beyond its last lag: as far again, if the autocovariance is known there.

    Else a recurrence could be as near as any up to the last lag, and go on after it at no cost.
    """
    lags, inputs = memory.shape
    far = max(lags, min(2 * lags, len(autocovariance), _MOST_COLUMNS // inputs))
    return torch.nn.functional.pad(memory, (0, 0, 0, far - lags))


class Whitening(Protocol):
    """A way to write the cost of an error as a sum of squares, of one regression or of several alike."""

    def whiten(self, columns: Columns) -> Float64[Tensor, "rows regressions columns"]:
        """A linear map of memory functions, side by side, whose squared norm is the cost of each."""
        ...

    def design(self, basis: Float64[Tensor, "lags waves"]) -> Float64[Tensor, "rows unknowns"]:
        """Of memory functions that are, in each input, some combination of the same waves."""
        ...

    def coefficients(
        self, solution: Float64[Tensor, "unknowns regressions"]
    ) -> Float64[Tensor, "waves inputs"]:
        """Those of each input, from the unknowns of `design`."""
        ...


@dataclass(frozen=True, eq=False)
class InputMetric:
    """The quadratic cost $e^\\top R e$ of an error e of the memory function.

    Attributes:
        autocovariance: $r_{l,i,j} = E[x_{t,i} x_{t-l,j}]$ at lags 0..L-1; later ones are not known.
        is_white: whether what it says about different times is taken to be 0.

    Example:
        >>> r = (0.5 ** torch.arange(3.0).double())[:, None, None]
        >>> metric = InputMetric(r, is_white=False)
        >>> round(metric.cost(torch.tensor([[1.0], [-1.0], [0.0]], dtype=torch.float64)), 12)
        1.0
    """

    autocovariance: Autocovariance
    is_white: bool

    @classmethod
    def of(
        cls, autocovariance: Autocovariance, num_lags: int, num_samples: int | None = None
    ) -> "InputMetric":
        """The metric of an estimated autocovariance over `num_lags` lags.

        Args:
            autocovariance: at least so many lags. Where it is that of no process, because it was estimated,
                a small multiple of the variances is added at lag 0, as white noise of the input would.
            num_lags: of the memory function.
            num_samples: how many positions it was estimated from; the input counts as white where its
                autocovariance at the lags from 1 on is within sampling error of 0. None: where it is 0.

        Raises:
            ValueError: too few lags, axes of inputs that differ, or numbers that no covariance has.
        """
        _check(autocovariance, num_lags)
        known = autocovariance[:num_lags]
        metric = cls(known, _looks_white(known, num_samples))
        ridge = 1e-12
        while not metric.is_positive:
            if ridge > _LARGEST_RIDGE:
                raise ValueError(
                    "expected the autocovariance of a process, got one whose Toeplitz matrix has eigenvalues "
                    "far below 0: estimate it with one normalisation for all lags."
                )
            ridged = known.clone()
            ridged[0] += ridge * torch.diag(known[0].diagonal())
            metric, ridge = replace(metric, autocovariance=ridged), 10 * ridge
        return metric

    @property
    def num_lags(self) -> int:
        return self.autocovariance.shape[0]

    @property
    def num_inputs(self) -> int:
        return self.autocovariance.shape[1]

    @property
    def is_positive(self) -> bool:
        """Whether every error costs something."""
        if self.is_white:
            return int(torch.linalg.cholesky_ex(self.autocovariance[0]).info) == 0
        return bool(self.factor.isfinite().all())

    @cached_property
    def covariance(self) -> Float64[Tensor, "LI LI"]:
        """R, lag by lag and in each lag input by input."""
        lags, inputs = self.num_lags, self.num_inputs
        if self.is_white:
            return torch.kron(torch.eye(lags, dtype=torch.float64), self.autocovariance[0])
        r = self.autocovariance.numpy()
        blocks = [[toeplitz(r[:, j, i], r[:, i, j]) for j in range(inputs)] for i in range(inputs)]
        stacked = torch.stack([torch.stack([torch.from_numpy(block) for block in row]) for row in blocks])
        return torch.einsum("ijsu->siuj", stacked).reshape(lags * inputs, lags * inputs)

    @cached_property
    def factor(self) -> Float64[Tensor, "LI LI"]:
        """C, lower triangular; not finite where R is not positive definite."""
        factor, info = torch.linalg.cholesky_ex(self.covariance)
        return factor if int(info) == 0 else torch.full_like(factor, torch.nan)

    @cached_property
    def input_root(self) -> Float64[Tensor, "inputs inputs"]:
        r"""A root of the covariance at one time, $\Sigma = M M^\top$."""
        return torch.linalg.cholesky(self.autocovariance[0])

    def whiten(self, columns: Columns) -> Float64[Tensor, "LI 1 columns"]:
        """$C^\\top e$ of each of several errors e."""
        if self.is_white:
            return torch.einsum("sic,ij->sjc", columns, self.input_root).flatten(0, 1)[:, None]
        return (self.factor.mT @ columns.flatten(0, 1))[:, None]

    def design(self, basis: Float64[Tensor, "lags waves"]) -> Float64[Tensor, "LI unknowns"]:
        """Every wave in every input is one unknown."""
        each = torch.einsum("sq,ij->siqj", basis, torch.eye(self.num_inputs, dtype=torch.float64))
        return self.whiten(each.flatten(2))[:, 0]

    def coefficients(self, solution: Float64[Tensor, "unknowns 1"]) -> Float64[Tensor, "waves inputs"]:
        return solution.reshape(-1, self.num_inputs)

    def cost(self, error: Memory) -> float:
        """$e^\\top R e$."""
        return float(self.whiten(error[..., None]).square().sum())

    def costs_beyond(self, memory: Memory) -> Float64[Tensor, " fields"]:
        r"""Least cost of every filter that reads the last 0, 1, ..., L inputs.

        The whitened error splits: $C^\top$ is upper triangular, so a filter of n lags makes its part at the
        first n lags zero and never touches the rest (the Schur complement of R).
        """
        by_lag = self.whiten(memory[..., None]).reshape(self.num_lags, -1).square().sum(1)
        return torch.nn.functional.pad(by_lag.flip(0).cumsum(0).flip(0), (0, 1))

    def best_filter(self, memory: Memory, field: int) -> Memory:
        """The filter of `field` lags of that least cost, zero beyond."""
        best = torch.zeros_like(memory)
        whitened = self.whiten(memory[..., None])[: field * self.num_inputs, 0]
        if self.is_white:
            best[:field] = memory[:field]
        elif field:
            leading = self.factor[: len(whitened), : len(whitened)].mT
            best[:field] = torch.linalg.solve_triangular(leading, whitened, upper=True).reshape(field, -1)
        return best

    def of_first_lags(self, num_lags: int) -> Float64[Tensor, "TI TI"]:
        """The least cost of an error given at the first lags alone, as a quadratic form."""
        count = num_lags * self.num_inputs
        matrix = self.covariance
        if self.is_white or count == len(matrix):
            return matrix[:count, :count]
        across, later = matrix[:count, count:], matrix[count:, count:]
        solved = torch.linalg.solve_triangular(torch.linalg.cholesky(later), across.mT, upper=False)
        return matrix[:count, :count] - solved.mT @ solved


def _check(autocovariance: Autocovariance, num_lags: int) -> None:
    lags, rows, columns = autocovariance.shape
    variances = autocovariance[0].diagonal()
    if lags < num_lags or rows != columns:
        raise ValueError(
            f"expected an autocovariance of shape (lags, inputs, inputs) with at least {num_lags} lags, got "
            f"{tuple(autocovariance.shape)}."
        )
    if not bool(autocovariance.isfinite().all()) or not bool((variances > 0).all()):
        raise ValueError(
            f"expected finite autocovariances and variances above 0, got variances {variances.tolist()}: "
            "leave constant inputs out."
        )


def _looks_white(autocovariance: Autocovariance, num_samples: int | None) -> bool:
    """Ljung and Box's test, with all inputs brought to the identity at lag 0 (Hosking 1980)."""
    later = autocovariance[1:]
    if not bool(later.any()):
        return True
    if num_samples is None:
        return False
    eigenvalues, vectors = torch.linalg.eigh(autocovariance[0])
    root = vectors / eigenvalues.clamp_min(1e-12 * eigenvalues[-1]).sqrt()
    squares = torch.einsum("lij,ia,jb->lab", later, root, root).square().sum((1, 2))
    statistics = num_samples * squares.cumsum(0)
    inputs = autocovariance.shape[1]
    return all(
        float(statistics[lags - 1]) <= chi2.isf(_SIGNIFICANCE, lags * inputs**2)
        for lags in (min(_FIRST_LAGS, len(later)), len(later))
    )
