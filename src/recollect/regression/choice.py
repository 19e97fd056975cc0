"""Which op solves a composition; the general path where none does."""

from recollect.regression.cache_solvers import kernel_ridge_solver, kernel_sum_solver, local_solver
from recollect.regression.diagonal_solver import diagonal_solver
from recollect.regression.function_classes import (
    LOCAL,
    MLP,
    KernelRidge,
    Linear,
    LocalConstant,
    LocalLinear,
    LocalPolynomial,
)
from recollect.regression.general import direct, online_loop, per_query_loop, refuse
from recollect.regression.network_solver import network_solver
from recollect.regression.op_solvers import (
    delta_solver,
    least_squares_solver,
    linear_solver,
    memory_solver,
    momentum_solver,
)
from recollect.regression.optimizers import Exact, OneStep, Sgd
from recollect.regression.problem import Composition, HeadSizes
from recollect.regression.retrieval import read_before, with_normaliser
from recollect.regression.solver import Solver


def choose(composition: Composition, sizes: HeadSizes) -> Solver:
    """The solver of a composition.

    Raises:
        ConfigError: a composition that means nothing; names those that do.
    """
    refuse(composition, sizes)
    solver = _op(composition, sizes)
    if solver is None:
        solver = _general(composition)
    elif not isinstance(composition.optimizer, Exact) and composition.optimizer.retrieve == "before":
        solver = read_before(solver, getattr(composition.optimizer, "num_steps", 1))
    if isinstance(composition.optimizer, OneStep) and composition.optimizer.normalise != "none":
        return with_normaliser(solver, composition.optimizer.normalise)
    return solver


def _general(composition: Composition) -> Solver:
    """The path that needs no efficient form."""
    if not isinstance(composition.optimizer, Sgd):
        return direct(composition)
    shared = composition.is_multiplicative and not isinstance(composition.function_class, LOCAL)
    return online_loop(composition) if shared else per_query_loop(composition)


def _op(composition: Composition, sizes: HeadSizes) -> Solver | None:
    """The op that solves it, if there is one."""
    match composition.function_class, composition.optimizer:
        case Linear(), OneStep():
            return _one_step(composition, sizes)
        case Linear(), Exact() if composition.is_multiplicative and composition.decay != "channel":
            return least_squares_solver(composition)
        case Linear(), Sgd() if composition.is_multiplicative:
            return _online(composition, composition.optimizer)
        case MLP() as network, Sgd() if composition.is_multiplicative:
            return network_solver(composition) if _has_network_op(composition, network) else None
        case KernelRidge(), OneStep(retrieve="after"):
            only_kernel = composition.similarity is None and composition.memory is None
            return kernel_sum_solver(composition) if only_kernel else None
        case KernelRidge(), Exact(prior=prior) if composition.is_multiplicative:
            same_prior = prior == "decaying" or composition.decay == "none"
            return kernel_ridge_solver(composition) if same_prior else None
        case ((LocalConstant() | LocalLinear() | LocalPolynomial()), (Exact() | OneStep())):
            return _local(composition)
    return None


def _one_step(composition: Composition, sizes: HeadSizes) -> Solver | None:
    if composition.is_multiplicative:
        has_lanes = composition.decay != "none" and 1 in (sizes.key_dim, sizes.value_dim)
        return diagonal_solver() if has_lanes else linear_solver(composition)
    only_age = composition.similarity is None and composition.decay == "none"
    one_of_two = (composition.memory is None) != (composition.window is None)
    # An association of zeros, which `read_before` puts in front, would make all others older.
    after = isinstance(composition.optimizer, OneStep) and composition.optimizer.retrieve == "after"
    return memory_solver(composition) if only_age and one_of_two and after else None


def _local(composition: Composition) -> Solver | None:
    """Weights by similarity in a local class; the ops have one ridge a head, and answer after learning."""
    if composition.similarity is None or composition.memory is not None:
        return None
    function, optimizer = composition.function_class, composition.optimizer
    if isinstance(optimizer, OneStep):
        return local_solver(composition) if optimizer.retrieve == "after" else None
    assert isinstance(optimizer, Exact)
    solves_slopes = not isinstance(function, LocalConstant) and function != LocalLinear(slope="learned")
    return None if solves_slopes and optimizer.learned else local_solver(composition)


def _has_network_op(composition: Composition, network: MLP) -> bool:
    """The op with momentum and decay has two layers, and takes gradients before the decay."""
    optimizer = composition.optimizer
    assert isinstance(optimizer, Sgd)
    plain = optimizer.momentum == 0 and not composition.parameters_decay
    moving = network.depth == 2 and (optimizer.gradient == "undecayed" or not composition.parameters_decay)
    return optimizer.num_steps == 1 and optimizer.retrieve == "after" and (plain or moving)


def _online(composition: Composition, optimizer: Sgd) -> Solver | None:
    # The delta rules take each gradient at once, of the decayed memory.
    undecayed = optimizer.gradient == "undecayed" and composition.parameters_decay
    if optimizer.minibatch > 1 or undecayed:
        return None
    if optimizer.momentum == 0:
        return (
            delta_solver(composition) if optimizer.num_steps == 1 or composition.decay != "channel" else None
        )
    plain = optimizer.num_steps == 1 and composition.decay != "channel" and optimizer.retrieve == "after"
    return momentum_solver(composition) if plain else None
