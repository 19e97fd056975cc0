import pytest
import torch

from recollect.core import ConfigError
from recollect.diagnosis.shared_poles import SharedPoles
from recollect.diagnosis.shared_start import start_from_poles
from recollect.models import GRU, LRU, SSM, SequenceModel

POLES, INPUTS, WIDTH, LENGTH = 3, 2, 5, 19


def fit_of(rng, *, real):
    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=rng)

    moduli, phases = torch.tensor([0.9, 0.5, 0.7]).double(), torch.tensor([0.0, 1.0, -2.0]).double()
    residues = torch.complex(normal(POLES, INPUTS), normal(POLES, INPUTS) * (not real))
    if real:
        return SharedPoles(torch.tensor([0.9, -0.5, 0.2]).to(residues), residues, normal(INPUTS))
    return SharedPoles(torch.polar(moduli, phases), residues, normal(INPUTS))


MIXERS = {
    "lru": lambda: LRU(WIDTH, num_states=POLES + 1),
    "complex ssm": lambda: SSM(WIDTH, num_states=POLES, states="complex", parametrisation="exp"),
    "real ssm": lambda: SSM(WIDTH, num_states=POLES + 2),
}


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("name", MIXERS)
def test_the_memory_function_of_a_started_model_is_that_of_the_fit(rng, name, residual):
    fit = fit_of(rng, real=name == "real ssm")
    model = SequenceModel(MIXERS[name], INPUTS, 1, dim=WIDTH, residual=residual).double()
    start_from_poles(model, fit)
    found = model.linear_response(LENGTH)
    torch.testing.assert_close(found.kernel[:, 0], fit.taps(LENGTH), rtol=1e-10, atol=1e-10)


def test_states_have_about_unit_variance_for_white_input(rng):
    fit = fit_of(rng, real=False)
    model = SequenceModel(MIXERS["lru"], INPUTS, 1, dim=WIDTH).double()
    start_from_poles(model, fit)
    mixer = model.mixers[0]
    poles, gain = mixer._poles_and_gain()
    read = torch.view_as_complex(mixer.system.input_parts.detach().clone()) @ model.encoder.weight.to(poles)
    variance = (gain[:, None] * read).abs().square().sum(1) / (1 - poles.abs().square())
    torch.testing.assert_close(variance[:POLES], torch.ones(POLES).double(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "width", "message"),
    [
        (lambda: LRU(WIDTH, num_states=POLES - 1), WIDTH, "3 poles do not fit into 2 states"),
        (lambda: SSM(WIDTH, num_states=POLES), WIDTH, "real states"),
        (lambda: GRU(WIDTH), WIDTH, "one LRU or SSM"),
        (lambda: LRU(1, num_states=POLES), 1, "a width of at least 2"),
    ],
)
def test_a_model_that_cannot_hold_the_fit_is_left_as_it_was(rng, make, width, message):
    model = SequenceModel(make, INPUTS, 1, dim=width).double()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(ConfigError, match=message):
        start_from_poles(model, fit_of(rng, real=False))
    for parameter, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)
