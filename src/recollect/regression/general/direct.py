"""One step from zero and the exact minimiser, for any weights: each query from all that it may know."""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from recollect.core.shapes import Values
from recollect.regression.function_classes import MLP, KernelRidge, Linear, LocalLinear
from recollect.regression.general.dense_weights import Ages, DenseWeights, ages, dense_weights, log_fading
from recollect.regression.general.history import (
    History,
    empty_history,
    extended,
    history_size,
    kept_positions,
    sight,
    truncated,
)
from recollect.regression.general.inner_model import kernel_matrix, network, network_start
from recollect.regression.general.legal import check_form
from recollect.regression.general.local_fit import corrected_mean, degree, local_features, local_ridge
from recollect.regression.optimizers import Exact, OneStep
from recollect.regression.problem import Associations, Composition, Constants, HeadSizes
from recollect.regression.solver import Solver, State

Answers = Float[Tensor, "B H T V"]


def direct(composition: Composition) -> Solver:
    r"""The general path of `OneStep` and `Exact`: the weighted regression of each query, one by one.

    $$\hat m_t = \sum_{i \le t} W_{ti}\, \kappa(q_t, k_i)\, v_i \quad \text{or} \quad
    \hat m_t = \arg\min_m \sum_{i \le t} W_{ti} \lVert v_i - m(k_i) \rVert^2 + \text{prior}$$

    Keeps the associations, all or those in sight of a window. What the classes do:

    - linear: a decay per key channel is no weight of a loss but fades the keys, $e^{G_t - G_i} k_i$; a prior
      that decays is made of associations that fade alike, `ridge e^G` per head, `ridge e^{2G}` per channel.
    - local: the ridge is on all but the constant, relative to the sum of the weights, whatever the prior;
      one step from zero is the weighted sum of the values in all of them.
    - kernel: $(W \mathcal K + \text{ridge}\, I)^{-1} W V$ with the mean ridge of a head; one step is
      $\sum W_{ti} \kappa(q_t, k_i) v_i$.
    - network: one step is from where the parameters start.

    With `retrieve="before"`, query t is answered by the regressor of t - 1, `bonus` and `normalise` not
    included. Weights of an exact fit that a fitted memory function makes negative count as 0.

    Args:
        composition: with `OneStep` or `Exact` as its optimizer.

    Example:
        >>> from recollect.regression import Exact, LocalConstant, Similarity
        >>> direct(Composition(Similarity(), LocalConstant(), Exact())).cost
        'T^2 (K + V)'
    """

    def initial_state(batch_size: int, sizes: HeadSizes, constants: Constants, like: Tensor) -> History:
        return empty_history(composition, batch_size, sizes, like)

    def read(a: Associations, c: Constants, state: State | None, form: str | None) -> tuple[Values, State]:
        check_form(form, "direct")
        sizes = HeadSizes(a.q.shape[2], a.q.shape[3], a.v.shape[3])
        past = initial_state(a.q.shape[0], sizes, c, a.q) if state is None else state
        history = extended(past, a)
        answers = _answers(_regressions(composition, a, c, past, history))
        kept = kept_positions(composition, sight(composition, c))
        return rearrange(answers, "b h t v -> b t h v"), truncated(history, kept, 1)

    return Solver(
        name="general path: the weighted regression of each query",
        forms=("direct",),
        read=read,
        initial_state=initial_state,
        state_size=lambda sizes, length: history_size(composition, sizes, length),
        cost=_cost(composition),
    )


@dataclass(frozen=True)
class Regressions:
    """The regressions of all queries, heads before time.

    Attributes:
        composition: what they are.
        constants: their numbers that do not depend on the input.
        q: queries.
        k: keys.
        v: values.
        weights: how much each association counts for each query.
        fading: logarithm of what is left of each key channel, for a decay per channel.
        prior_decay: logarithm of what is left of the prior, where it decays.
        slope: Parallax's direction.
    """

    composition: Composition
    constants: Constants
    q: Float[Tensor, "B H T K"]
    k: Float[Tensor, "B H S K"]
    v: Float[Tensor, "B H S V"]
    weights: DenseWeights
    fading: Float[Tensor, "B H T S K"] | None
    prior_decay: Float[Tensor, "B H T _"] | None
    slope: Float[Tensor, "B H T K"] | None


def _regressions(
    composition: Composition, a: Associations, constants: Constants, past: History, history: History
) -> Regressions:
    length = a.q.shape[1]
    age: Ages = ages(composition, constants, history, length)
    is_faded = composition.decay == "channel"
    prior_decay = None
    if history.total_decay.shape[-1]:
        recent = history.log_decay[:, -length:].cumsum(1)
        prior_decay = _heads_first(past.total_decay[:, None] + recent)
    return Regressions(
        composition=composition,
        constants=constants,
        q=_heads_first(a.q),
        k=_heads_first(history.keys),
        v=_heads_first(history.values),
        weights=dense_weights(composition, constants, a.q, history, age, decays=not is_faded),
        fading=log_fading(history, age) if is_faded else None,
        prior_decay=prior_decay,
        slope=None if a.slope is None else _heads_first(a.slope),
    )


