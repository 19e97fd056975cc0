"""What is refused: compositions that mean nothing, each with a sentence that says why and what is legal."""

from recollect.core import ConfigError
from recollect.regression.features import FEATURES
from recollect.regression.function_classes import LOCAL, MLP, Linear, LocalLinear
from recollect.regression.general.local_fit import degree
from recollect.regression.optimizers import Exact, OneStep, Sgd
from recollect.regression.problem import Composition, HeadSizes
from recollect.regression.weights import ConstantDecay, GatedDecay

ESTIMATES = frozenset({"random_fourier"})
"""Features whose similarity estimates a positive kernel, so that it is negative by its error only: random
feature attention (arXiv:2103.02143) divides by their sum."""


def refuse(composition: Composition, sizes: HeadSizes) -> None:
    """Raise for a composition that means nothing; all others run.

    Args:
        composition: the three choices.
        sizes: of its heads.

    Raises:
        ConfigError: with the reason and the legal choices.

    Example:
        >>> from recollect.regression import MLP, Exact, Uniform
        >>> refuse(Composition(Uniform(), MLP(), Exact()), HeadSizes(1, 2, 2))
        Traceback (most recent call last):
        recollect.core.errors.ConfigError: MLP x Exact: a network has no minimiser in closed form; take
        Sgd(...) or OneStep() with MLP, or Linear, KernelRidge or a local class with Exact.
    """
    reason = (
        _of_network(composition, sizes)
        or _of_decay(composition)
        or _of_writes(composition)
        or _of_one_step(composition)
        or _of_normaliser(composition)
        or _of_exact(composition)
        or _of_ridge(composition)
        or _of_slope(composition)
    )
    if reason is not None:
        raise ConfigError(reason)


def check_form(form: str | None, only: str) -> None:
    """Refuse a form that a solver does not have.

    Raises:
        ValueError: any form but the only one, or `None`.
    """
    if form not in (None, only):
        raise ValueError(f"form={form!r}: expected {only!r}, the only one of the general path.")


def _of_network(composition: Composition, sizes: HeadSizes) -> str | None:
    network, optimizer = composition.function_class, composition.optimizer
    if not isinstance(network, MLP):
        return None
    if isinstance(optimizer, Exact):
        return (
            "MLP x Exact: a network has no minimiser in closed form; take Sgd(...) or OneStep() with MLP, or "
            "Linear, KernelRidge or a local class with Exact."
        )
    if isinstance(optimizer, Sgd) and optimizer.rule != "explicit":
        return (
            f"MLP x Sgd(rule={optimizer.rule!r}): the rule holds for models that are linear in their "
            f"parameters, and a network is not; take rule='explicit', or Linear, KernelRidge, a local class."
        )
    if network.residual and sizes.key_dim != sizes.value_dim:
        return (
            f"MLP(residual=True) adds the key to what it says, but key_dim={sizes.key_dim} and "
            f"value_dim={sizes.value_dim}; make them equal or take residual=False."
        )
    if network.layer_norm and sizes.value_dim == 1:
        return (
            "MLP(layer_norm=True) with value_dim=1 says the same whatever the key is; take value_dim > 1 or "
            "layer_norm=False."
        )
    return None


def _of_decay(composition: Composition) -> str | None:
    if composition.decay != "channel" or isinstance(composition.function_class, Linear):
        return None
    return (
        f"A decay per key channel x {_name(composition)}: its parameters do not belong to key channels that "
        f"could decay one by one; take per='head', or Linear."
    )


def _of_writes(composition: Composition) -> str | None:
    decays = [f for f in composition.weights.factors if isinstance(f, ConstantDecay | GatedDecay)]
    if not any(decay.scales_writes for decay in decays):
        return None
    is_one_step = isinstance(composition.function_class, Linear) and isinstance(
        composition.optimizer, OneStep
    )
    if is_one_step and composition.similarity is None:
        return None
    similarity = " x Similarity" if composition.similarity is not None else ""
    return (
        f"scales_writes=True{similarity} x {_name(composition)} x {type(composition.optimizer).__name__}: it "
        f"scales keys, which is the weight of an association only where the answer is a sum of them, and "
        f"elsewhere changes distances, steps or the prior; take Linear x OneStep() without Similarity, or "
        f"scales_writes=False with Importance() for weights of their own."
    )


