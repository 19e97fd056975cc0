"""The backbone around any mixer, and models from their configuration."""

import json
import sys
import textwrap

import pytest
import torch
from torch import nn

from recollect.core import ConfigError, NotDefinedError
from recollect.models import GRU, MIXERS, RNN, SSM, TCN, ModelConfig, SequenceModel, mixer_facts
from recollect.models.linear_response import responses_to_all_impulses

USER_MODULE = """
    from typing import Literal
    import torch
    from torch import nn

    class Plain(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.map = nn.Linear(dim, dim)
        def forward(self, x):
            return x.cumsum(1) + self.map(x)

    class WithOptions(Plain):
        def __init__(self, dim, scale, *, mode: Literal["a", "b"] = "a", count: int = 3,
                     sizes: tuple[int, ...] = ()):
            super().__init__(dim)
            assert isinstance(sizes, tuple)

    class AnyOptions(Plain):
        def __init__(self, dim, **anything):
            super().__init__(dim)

    class NoDim(nn.Module):
        def __init__(self):
            super().__init__()

    class Wide(Plain):
        def forward(self, x):
            return torch.cat([x, x], dim=-1)

    class Pair(Plain):
        def forward(self, x):
            return x, None

    class Picky(Plain):
        def __init__(self, dim):
            raise ValueError("dim must be 7")

    class Broken(Plain):
        def forward(self, x):
            return self.map(x.transpose(1, 2))

    class Normed(Plain):
        def __init__(self, dim):
            super().__init__(dim)
            self.norm = nn.BatchNorm1d(dim)
        def forward(self, x):
            return self.norm(x.transpose(1, 2)).transpose(1, 2)

    def function(dim, *, gain: float = 2.0):
        return Plain(dim)

    def not_a_module(dim):
        return 3

    constant = 3
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    (tmp_path / "user_mixers.py").write_text(textwrap.dedent(USER_MODULE))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "user_mixers"
    sys.modules.pop("user_mixers", None)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def streamed(model, x):
    state, outputs = model.initial_state(len(x)), []
    for x_t in x.unbind(1):
        y_t, state = model.step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
@pytest.mark.parametrize("channel_mixer", ["none", "mlp", "glu"])
def test_a_model_can_be_read_step_by_step(mixer, norm, channel_mixer):
    config = ModelConfig(mixer=mixer, dim=8, num_layers=2, norm=norm, channel_mixer=channel_mixer)
    model = config.build(3, 2, seed=0).double()
    x = draw(2, 7, 3)
    assert model(x).shape == (2, 7, 2)
    torch.testing.assert_close(streamed(model, x), model(x), rtol=1e-10, atol=1e-10)


def test_a_bare_recurrence_is_a_model():
    config = ModelConfig(mixer="rnn", dim=4, encoder=False, decoder=False, residual=False)
    model = config.build(4, 4, seed=0)
    x = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model(x), model.blocks[0].mixer(x))
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in RNN(4).parameters())


def test_without_encoder_or_decoder_the_sizes_must_be_the_width():
    with pytest.raises(ConfigError, match=r"without encoder .* 1 channels must be dim=4"):
        ModelConfig(mixer="rnn", dim=4, encoder=False).build(1, 4, seed=0)
    with pytest.raises(ConfigError, match="without decoder"):
        ModelConfig(mixer="rnn", dim=4, decoder=False).build(4, 1, seed=0)


def test_state_sizes_add_up_and_receptive_fields_overlap_by_one():
    options = {"num_levels": 3, "activation": "gelu"}
    model = ModelConfig(mixer="tcn", options=options, dim=4, num_layers=2).build(1, 1, seed=0)
    assert model.state_size(10) == 2 * 7 * 4
    assert model.receptive_field == 1 + 2 * 7
    x = draw(1, 20, 1).requires_grad_()
    model.double()(x)[0, -1].sum().backward()
    assert x.grad[0, :5].abs().max() == 0
    assert x.grad[0, 5].abs() > 0


@pytest.mark.parametrize(
    ("changes", "lti"),
    [
        ({"bias": False}, True),
        ({"bias": False, "residual": False, "num_layers": 2}, True),
        ({"encoder": False, "decoder": False, "dim": 1}, True),
        ({}, False),
        ({"bias": False, "norm": "rms"}, False),
        ({"bias": False, "channel_mixer": "mlp"}, False),
    ],
)
def test_a_model_knows_whether_it_is_linear_and_time_invariant(changes, lti):
    config = ModelConfig(mixer="ssm", options={"num_states": 3}, **{"dim": 4, **changes})
    model = config.build(1, 1, seed=0).double()
    x, z = draw(2, 9, 1), draw(2, 9, 1) ** 2
    linear = torch.allclose(model(2 * x + z), 2 * model(x) + model(z), rtol=1e-10, atol=1e-10)
    assert model.is_lti == lti == linear
    if lti:
        kernel = model.kernel(9)
        answer = sum(nn.functional.pad(x, (0, 0, s, 0))[:, :9] @ kernel[s].T for s in range(9))
        torch.testing.assert_close(answer, model(x), rtol=1e-10, atol=1e-10)
    else:
        with pytest.raises(NotDefinedError, match="impulse response"):
            model.kernel(9)


def test_parameters_depend_on_the_seed_and_the_global_state_is_left_alone():
    config = ModelConfig(mixer="s4d", channel_mixer="glu", dim=4)
    before = torch.random.get_rng_state()
    first, again, other = (config.build(1, 1, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_options_are_completed_so_that_equal_models_have_equal_configurations():
    short = ModelConfig(mixer="ssm", options={"states": "complex"})
    full = ModelConfig.parse(json.loads(short.canonical_json()))
    assert short == full
    assert short.digest() == full.digest()
    assert short.options["num_states"] == 64
    assert short.digest() != ModelConfig(mixer="ssm").digest()


def test_titles_name_what_is_not_the_default():
    assert ModelConfig(mixer="lstm").title == "lstm"
    assert ModelConfig(mixer="ssm", options={"states": "complex"}).title == "ssm(states=complex)"
    assert ModelConfig(mixer="ssm", label="mine").title == "mine"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mixer": "lsmt"}, "unknown mixer 'lsmt'; did you mean 'lstm'"),
        (
            {"mixer": "tcn", "options": {"num_level": 3}},
            "options of tcn: .*'num_level'; did you mean 'num_levels'",
        ),
        (
            {"mixer": "tcn", "options": {"num_levels": "3"}},
            r"options of tcn.num_levels: .*integer \(got '3'\)",
        ),
        ({"mixer": "tcn", "options": {"num_levels": True}}, "integer"),
        ({"mixer": "rnn", "options": {"activation": "relu"}}, "'tanh', 'hardtanh' or 'linear'"),
        ({"mixer": "rnn", "dims": 3}, "unknown field 'dims'; did you mean 'dim'"),
    ],
)
def test_a_wrong_configuration_says_what_was_expected(config, message):
    with pytest.raises(ConfigError, match=message):
        ModelConfig.parse(config)


@pytest.mark.parametrize(
    ("mixer", "options", "message"),
    [
        ("rnn", {"activation": "linear", "form": "fused"}, "use form='loop'"),
        ("attention", {"num_heads": 5}, r"divisible by num_heads=5; possible: \[1, 2, 4, 8, 16, 32\]"),
        ("attention", {"num_heads": 32}, "must be even"),
        ("attention", {"positions": "learned"}, "max_length is the training length"),
        ("attention", {"max_length": 3}, "max_length is the training length"),
    ],
)
def test_options_that_do_not_fit_together_are_refused_when_built(mixer, options, message):
    with pytest.raises(ConfigError, match=message):
        ModelConfig(mixer=mixer, options=options).build(1, 1, seed=0)


def test_a_users_module_needs_only_a_width_and_forward(user_module):
    model = ModelConfig(mixer=f"{user_module}:Plain", dim=5, num_layers=2).build(1, 1, seed=0)
    assert model(torch.zeros(2, 4, 1)).shape == (2, 4, 1)
    assert model.state_size(4) is None
    assert model.receptive_field is None
    assert not model.is_lti
    for read in (lambda: model.initial_state(2), lambda: model.step(torch.zeros(2, 1), (None, None))):
        with pytest.raises(NotDefinedError, match="Plain cannot be read one step at a time"):
            read()


def test_a_users_options_are_checked_like_ours(user_module):
    mixer = f"{user_module}:WithOptions"
    config = ModelConfig(mixer=mixer, options={"scale": [1], "mode": "b", "sizes": [2, 3]})
    assert config.options == {"mode": "b", "count": 3, "scale": [1], "sizes": [2, 3]}
    assert config.title == "WithOptions(scale=[1], mode=b, sizes=[2, 3])"
    config.build(1, 1, seed=0)
    for options, message in (
        ({}, "the field 'scale' is required"),
        ({"scale": 1, "mod": "a"}, "did you mean 'mode'"),
        ({"scale": 1, "count": 2.5}, "integer"),
    ):
        with pytest.raises(ConfigError, match=message):
            ModelConfig(mixer=mixer, options=options)
    ModelConfig(mixer=f"{user_module}:AnyOptions", options={"whatever": 1}).build(1, 1, seed=0)
    assert ModelConfig(mixer=f"{user_module}:function").options == {"gain": 2.0}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NoDim", r"expected a mixer that is built as Mixer\(dim, \*\*options\), got \(\)"),
        ("Wide", r"expected an output of shape \(2, 3, 32\), got \(2, 3, 64\)"),
        ("Pair", r"expected an output of shape \(2, 3, 32\), got tuple"),
        ("Picky", "cannot be built with dim=32 .* ValueError: dim must be 7"),
        ("Broken", r"cannot read a sequence of shape \(batch 2, length 3, dim 32\): RuntimeError"),
        ("not_a_module", "expected a torch.nn.Module, got int"),
        ("constant", "expected a mixer's class, got int 3"),
        ("Plane", "did you mean 'Plain'"),
    ],
)
def test_a_users_mixer_that_breaks_the_contract_is_refused(user_module, name, message):
    with pytest.raises(ConfigError, match=message):
        ModelConfig(mixer=f"{user_module}:{name}").build(1, 1, seed=0)


def test_checking_a_users_mixer_leaves_its_statistics_alone(user_module):
    model = ModelConfig(mixer=f"{user_module}:Normed", dim=4).build(1, 1, seed=0)
    assert model.training
    assert model.blocks[0].mixer.training
    assert model.blocks[0].mixer.norm.num_batches_tracked == 0


@pytest.mark.parametrize("name", MIXERS)
def test_facts_tell_what_a_mixer_is(name):
    facts = mixer_facts(name)
    mixer = MIXERS[name](32)
    assert facts.summary.endswith(".")
    assert facts.is_lti == mixer.is_lti
    assert facts.receptive_field == mixer.receptive_field
    assert facts.state_size + 9 * facts.state_growth == mixer.state_size(10)
    assert all(f"{option.name}:" in facts.description for option in facts.options)


def test_facts_of_a_users_mixer_are_those_it_states(user_module):
    facts = mixer_facts(f"{user_module}:Plain")
    assert facts.state_size is None
    assert [o.required for o in mixer_facts(f"{user_module}:WithOptions").options][:1] == [True]


def test_models_have_gradients_in_every_parameter():
    for mixer in (GRU, SSM, TCN):
        model = SequenceModel(lambda mixer=mixer: mixer(6), 1, 1, dim=6, channel_mixer="glu", norm="layer")
        model(torch.randn(2, 9, 1, generator=torch.Generator().manual_seed(1))).square().sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", MIXERS)
def test_every_mixer_trains_under_autocast_with_finite_gradients(name, rng):
    model = ModelConfig(mixer=name, dim=8, channel_mixer="mlp").build(1, 1, seed=0)
    x = torch.randn(2, 9, 1, generator=rng)
    with torch.autocast("cpu", torch.bfloat16):
        y = model(x)
    y.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    torch.testing.assert_close(y.float(), model(x), rtol=0.1, atol=0.1)


AFFINE = [
    ("ssm", {"num_states": 5}),
    ("s4d", {"num_states": 3}),
    ("lru", {"num_states": 5}),
    ("rnn", {"activation": "linear"}),
    ("tcn", {"activation": "linear", "num_levels": 3}),
    ("attention", {"positions": "alibi", "content": False, "num_heads": 2}),
]


@pytest.mark.parametrize("changes", [
    {}, {"bias": False}, {"residual": False}, {"num_layers": 2}, {"decoder": False, "output_size": 8},
], ids=str)  # fmt: skip
@pytest.mark.parametrize(("mixer", "options"), AFFINE)
def test_a_linear_response_says_all_about_an_affine_model(mixer, options, changes):
    changes = dict(changes)
    outputs = changes.pop("output_size", 3)
    model = ModelConfig(mixer=mixer, options=options, dim=8, **changes).build(2, outputs, seed=0).double()
    assert model.is_affine
    assert model.is_time_invariant == (mixer != "attention")
    x, length = draw(4, 13, 2), 13
    kernel, bias = model.linear_response(length).kernel, model.linear_response(length).bias
    dense = kernel if kernel.ndim == 4 else kernel.expand(length, *kernel.shape)
    if not model.is_time_invariant:
        assert not dense.flatten(2).movedim(-1, 0).triu(1).any()
    for t, y_t in enumerate(model(x).unbind(1)):
        expected = torch.einsum("soi,bsi->bo", dense[t, : t + 1], x[:, : t + 1].flip(1)) + bias[t]
        torch.testing.assert_close(y_t, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("mixer", "options"), AFFINE)
def test_gradients_of_a_linear_response_are_those_of_reading_impulses(mixer, options):
    model = ModelConfig(mixer=mixer, options=options, dim=8).build(2, 3, seed=0).double()
    seen = torch.ones(9, 9, dtype=torch.float64).tril()[..., None, None]
    weights, bias_weights = draw(9, 9, 3, 2) * seen, draw(9, 3)

    def gradients(response):
        kernel = response.kernel if response.kernel.ndim == 4 else response.kernel.expand(9, 9, 3, 2)
        total = (kernel * weights).sum() + (response.bias * bias_weights).sum()
        return torch.autograd.grad(total, list(model.parameters()))

    zeros = torch.zeros(1, 9, 2, dtype=torch.float64)
    read = responses_to_all_impulses(model, zeros)
    for got, expected in zip(gradients(model.linear_response(9)), gradients(read), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("changes", "part"), [
    ({"norm": "rms"}, r"the norm \(RMSNorm\)"),
    ({"channel_mixer": "glu"}, r"the channel mixer \(GLU\)"),
    ({"mixer": "gru"}, r"the mixer \(GRU\)"),
])  # fmt: skip
def test_what_is_not_affine_is_named(changes, part):
    model = ModelConfig.parse({"mixer": "ssm", "dim": 8} | changes).build(2, 3, seed=0)
    assert not model.is_affine
    assert not model.is_time_invariant
    with pytest.raises(NotDefinedError, match=part):
        model.linear_response(5)


def test_a_users_mixer_that_says_nothing_is_not_affine(user_module):
    model = ModelConfig(mixer=f"{user_module}:Plain", dim=4).build(1, 1, seed=0)
    assert not model.is_affine
    assert not model.is_time_invariant
