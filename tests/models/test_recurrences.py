"""The hand-written time loops against the equations, in values and gradients."""

import pytest
import torch
from torch.func import grad, vmap

from recollect.models.diagonal_recurrence import diagonal_recurrence
from recollect.models.gru_recurrence import gru_recurrence
from recollect.models.lstm_recurrence import lstm_recurrence
from recollect.models.rnn_recurrence import rnn_recurrence
from recollect.models.runs_axis import fold_runs

B, D = 2, 3
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
LOOPS = {"rnn": rnn_recurrence, "gru": gru_recurrence, "lstm": lstm_recurrence}


def draw(rng, *shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=rng)


def inputs_of(name, rng, length):
    u, matrix = draw(rng, B, length, GATES[name] * D), draw(rng, GATES[name] * D, D)
    first, second = draw(rng, B, D), draw(rng, B, D)
    return {
        "rnn": (u, matrix, first),
        "gru": (u, matrix, draw(rng, D), first),
        "lstm": (u, matrix, first, second),
    }[name]


def diagonal_inputs(rng, length, dtype):
    a = draw(rng, D, dtype=dtype)
    return a / a.abs().max() * 0.97, draw(rng, B, length, D, dtype=dtype), draw(rng, B, D, dtype=dtype)


def diagonal_reference(a, x, state):
    states = []
    for x_t in x.unbind(1):
        state = a * state + x_t
        states.append(state)
    return torch.stack(states, dim=1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 16, 17, 24, 25, 26, 401])
def test_diagonal_recurrence_is_its_equation(length, dtype, rng):
    inputs = diagonal_inputs(rng, length, dtype)
    expected = diagonal_reference(*inputs)
    torch.testing.assert_close(diagonal_recurrence(*inputs), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("length", [1, 4, 7])
def test_diagonal_recurrence_has_first_and_second_derivatives(length, dtype, rng):
    inputs = tuple(value.requires_grad_() for value in diagonal_inputs(rng, length, dtype))
    assert torch.autograd.gradcheck(diagonal_recurrence, inputs)
    assert torch.autograd.gradgradcheck(diagonal_recurrence, inputs)


def test_diagonal_recurrence_splits_a_sequence_at_its_state(rng):
    a, x, start = diagonal_inputs(rng, 23, torch.float64)
    whole = diagonal_recurrence(a, x, start)
    first = diagonal_recurrence(a, x[:, :9], start)
    second = diagonal_recurrence(a, x[:, 9:], first[:, -1])
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("in_dims", [(0, 0), (0, None), (None, 0), (1, 2)])
def test_diagonal_recurrence_over_models_equals_a_loop(in_dims, rng):
    a_dim, x_dim = in_dims
    decays, sequences = 0.3 * draw(rng, 4, D), draw(rng, 4, B, 11, D)
    a = decays[0] if a_dim is None else decays.movedim(0, a_dim)
    x = sequences[0] if x_dim is None else sequences.movedim(0, x_dim)

    def gradient(a, x):
        return grad(lambda a: diagonal_recurrence(a, x).square().sum())(a)

    together = vmap(gradient, in_dims)(a, x)
    for i in range(4):
        alone = gradient(decays[0 if a_dim is None else i], sequences[0 if x_dim is None else i])
        torch.testing.assert_close(together[i], alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ["tanh", "hardtanh", "linear"])
def test_rnn_recurrence_is_its_equation(activation, rng):
    u, matrix, state = inputs_of("rnn", rng, 7)
    phi = {"tanh": torch.tanh, "hardtanh": torch.nn.functional.hardtanh, "linear": lambda h: h}[activation]
    expected = []
    for u_t in u.unbind(1):
        state = phi(u_t + state @ matrix.T)
        expected.append(state)
    got = rnn_recurrence(u, matrix, inputs_of("rnn", rng.manual_seed(0), 7)[2], activation)
    torch.testing.assert_close(got, torch.stack(expected, dim=1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ["hardtanh", "linear"])
def test_other_activations_have_their_gradients(activation, rng):
    inputs = tuple(value.requires_grad_() for value in inputs_of("rnn", rng, 5))
    assert torch.autograd.gradcheck(lambda *values: rnn_recurrence(*values, activation), inputs)


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("length", [1, 2, 6])
def test_gradients_of_every_argument_are_the_derivatives(name, length, rng):
    inputs = tuple(value.requires_grad_() for value in inputs_of(name, rng, length))
    assert torch.autograd.gradcheck(LOOPS[name], inputs)


@pytest.mark.parametrize("name", LOOPS)
def test_models_with_one_common_input_equal_a_loop(name, rng):
    """The axis of models on some arguments only: parameters differ, the data is shared."""
    u, matrix, *rest = inputs_of(name, rng, 5)
    matrices = torch.stack([matrix, 0.5 * matrix, -matrix], dim=1)

    def gradient(matrix):
        return grad(lambda matrix: LOOPS[name](u, matrix, *rest).square().sum())(matrix)

    together = vmap(gradient, in_dims=1)(matrices)
    for got, one in zip(together, matrices.unbind(1), strict=True):
        torch.testing.assert_close(got, gradient(one), rtol=1e-10, atol=1e-10)


def test_the_axis_that_vmap_adds_is_merged_wherever_it_is(rng):
    runs, values = 4, draw(rng, 4, 2, 3, 5)
    for dim in range(4):
        (folded,) = fold_runs(runs, (dim,), (values.movedim(0, dim),))
        assert torch.equal(folded, values.flatten(0, 1))
    (repeated,) = fold_runs(runs, (None,), (values[0],))
    assert torch.equal(repeated, values[:1].expand_as(values).flatten(0, 1))