def _of_one_step(composition: Composition) -> str | None:
    optimizer = composition.optimizer
    if not isinstance(optimizer, OneStep):
        return None
    if optimizer.normalise != "none" and not isinstance(composition.function_class, Linear):
        return (
            f"OneStep(normalise={optimizer.normalise!r}) x {_name(composition)}: the normaliser is what a "
            f"linear class reads of values 1; take normalise='none', or Linear, or a local class with Exact, "
            f"which is normalised."
        )
    if optimizer.bonus and not isinstance(composition.function_class, Linear):
        return (
            f"OneStep(bonus=True) x {_name(composition)}: the bonus weighs key channels, and only Linear "
            f"answers through them; take bonus=False, or Linear."
        )
    if optimizer.bonus and optimizer.retrieve == "after":
        return (
            "OneStep(bonus=True, retrieve='after') counts the present association twice; take "
            "retrieve='before', or bonus=False."
        )
    return None


def _of_normaliser(composition: Composition) -> str | None:
    function, optimizer = composition.function_class, composition.optimizer
    if (
        not isinstance(optimizer, OneStep)
        or not isinstance(function, Linear)
        or optimizer.normalise == "none"
    ):
        return None
    if optimizer.bonus:
        return (
            f"OneStep(normalise={optimizer.normalise!r}, bonus=True) adds the present association to the "
            f"answer but not to what it is divided by; take normalise='none', or bonus=False."
        )
    if optimizer.normalise == "bounded" or function.features in ESTIMATES:
        return None
    if FEATURES[function.features].nonnegative_similarity:
        return None
    positive = (name for name, features in FEATURES.items() if features.nonnegative_similarity)
    safe = ", ".join(sorted({*positive, *ESTIMATES}))
    return (
        f"OneStep(normalise='sum') x Linear(features={function.features!r}): similarities of both signs can "
        f"sum to 0, and the answer is divided by their sum; take features of {safe}, or "
        f"normalise='bounded' or 'none'."
    )


def _of_exact(composition: Composition) -> str | None:
    memory = composition.memory
    if not isinstance(composition.optimizer, Exact) or memory is None:
        return None
    values = memory.function.values(memory.length)
    if (values >= 0).all():
        return None
    age = int(values.argmin())
    return (
        f"Exact x Memory({memory.function.label}): the weight at age {age} is {float(values[age]):.3g}, "
        f"and a loss with a negative weight has no minimum; take a memory function that is not negative, or "
        f"OneStep() or Sgd(...)."
    )


def _of_ridge(composition: Composition) -> str | None:
    function, optimizer = composition.function_class, composition.optimizer
    if not isinstance(optimizer, Exact) or not optimizer.learned or not isinstance(function, LOCAL):
        return None
    learns_slope = isinstance(function, LocalLinear) and function.slope == "learned"
    if degree(function) > 0 and not learns_slope:
        return None
    fit = "a slope computed from the input" if learns_slope else "a mean of values"
    return (
        f"Exact(learned=True) x {_name(composition)}: {fit} has no ridge that could be learned; take "
        f"learned=False, or Linear, KernelRidge, or a local class that solves for slopes."
    )


def _of_slope(composition: Composition) -> str | None:
    local = composition.function_class
    if not isinstance(local, LocalLinear) or local.slope == "solved":
        return None
    if isinstance(composition.optimizer, Exact):
        return None
    return (
        f"LocalLinear(slope='learned') x {type(composition.optimizer).__name__}: a slope computed from the "
        f"input corrects a solution, not a step; take Exact(), or slope='solved'."
    )


def _name(composition: Composition) -> str:
    return type(composition.function_class).__name__
