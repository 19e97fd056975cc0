from itertools import pairwise

import pytest
import torch

from recollect.core import ConfigError
from recollect.floors import Problem
from recollect.floors.dilated import LinearDilated
from recollect.floors.tensor_train_fit import tensor_train
from recollect.models import TCN, SequenceModel

WEIGHTINGS = ("uniform", "window")


def noise(length, rng):
    return torch.randn(length, generator=rng, dtype=torch.float64)


def power_law(length):
    return (1 + torch.arange(length, dtype=torch.float64)) ** -0.6


def network(width, base, num_levels, *, skip=False):
    """One linear dilated network between an encoder and a decoder; `skip` adds its input to its output."""
    return SequenceModel(
        lambda: TCN(
            width,
            kernel_size=base,
            num_levels=num_levels,
            dilation_base=base,
            activation="linear",
            residual=False,
        ),
        1,
        1,
        dim=width,
        bias=False,
        residual=skip,
    ).double()


def impulse_response(model, length):
    with torch.no_grad():
        return model.kernel(length)[:, 0, 0]


@pytest.mark.parametrize(
    ("base", "num_levels", "length", "width"), [(2, 5, 32, 3), (3, 3, 23, 2), (4, 2, 40, 6)]
)
def test_cores_are_the_kernels_of_a_network_with_that_impulse_response(base, num_levels, length, width, rng):
    (floor,) = LinearDilated(base, num_levels).floors(Problem(noise(length, rng)), [width])
    model = network(width, base, num_levels)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.encoder.weight[0, 0] = model.decoder.weight[0, 0] = 1
        for level, core in zip(model.mixers[0].levels, floor.fit.cores, strict=True):
            taps, outputs, inputs = core.shape
            level.weight.reshape(width, taps, width)[:outputs, :, :inputs] = core.transpose(0, 1)
    taps = floor.fit.taps(length + 5)
    torch.testing.assert_close(impulse_response(model, length + 5), taps, rtol=1e-10, atol=1e-10)
    assert floor.attained == pytest.approx(Problem(noise(length, rng.manual_seed(0))).nmse(taps[:length]))


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("length", [27, 32])
def test_no_random_network_beats_the_floor_with_its_best_decoder(length, weighting, skip, rng):
    torch.manual_seed(0)
    width, num_levels = 2, 5
    for rho in (power_law(length), noise(length, rng)):
        problem = Problem(rho, weighting)
        (floor,) = LinearDilated(2, num_levels, skip).floors(problem, [width])
        for _ in range(60):
            model = network(width, 2, num_levels)
            model.decoder = torch.nn.Identity()
            with torch.no_grad():
                channels = model.kernel(length)[:, :, 0]
            if skip:
                channels = torch.cat([channels, torch.eye(length, dtype=torch.float64)[:, :1]], dim=1)
            roots = problem.weights.sqrt()
            gains = torch.linalg.lstsq(roots[:, None] * channels, roots * rho).solution
            assert problem.nmse(channels @ gains) >= floor.lower


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_networks_trained_on_the_problem_stay_above_the_floor(weighting, rng):
    torch.manual_seed(0)
    problem = Problem(noise(16, rng), weighting)
    (floor,) = LinearDilated().floors(problem, [2])
    model = network(2, 2, 4)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        error = (problem.weights * (model.kernel(16)[:, 0, 0] - problem.rho).square()).sum()
        error.backward()
        return error

    optimizer.step(loss)
    assert floor.lower <= problem.nmse(impulse_response(model, 16)) <= 2 * floor.attained


def test_uniform_bound_is_the_largest_loss_of_an_unfolding_on_a_full_horizon(rng):
    rho = noise(32, rng)
    (floor,) = LinearDilated().floors(Problem(rho), [3])
    tails = [float(torch.linalg.svdvals(rho.reshape(2**k, -1))[3:].square().sum()) for k in range(1, 5)]
    assert floor.lower == pytest.approx(max(tails) / float(rho.square().sum()), rel=1e-10)
    assert floor.attained <= sum(tails) / float(rho.square().sum())


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize(
    ("base", "num_levels", "length"), [(2, None, 37), (2, 3, 16), (3, None, 27), (3, 1, 7)]
)
def test_bounds_enclose_and_fall_with_the_width(base, num_levels, length, weighting, skip, rng):
    for rho in (power_law(length), noise(length, rng)):
        problem = Problem(rho, weighting)
        floors = LinearDilated(base, num_levels, skip).floors(problem, [1, 2, 3, 5])
        assert all(0 <= floor.lower <= floor.attained <= 1 + 1e-12 for floor in floors)
        assert all(
            wide.lower <= narrow.lower and wide.attained <= narrow.attained
            for narrow, wide in pairwise(floors)
        )
        for floor in floors:
            assert floor.attained == pytest.approx(problem.nmse(floor.fit.taps(length)), rel=1e-10)


def test_an_impulse_and_an_exponential_need_one_channel_and_a_cosine_two():
    lags = torch.arange(24, dtype=torch.float64)
    (impulse,) = LinearDilated().floors(Problem((lags == 13).double()), [1])
    (exponential,) = LinearDilated().floors(Problem(torch.exp(-lags / 9)), [1])
    one, two = LinearDilated().floors(Problem(torch.cos(lags)), [1, 2])
    assert impulse.attained < 1e-20
    assert exponential.attained < 1e-20
    assert one.lower > 0.1
    assert two.attained < 1e-20


def test_lags_beyond_the_receptive_field_are_lost():
    problem = Problem(power_law(20), "window")
    (floor,) = LinearDilated(base=2, num_levels=3).floors(problem, [8])
    tail = (problem.weights * problem.rho.square())[8:].sum() / problem.energy
    assert floor.lower == pytest.approx(float(tail), rel=1e-10)
    assert floor.attained == pytest.approx(float(tail), rel=1e-10)


def test_a_skip_connection_frees_the_first_lag():
    rho = torch.cat([torch.tensor([3.0]), torch.exp(-torch.arange(1.0, 16.0).double() / 5)])
    (without,) = LinearDilated().floors(Problem(rho), [1])
    (skipped,) = LinearDilated(skip=True).floors(Problem(rho), [1])
    assert without.lower > 1e-3
    assert skipped.attained < 1e-20


def test_tensor_trains_without_truncation_are_exact(rng):
    values = noise(27, rng)
    cores = tensor_train(values, 3, 9)
    assert [tuple(core.shape) for core in cores] == [(3, 3, 1), (3, 3, 3), (3, 1, 3)]
    digits = [[lag // 3**k % 3 for k in range(3)] for lag in range(27)]
    products = torch.stack([(cores[2][d[2]] @ cores[1][d[1]] @ cores[0][d[0]])[0, 0] for d in digits])
    torch.testing.assert_close(products, values, rtol=1e-10, atol=1e-10)


def test_unknown_shapes_are_refused(rng):
    with pytest.raises(ConfigError, match="base of at least 2"):
        LinearDilated(base=1)
    with pytest.raises(ConfigError, match="num_levels=0"):
        LinearDilated(num_levels=0)
    with pytest.raises(ConfigError, match="counts channels"):
        LinearDilated().floors(Problem(noise(4, rng)), [0])
