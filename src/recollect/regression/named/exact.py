r"""Exact solutions: the regressor that fits best is found anew at each position.

$$m_t = \arg\min_m \sum_{i \le t} w_i^{(t)} \lVert v_i - m(k_i) \rVert^2 + \lambda \lVert m \rVert^2, \qquad
o_t = m_t(q_t)$$

The rows differ in the regression weights, in the prior, and in the function class, linear or of a kernel.
"""

from typing import Literal

from recollect.regression.function_classes import KernelRidge
from recollect.regression.layer import RegressionLayer
from recollect.regression.optimizers import Exact
from recollect.regression.output import Gate, OutputNorm
from recollect.regression.projections import Activation
from recollect.regression.weights import GatedDecay, Importance, Uniform

SLOW_START = (3.0, 6.0)
"""Biases of decays that start between `sigmoid(3) = 0.95` and `sigmoid(6) = 0.998`."""


def rls(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    decay: bool = True,
    importance: bool = False,
    ridge: float = 1.0,
    learned_ridge: bool = True,
    short_conv: int | None = 4,
    activation: Activation = "silu",
    output_norm: OutputNorm = "rms",
    output_gate: Gate = "none",
) -> RegressionLayer:
    r"""Recursive least squares: ridge regression with a prior that decays.

    $$H_t = e^{g_t} H_{t-1} + \beta_t k_t k_t^\top, \quad S_t = e^{g_t} S_{t-1} + \beta_t k_t v_t^\top, \qquad
    o_t = S_t^\top H_t^{-1} q_t, \qquad H_0 = \mathrm{diag}(\lambda)$$

    Gated decay, or uniform weights, x linear x exact. State `H K (K + V)` and the convolution's. As a layer
    in the spirit of the mesa-layer (von Oswald et al. 2023, arXiv:2309.05858), which is the case without
    decay; the parts around it are those of DeltaNet.

    Where keys stay in one direction for long (a constant or padded input) the decaying prior is forgotten in
    all others, and the fit has no answer: `ValueError`, in training a failed run. `mesa` keeps its prior.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        decay: whether the weights decay, by a gate for each head; uniform if not.
        importance: whether each association has a gated weight `beta` of its own.
        ridge: strength of the prior at the start, positive.
        learned_ridge: whether training moves it, one for each head and key channel.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        activation: of queries, keys and values.
        output_norm: over each head's channels.
        output_gate: activation of a gate on the output, or `none`.

    Example:
        >>> rls(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    weights = GatedDecay(temperature=1.0, initial_bias=SLOW_START) if decay else Uniform()
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=weights * Importance() if importance else weights,
        optimizer=Exact(ridge=ridge, learned=learned_ridge),
        short_conv=short_conv,
        activation=activation,
        output_norm=output_norm,
        output_gate=output_gate,
        title="recursive least squares",
        citation="von Oswald et al. 2023, arXiv:2309.05858; Wang et al. 2025, arXiv:2501.12352",
    )


def mesa(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    ridge: float = 1.0,
    learned_ridge: bool = True,
    short_conv: int | None = 4,
    activation: Activation = "silu",
    output_norm: OutputNorm = "rms",
    output_gate: Gate = "none",
) -> RegressionLayer:
    r"""Mesa layer: gated ridge regression with a prior that stays.

    $$H_t = e^{g_t} H_{t-1} + \beta_t k_t k_t^\top, \quad S_t = e^{g_t} S_{t-1} + \beta_t k_t v_t^\top, \qquad
    o_t = S_t^\top (H_t + \mathrm{diag}(\lambda))^{-1} q_t$$

    Gated decay and importance x linear x exact with a fixed prior, by conjugate gradients. State `H K (K +
    V)` and the convolution's. After MesaNet (von Oswald et al. 2025, arXiv:2506.05233), from memory: gated
    decay and importance, a trained ridge for each channel, short convolutions with SiLU, queries and keys of
    norm 1, a norm of each head. Theirs keeps the ridge above a bound, here it is positive; theirs solves to a
    number of iterations, here to a tolerance.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        ridge: strength of the prior at the start, positive.
        learned_ridge: whether training moves it, one for each head and key channel.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        activation: of queries, keys and values.
        output_norm: over each head's channels.
        output_gate: activation of a gate on the output, or `none`.

    Example:
        >>> mesa(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        weights=GatedDecay(temperature=1.0, initial_bias=SLOW_START) * Importance(),
        optimizer=Exact(prior="fixed", ridge=ridge, learned=learned_ridge),
        short_conv=short_conv,
        activation=activation,
        output_norm=output_norm,
        output_gate=output_gate,
        title="mesa layer",
        citation="von Oswald et al. 2025, arXiv:2506.05233",
    )


