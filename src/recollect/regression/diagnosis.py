"""How well posed a layer's regression is, and how well it is solved: per head and position."""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import Sequence
from recollect.ops.mesa import mesa_residual
from recollect.regression.function_classes import LOCAL
from recollect.regression.general.dense_weights import DenseWeights, ages, dense_weights, log_fading
from recollect.regression.general.history import empty_history, extended
from recollect.regression.general.local_fit import degree, local_features
from recollect.regression.layer import RegressionLayer
from recollect.regression.optimizers import Exact
from recollect.regression.problem import Associations, Constants
from recollect.regression.reading import answering_after

PerPosition = Float[Tensor, "B T H"]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    r"""What `diagnose` found, each `(B, T, H)`.

    Attributes:
        residual: $\lVert v_t - m_t(k_t) \rVert$, of the association of each position after it was learned,
            also where queries are answered before.
        condition_number: of the weighted second moments of what the class is linear in (for networks and
            kernels, of the keys), with the prior of an exact linear class; infinite where they are singular,
            or where nothing counts.
        effective_sample_size: $(\sum_i w_i)^2 / \sum_i w_i^2$, how many associations count for the query of
            each position, 0 where none does; decays per key channel, which are no weights of associations,
            are left out.
        leverage: $\phi(q)^\top (\sum_i w_i \phi(k_i) \phi(k_i)^\top + \text{prior})^{+} \phi(q)$: the larger,
            the less the associations say about this query.
        solver_residual: relative residual of the iterative solver, or `None` where there is none.
    """

    residual: PerPosition
    condition_number: PerPosition
    effective_sample_size: PerPosition
    leverage: PerPosition
    solver_residual: PerPosition | None

    def __str__(self) -> str:
        lines = []
        for name, values in vars(self).items():
            if values is not None:
                low, middle, high = (
                    values.flatten().double().quantile(torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64))
                )
                lines.append(f"{name.replace('_', ' '):<22} {middle:.3g}  (5 % {low:.3g}, 95 % {high:.3g})")
        return "\n".join(lines)


@torch.no_grad()
def diagnose(layer: RegressionLayer, x: Sequence) -> Diagnosis:
    """Residuals, condition, effective sample size and leverage of a layer's regression on a sequence.

    Looks at the weights of all associations for all queries: O(T^2 K^2), for inspection, not for training.

    Args:
        layer: any regression layer.
        x: what it reads.

    Example:
        >>> layer = RegressionLayer(8, num_heads=2)
        >>> diagnose(layer, torch.ones(1, 3, 8)).effective_sample_size[0, :, 0]  # uniform weights
        tensor([1., 2., 3.])
    """
    a, _ = layer.associations(x, layer.initial_state(len(x)))
    constants: Constants = layer.constants(x)
    last_key = a.k.unflatten(1, (-1, layer.num_steps))[:, :, -1]
    solver = answering_after(layer)
    empty = solver.initial_state(len(x), layer.sizes, constants, a.q)
    learned, _ = solver.read(a._replace(q=last_key), constants, empty, None)
    value = a.v.unflatten(1, (-1, layer.num_steps))[:, :, -1]
    weights, keys = _weights(layer, a, constants)
    moments, query = _moments(layer, a, constants, weights.values(), keys)
    return Diagnosis(
        residual=(value - learned).norm(dim=-1),
        condition_number=rearrange(_condition(moments), "b h t -> b t h"),
        effective_sample_size=rearrange(_sample_size(weights), "b h t -> b t h"),
        leverage=rearrange(
            torch.einsum("bhtk,bhtkj,bhtj->bht", query, torch.linalg.pinv(moments, hermitian=True), query),
            "b h t -> b t h",
        ),
        solver_residual=_solver_residual(layer, a, constants),
    )


def _condition(moments: Float[Tensor, "*B F F"]) -> Float[Tensor, "*B"]:
    nothing = moments.abs().amax(dim=(-2, -1)) == 0
    return torch.linalg.cond(moments).masked_fill(nothing, torch.inf)


def _sample_size(weights: DenseWeights) -> Float[Tensor, "B H T"]:
    values = weights.rescaled().values()
    squares = values.square().sum(-1)
    return values.sum(-1).square() / squares.masked_fill(squares == 0, 1.0)


def _weights(
    layer: RegressionLayer, a: Associations, constants: Constants
) -> tuple[DenseWeights, Float[Tensor, "B H _ S K"]]:
    """The regression weights, and the keys as each query sees them: decays per channel shrink the keys."""
    composition = layer.composition
    history = extended(empty_history(composition, len(a.q), layer.sizes, a.q), a)
    known = ages(composition, constants, history, a.q.shape[1])
    weights = dense_weights(composition, constants, a.q, history, known, decays=True)
    keys = rearrange(history.keys, "b s h k -> b h 1 s k")
    if composition.decay == "channel":
        keys = keys * log_fading(history, known).exp()
    return weights, keys


def _moments(
    layer: RegressionLayer,
    a: Associations,
    constants: Constants,
    weights: Float[Tensor, "B H T S"],
    keys: Float[Tensor, "B H _ S K"],
) -> tuple[Float[Tensor, "B H T F F"], Float[Tensor, "B H T F"]]:
    """Weighted second moments of the features, with the prior, and the features of the query."""
    function = layer.composition.function_class
    q = rearrange(a.q, "b t h k -> b h t k")
    is_local = isinstance(function, LOCAL)
    features, query = keys, q
    if is_local:
        offset = keys - q.unsqueeze(-2)
        products = local_features(offset, degree(function))
        features = torch.cat([torch.ones_like(offset[..., :1]), products], dim=-1)
        query = torch.zeros_like(features[..., 0, :])
        query[..., 0] = 1.0
    moments = torch.einsum("bhts,bhtsf,bhtsg->bhtfg", weights, features.expand(*weights.shape, -1), features)
    if isinstance(layer.composition.optimizer, Exact) and not is_local:
        moments = moments + torch.diag_embed(_prior(layer, a, constants))
    return moments, query


def _prior(layer: RegressionLayer, a: Associations, constants: Constants) -> Float[Tensor, "B H T K"]:
    assert constants.ridge is not None
    ridge = constants.ridge[:, None].expand(len(a.q), -1, a.q.shape[1], -1)
    optimizer = layer.composition.optimizer
    if a.g is None or not isinstance(optimizer, Exact) or optimizer.prior == "fixed":
        return ridge
    total = a.g.cumsum(1)
    # A decay per channel fades the keys, and with them a prior that is made of associations: twice.
    kept = total[..., None].exp() if total.ndim == 3 else (2 * total).exp()
    return ridge * rearrange(kept, "b t h k -> b h t k")


def _solver_residual(layer: RegressionLayer, a: Associations, constants: Constants) -> PerPosition | None:
    """Of conjugate gradients, which the fixed prior is solved by."""
    if not layer.solver.name.startswith("ops.mesa"):
        return None
    assert constants.ridge is not None
    g = a.q.new_zeros(a.q.shape[:3]) if a.g is None else a.g
    beta = torch.ones_like(g) if a.log_importance is None else a.log_importance.exp()
    return mesa_residual(a.q, a.k, g, beta, constants.ridge)
