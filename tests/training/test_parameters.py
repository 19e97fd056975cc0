import pytest
import torch
from torch import nn
from torch.func import functional_call

from recollect.core import ConfigError
from recollect.models import ModelConfig
from recollect.training import ParameterLayout


class Mixed(nn.Module):
    """A real matrix, a complex vector, a frozen parameter and a tied one."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(2, 3, dtype=torch.float64))
        self.poles = nn.Parameter(torch.randn(5, dtype=torch.complex128))
        self.frozen = nn.Parameter(torch.ones(4), requires_grad=False)
        self.tied = self.matrix

    def forward(self, x):
        return (self.matrix @ x).sum() + self.poles.abs().square().sum() * self.frozen.sum()


def test_flatten_and_unflatten_are_inverse():
    model = Mixed()
    layout = ParameterLayout.of(model)
    flat = layout.flatten(model, torch.float64)
    assert flat.shape == (2 * 3 + 2 * 5,)
    named = layout.unflatten(flat)
    assert set(named) == {"matrix", "poles"}
    for name, value in named.items():
        assert torch.equal(value, dict(model.named_parameters())[name])


def test_the_gradient_of_the_flat_vector_is_that_of_the_parameters():
    model = Mixed()
    layout = ParameterLayout.of(model)
    x = torch.randn(3, dtype=torch.float64)
    flat = layout.flatten(model, torch.float64).requires_grad_()
    functional_call(model, layout.unflatten(flat), (x,)).backward()
    model(x).backward()
    expected = [model.matrix.grad.flatten(), torch.view_as_real(model.poles.grad).flatten()]
    torch.testing.assert_close(flat.grad, torch.cat(expected))


def test_complex_numbers_may_begin_at_any_place_of_the_flat_vector():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Parameter(torch.randn(3, dtype=torch.float64))
            self.poles = nn.Parameter(torch.randn(2, dtype=torch.complex128))

        def forward(self):
            return self.first.sum() + (self.poles**2).abs().sum()

    odd = Odd()
    layout = ParameterLayout.of(odd)
    flat = layout.flatten(odd, torch.float64)
    assert torch.equal(layout.unflatten(flat)["poles"], odd.poles)
    assert functional_call(odd, layout.unflatten(flat), ()) == odd()
    for fields in (
        {"mixer": "s4d", "options": {"num_states": 2}, "dim": 1},
        {"mixer": "lru", "options": {"num_states": 3}, "dim": 2, "encoder": True},
        {"mixer": "ssm", "options": {"num_states": 3, "states": "complex"}, "dim": 1, "bias": False},
    ):
        model = ModelConfig.parse(fields).build(1, 1, seed=0).double()
        layout = ParameterLayout.of(model)
        named = layout.unflatten(layout.flatten(model, torch.float64))
        x = torch.randn(2, 5, 1, dtype=torch.float64)
        assert torch.equal(functional_call(model, named, (x,)), model(x))
        assert functional_call(model, named, (x,)).isfinite().all()


def test_loading_writes_the_values_into_the_model():
    model = Mixed()
    layout = ParameterLayout.of(model)
    flat = torch.arange(16, dtype=torch.float64)
    layout.load(flat, model)
    assert torch.equal(layout.flatten(model, torch.float64), flat)


def test_only_parameters_with_two_axes_are_decayed():
    assert ParameterLayout.of(Mixed()).matrices().tolist() == [True] * 6 + [False] * 10


def test_a_model_without_parameters_is_refused():
    with pytest.raises(ConfigError, match="no trainable parameters"):
        ParameterLayout.of(nn.Identity())