def intention(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    ridge: float = 1.0,
    learned_ridge: bool = False,
    short_conv: int | None = None,
    activation: Activation = "none",
    qk_norm: bool = False,
) -> RegressionLayer:
    r"""Intention: ridge regression of values on keys, every association alike.

    $$o_t = q_t^\top (K_t^\top K_t + \lambda I)^{-1} K_t^\top V_t, \qquad
    K_t, V_t \text{ with rows } i \le t$$

    Uniform weights x linear x exact. State `H K (K + V)`. Garnelo and Czarnecki 2023 (arXiv:2305.10203), with
    a causal mask that theirs does not have; the kernel of their `sigma`-variant is `kernel_intention`'s idea.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        ridge: `lambda`, positive.
        learned_ridge: whether training moves it, one for each head and key channel.
        short_conv: taps of a convolution over queries, keys and values (not in the paper), or `None`.
        activation: of queries, keys and values.
        qk_norm: give queries and keys norm 1.

    Example:
        >>> intention(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        optimizer=Exact(ridge=ridge, learned=learned_ridge),
        short_conv=short_conv,
        activation=activation,
        qk_norm=qk_norm,
        title="Intention",
        citation="Garnelo and Czarnecki 2023, arXiv:2305.10203",
    )


def kernel_intention(
    dim: int,
    *,
    num_heads: int = 4,
    key_dim: int | None = None,
    value_dim: int | None = None,
    kernel: Literal["gaussian", "laplace", "exponential"] = "gaussian",
    bandwidth: float = 1.0,
    ridge: float = 0.1,
    learned_ridge: bool = False,
    short_conv: int | None = None,
    activation: Activation = "none",
    qk_norm: bool = True,
) -> RegressionLayer:
    r"""Kernel Intention: kernel ridge regression of values on keys.

    $$o_t = \kappa(q_t, K_t) (\kappa(K_t, K_t) + \lambda I)^{-1} V_t, \qquad
    K_t, V_t \text{ with rows } i \le t$$

    Uniform weights x kernel x exact. State all associations, `H (K + V + 1)` each, and `H`. Intention
    (arXiv:2305.10203) with the inner product of keys replaced by a positive definite kernel; in the spirit of
    its nonlinear variants, not one of them.

    Args:
        dim: width of input and output.
        num_heads: number `H` of heads.
        key_dim: key channels `K` of a head, `dim / num_heads` if `None`.
        value_dim: value channels `V` of a head, `dim / num_heads` if `None`.
        kernel: `gaussian`, `laplace` or `exponential`.
        bandwidth: width of the kernel, positive.
        ridge: `lambda`, positive.
        learned_ridge: whether training moves it; the mean over a head's channels counts.
        short_conv: taps of a convolution over queries, keys and values, or `None`.
        activation: of queries, keys and values.
        qk_norm: give queries and keys norm 1.

    Example:
        >>> kernel_intention(8)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """
    return RegressionLayer(
        dim,
        num_heads=num_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        function_class=KernelRidge(kernel=kernel, bandwidth=bandwidth),
        optimizer=Exact(ridge=ridge, learned=learned_ridge),
        short_conv=short_conv,
        activation=activation,
        qk_norm=qk_norm,
        title="kernel Intention",
        citation="in the spirit of Garnelo and Czarnecki 2023, arXiv:2305.10203",
    )