def _answers(r: Regressions) -> Answers:
    """What each query is answered."""
    match r.composition.function_class, r.composition.optimizer:
        case Linear(), OneStep():
            return (r.weights.values() * _similarity_of_keys(r, r.q)) @ r.v
        case Linear(), Exact() as optimizer:
            return _least_squares(r, optimizer)
        case MLP() as config, OneStep():
            return _network_step(r, config)
        case KernelRidge() as config, OneStep():
            return (r.weights.values() * kernel_matrix(config, r.q, r.k)) @ r.v
        case KernelRidge() as config, Exact() as optimizer:
            return _kernel_ridge(r, config, optimizer)
        case _, OneStep():
            return r.weights.values() @ r.v
    return _local_fit(r)


def _similarity_of_keys(r: Regressions, x: Float[Tensor, "B H T K"]) -> Float[Tensor, "B H T S"]:
    """Inner products with the keys, which may have faded since."""
    if r.fading is None:
        return x @ r.k.mT
    return torch.einsum("bhtk,bhtsk,bhsk->bhts", x, r.fading.exp(), r.k)


def _least_squares(r: Regressions, optimizer: Exact) -> Answers:
    """Ridge regression of the values on the keys, `q^T (K^T W K + prior)^-1 K^T W V`."""
    weights = r.weights.of_a_loss()
    if r.fading is None:
        products = torch.einsum("bhsk,bhsl->bhskl", r.k, r.k)
        covariance = torch.einsum("bhts,bhskl->bhtkl", weights, products)
    else:
        keys = r.fading.exp() * r.k.unsqueeze(-3)
        covariance = torch.einsum("bhts,bhtsk,bhtsl->bhtkl", weights, keys, keys)
    assert r.constants.ridge is not None
    prior = _prior(r, r.constants.ridge, optimizer)
    direction = torch.linalg.solve(covariance + torch.diag_embed(prior), r.q.unsqueeze(-1)).squeeze(-1)
    return (weights * _similarity_of_keys(r, direction)) @ r.v


def _kernel_ridge(r: Regressions, config: KernelRidge, optimizer: Exact) -> Answers:
    """Kernel ridge regression among what each query sees; all else has a system of its own, with answer 0."""
    weights = r.weights.of_a_loss()
    counts = r.weights.log > -torch.inf
    pairs = counts.unsqueeze(-1) & counts.unsqueeze(-2)
    gram = kernel_matrix(config, r.k, r.k).unsqueeze(2).masked_fill(~pairs, 0.0)
    assert r.constants.ridge is not None
    prior = _prior(r, r.constants.ridge.mean(-1, keepdim=True), optimizer)
    prior = prior.expand(counts.shape).masked_fill(~counts, 1.0)
    system = weights.unsqueeze(-1) * gram + torch.diag_embed(prior)
    coefficients = torch.linalg.solve(system, weights.unsqueeze(-1) * r.v.unsqueeze(2))
    return torch.einsum("bhts,bhtsv->bhtv", kernel_matrix(config, r.q, r.k), coefficients)


def _local_fit(r: Regressions) -> Answers:
    """A polynomial around each query, read there."""
    order = degree(r.composition.function_class)
    p = r.weights.normalised()
    if order == 0:
        return p @ r.v
    features = local_features(r.k.unsqueeze(2) - r.q.unsqueeze(3), order)
    config = r.composition.function_class
    if isinstance(config, LocalLinear) and config.slope == "learned":
        return corrected_mean(p, features, r.v, slope=r.slope)
    assert r.constants.ridge is not None
    return corrected_mean(p, features, r.v, ridge=local_ridge(r.constants.ridge, order))


def _network_step(r: Regressions, config: MLP) -> Answers:
    """One step of a network on the weighted loss: the gradient of each association is taken once."""
    model = network(config, r.k.shape[-1], r.v.shape[-1], r.constants)
    start = network_start(r.constants)
    q, k, v = (rearrange(x, "b h t k -> b t h k") for x in (r.q, r.k, r.v))
    gradients = model.gradient(start.expand(*k.shape[:2], -1, -1, -1), k, k, v)
    total = torch.einsum("bhts,bshpx->bthpx", r.weights.values(), gradients)
    return _heads_first(model.predict(start - total, q))


def _prior(r: Regressions, ridge: Float[Tensor, "H _"], optimizer: Exact) -> Float[Tensor, "B H T _"]:
    """Strength of the prior at each query."""
    ridge = ridge[None, :, None].expand(len(r.q), -1, r.q.shape[2], -1)
    if optimizer.prior == "fixed" or r.prior_decay is None:
        return ridge
    return ridge * ((1 if r.fading is None else 2) * r.prior_decay).exp()


def _heads_first(x: Float[Tensor, "B T H X"]) -> Float[Tensor, "B H T X"]:
    return x.transpose(1, 2)


def _cost(composition: Composition) -> str:
    exact = isinstance(composition.optimizer, Exact)
    match composition.function_class:
        case MLP() as config:
            return "T^2 K V" if config.depth == 1 else f"T^2 {config.expansion} K (K + V)"
        case KernelRidge() if exact:
            return "T^4"
        case Linear() if exact:
            return "T^2 K^2 + T K^3"
    order = degree(composition.function_class) if exact else 0
    if isinstance(composition.function_class, LocalLinear) and composition.function_class.slope == "learned":
        order = 0
    return ["T^2 (K + V)", "T^2 K^2 + T K^3", "T^2 K^4 + T K^6"][order]
