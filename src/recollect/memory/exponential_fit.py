r"""Fitting a memory function by a sum of exponentials: ESPRIT for the poles, least squares for the rest.

If $\rho_k = \sum_j c_j \lambda_j^k$ has m terms, the Hankel matrix $\rho_{i+j}$ has rank m and its column
space is spanned by the vectors $(1, \lambda_j, \lambda_j^2, \dots)$. With a basis U of that space,
U without its last row and U without its first differ by a matrix with eigenvalues $\lambda_j$ (Ho and
Kalman 1966; Roy and Kailath 1989, ESPRIT). For any other $\rho$ the m leading left singular vectors
take the place of U.
"""

import torch
from jaxtyping import Complex128, Float64
from torch import Tensor

from recollect.core import ConfigError
from recollect.core.shapes import Taps
from recollect.memory.exponential_sum import ExponentialSum, Poles, powers
from recollect.memory.hankel import hankel_matrix
from recollect.memory.numerical_rank import numerical_rank


def fit_exponential_sum(rho: Taps, num_terms: int) -> ExponentialSum:
    r"""A sum of at most `num_terms` exponentials near the taps $\rho_0, \dots, \rho_{T-1}$.

    A term is one real exponential, or one of a complex pair (a cosine takes two), so `num_terms` is
    the number of real states. The fit is exact for sums of so many terms; fewer are used where the
    taps hold fewer. Otherwise it is good but not the best in least squares: refine it by variable
    projection where that matters. Poles are not forced into the unit circle. Cost O(T^3).

    It fails on an impulse: the recurrence for one is a shift register, all of whose poles are 0, so
    beyond lag 0 the fit is zero. Other poles do better, and must be searched for.

    Args:
        rho: T taps.
        num_terms: 1 to T // 2, beyond which the Hankel matrix cannot tell poles apart.

    Example:
        >>> from recollect.memory import Exponential
        >>> rho = Exponential(alpha=0.5).values(16) - 2 * Exponential(alpha=0.1).values(16)
        >>> fit = fit_exponential_sum(rho, num_terms=2)
        >>> torch.allclose(fit.values(16), rho, rtol=0, atol=1e-12)
        True
    """
    length = len(rho)
    if not 1 <= num_terms <= length // 2:
        raise ConfigError(
            f"expected 1 <= num_terms <= {length // 2} for {length} taps, got {num_terms}. Ask for fewer "
            f"terms, or give at least {2 * num_terms} taps."
        )
    target = rho.double()
    poles = _esprit(target, num_terms)
    return ExponentialSum(poles, _residues(target, poles))


def _esprit(rho: Float64[Tensor, " T"], num_terms: int) -> Poles:
    """Poles of the leading `num_terms` directions of the Hankel matrix, one of each complex pair."""
    basis, singular_values, _ = torch.linalg.svd(hankel_matrix(rho), full_matrices=False)
    rank = numerical_rank(singular_values, len(rho) * torch.finfo(rho.dtype).eps)
    basis = basis[:, : min(num_terms, rank)]
    shift = torch.linalg.lstsq(basis[:-1], basis[1:], driver="gelsd").solution
    eigenvalues = torch.linalg.eigvals(shift)
    return eigenvalues[eigenvalues.imag >= 0]


def _residues(rho: Float64[Tensor, " T"], poles: Poles) -> Complex128[Tensor, " N"]:
    """Least squares over all taps, in real numbers; columns are scaled to length 1 for its sake."""
    design = powers(poles, len(rho)).mT
    is_complex = poles.imag != 0
    columns = torch.cat([design.real, -design.imag[:, is_complex]], dim=1)
    scale = torch.linalg.vector_norm(columns, dim=0)
    solution = torch.linalg.lstsq(columns / scale, rho[:, None], driver="gelsd").solution[:, 0] / scale
    residues = solution[: len(poles)].to(torch.complex128)
    residues[is_complex] += 1j * solution[len(poles) :]
    return residues
