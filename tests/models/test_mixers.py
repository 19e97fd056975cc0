"""What every mixer promises, measured on every mixer, at several of its options."""

import doctest
import importlib
import pkgutil

import pytest
import torch
from torch.func import functional_call, grad, stack_module_state, vmap

import recollect.models
from recollect.core import ConfigError, LtiMixer, Mixer, NotDefinedError, seeded_initialisation
from recollect.core.mixer import RespondingMixer, SeparableKernel
from recollect.models import MIXERS
from recollect.models.positions import alibi_slopes

DIM = 8
CASES = [
    ("rnn", {}),
    ("rnn", {"form": "fused"}),
    ("rnn", {"activation": "hardtanh"}),
    ("rnn", {"activation": "linear"}),
    ("lstm", {}),
    ("lstm", {"form": "loop"}),
    ("gru", {}),
    ("gru", {"form": "loop"}),
    ("tcn", {"num_levels": 3}),
    ("tcn", {"num_levels": 2, "kernel_size": 3, "dilation_base": 3, "activation": "gelu"}),
    ("tcn", {"num_levels": 2, "kernel_size": 3, "activation": "linear", "residual": False}),
    ("s4d", {"num_states": 3}),
    ("s4d", {"num_states": 3, "initialisation": "inv", "discretisation": "bilinear"}),
    *[("s4d", {"num_states": 3, "parametrisation": name}) for name in ("direct", "softplus", "stable")],
    *[("ssm", {"num_states": 5, "parametrisation": n}) for n in ("direct", "exp", "softplus", "stable")],
    ("ssm", {"num_states": 5, "form": "convolution"}),
    ("ssm", {"num_states": 5, "states": "complex"}),
    ("ssm", {"num_states": 5, "states": "complex", "form": "convolution"}),
    ("lru", {"num_states": 5}),
    ("lru", {"num_states": 5, "form": "convolution"}),
    *[("attention", {"positions": name}) for name in ("sinusoidal", "rope", "alibi", "none")],
    ("attention", {"positions": "learned", "max_length": 40, "num_heads": 2}),
    ("attention", {"qk_norm": True, "positions": "none"}),
    ("attention", {"positions": "rope", "qk_norm": True, "form": "explicit"}),
    ("attention", {"positions": "alibi", "form": "explicit"}),
    ("attention", {"positions": "alibi", "content": False, "num_heads": 2}),
    ("attention", {"positions": "alibi", "content": False, "form": "explicit"}),
    ("gated_conv", {}),
    ("gated_conv", {"width": 1}),
]
NAMES = ["-".join([name, *(str(value) for value in options.values())]) for name, options in CASES]
WITHOUT_FUSED_KERNEL = [
    (case, name)
    for case, name in zip(CASES, NAMES, strict=True)
    if case[1].get("form", "fused" if case[0] in ("lstm", "gru", "attention") else "loop") != "fused"
]

LTI = [
    (case, name)
    for case, name in zip(CASES, NAMES, strict=True)
    if case[0] in ("s4d", "ssm", "lru") or case[1].get("activation") == "linear"
]

LINEAR = LTI + [
    (case, name) for case, name in zip(CASES, NAMES, strict=True) if not case[1].get("content", True)
]
RESPONDING = [(case, name) for case, name in LINEAR if case[0] != "tcn"]


def build(name, options, seed=0, dim=DIM):
    """In float64, with every parameter away from special values such as a bias of zero."""
    with seeded_initialisation(seed):
        mixer = MIXERS[name](dim, **options).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.mul_(1 + 0.1 * torch.rand_like(parameter)).add_(0.01 * torch.randn_like(parameter))
    return mixer


def draw(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def tensors_in(state):
    return [state] if isinstance(state, torch.Tensor) else [t for part in state for t in tensors_in(part)]


def streamed(mixer, x):
    state, outputs = mixer.initial_state(len(x)), []
    for x_t in x.unbind(1):
        y_t, state = mixer.step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs, dim=1), state


@pytest.fixture(params=CASES, ids=NAMES)
def mixer(request):
    return build(*request.param)


def test_every_mixer_is_measured_here():
    assert {name for name, _ in CASES} == set(MIXERS)


def test_keys_are_file_names():
    for name, mixer in MIXERS.items():
        assert mixer.__module__ == f"recollect.models.{name}"


@pytest.mark.parametrize("length", [1, 2, 17, 33])
def test_reading_step_by_step_is_the_same_function(mixer, length):
    x = draw(3, length, DIM)
    torch.testing.assert_close(streamed(mixer, x)[0], mixer(x), rtol=1e-10, atol=1e-10)


def test_step_leaves_the_state_as_it_was(mixer):
    x = draw(3, 5, DIM)
    _, state = streamed(mixer, x)
    before = [tensor.clone() for tensor in tensors_in(state)]
    mixer.step(x[:, 0], state)
    for tensor, copy in zip(tensors_in(state), before, strict=True):
        assert torch.equal(tensor, copy)


def test_output_does_not_depend_on_the_future(mixer):
    x = draw(1, 19, DIM)
    jacobian = torch.autograd.functional.jacobian(mixer, x)[0, :, :, 0]  # output t, d; input t, d
    size = jacobian.abs().amax(dim=(1, 3))
    # The FFT forms leave rounding errors where the exact derivative is zero.
    assert size.triu(1).max() < 1e-13 * size.max()
    assert size.diagonal().min() > 0


def test_sequences_of_a_batch_do_not_meet(mixer):
    x = draw(3, 11, DIM)
    alone = torch.cat([mixer(one[None]) for one in x])
    torch.testing.assert_close(mixer(x), alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [0, 1, 6])
def test_state_size_counts_the_scalars_in_the_state(mixer, length):
    batch_size = 3
    state = mixer.initial_state(batch_size)
    for x_t in draw(batch_size, length, DIM).unbind(1):
        _, state = mixer.step(x_t, state)
    scalars = sum(tensor.numel() * (2 if tensor.is_complex() else 1) for tensor in tensors_in(state))
    # The output of an LSTM and its first state are one tensor twice; both are carried.
    assert scalars == batch_size * mixer.state_size(length)


def test_receptive_field_is_exact(mixer):
    field = mixer.receptive_field
    length = 30 if field is None else field + 4
    x = (0.1 * draw(1, length, DIM)).requires_grad_()  # small, where a hard tanh passes its input on
    mixer(x)[0, -1].square().sum().backward()
    size = x.grad[0].abs().amax(dim=1)
    reached = length if field is None else field
    assert size[length - reached] > 0
    assert (size[: length - reached] == 0).all()


def test_linearity_and_time_invariance_are_as_claimed(mixer):
    x, z = draw(2, 13, DIM), draw(2, 13, DIM, seed=2)
    linear = torch.allclose(mixer(2 * x - 3 * z), 2 * mixer(x) - 3 * mixer(z), rtol=1e-10, atol=1e-10)
    late = torch.nn.functional.pad(x, (0, 0, 4, 0))
    invariant = torch.allclose(mixer(late)[:, 4:], mixer(x), rtol=1e-10, atol=1e-10)
    assert mixer.is_lti == (linear and invariant)
    assert (mixer.is_lti or getattr(mixer, "is_linear", False)) == linear


@pytest.mark.parametrize("case", [c for c, _ in LTI], ids=[n for _, n in LTI])
def test_lti_mixers_are_their_kernel(case):
    mixer = build(*case)
    assert isinstance(mixer, LtiMixer)
    x, kernel = draw(2, 13, DIM), mixer.kernel(13)
    lagged = [torch.nn.functional.pad(x, (0, 0, lag, 0))[:, :13] @ kernel[lag].T for lag in range(13)]
    torch.testing.assert_close(sum(lagged), mixer(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [1, 2, 17])
@pytest.mark.parametrize("case", [c for c, _ in RESPONDING], ids=[n for _, n in RESPONDING])
def test_answers_to_impulses_are_what_reading_them_gives(case, length):
    mixer, write, read = build(*case), draw(DIM, 3, seed=4), draw(2, DIM, seed=5)
    assert isinstance(mixer, RespondingMixer)
    answers = mixer.response(write, read, length)
    if isinstance(answers, SeparableKernel):
        dense = torch.einsum("tj,sjoi->tsoi", *answers)
    else:
        dense = answers[None].expand(length, *answers.shape)
    x = draw(4, length, 3)
    found = mixer(x @ write.T) @ read.T
    for t in range(length):
        expected = torch.einsum("soi,bsi->bo", dense[t, : t + 1], x[:, : t + 1].flip(1))
        torch.testing.assert_close(found[:, t], expected, rtol=1e-10, atol=1e-10)


def test_gradients_are_the_derivatives(mixer):
    parameters = dict(mixer.named_parameters())
    x = draw(2, 5, DIM)

    def loss(x, *values):
        return (functional_call(mixer, dict(zip(parameters, values, strict=True)), (x,)) * weights).sum()

    weights = draw(2, 5, DIM, seed=3)
    inputs = (x.requires_grad_(), *(p.detach().clone().requires_grad_() for p in parameters.values()))
    assert torch.autograd.gradcheck(loss, inputs, fast_mode=True)


def test_parameters_can_be_replaced(mixer):
    other = {name: 0.9 * value.detach() for name, value in mixer.named_parameters()}
    x = draw(2, 9, DIM)
    replaced = functional_call(mixer, other, (x,))
    mixer.load_state_dict(other, strict=False)
    torch.testing.assert_close(replaced, mixer(x), rtol=1e-10, atol=1e-10)
    functional = grad(lambda values: functional_call(mixer, values, (x,)).square().sum())(other)
    for got, expected in zip(functional.values(), _gradients(mixer, x), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "case", [c for c, _ in WITHOUT_FUSED_KERNEL], ids=[n for _, n in WITHOUT_FUSED_KERNEL]
)
def test_many_models_in_one_step_equal_a_loop_over_them(case):
    models = [build(*case, seed=seed) for seed in range(3)]
    parameters, buffers = stack_module_state(models)
    x = draw(3, 2, 9, DIM)

    def loss(parameters, buffers, x):
        return functional_call(models[0], (parameters, buffers), (x,)).square().mean()

    together = vmap(grad(loss))(parameters, buffers, x)
    for i, model in enumerate(models):
        alone = grad(loss)(dict(model.named_parameters()), dict(model.named_buffers()), x[i])
        for name, value in alone.items():
            torch.testing.assert_close(together[name][i], value, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_fused_kernel_and_loop_are_the_same_function(name):
    loop = build(name, {"form": "loop"})
    fused = MIXERS[name](DIM, form="fused").double()
    fused.load_state_dict(loop.state_dict())
    x = draw(3, 17, DIM)
    torch.testing.assert_close(fused(x), loop(x), rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(_gradients(loop, x), _gradients(fused, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "first", "second"), [
    ("ssm", {"form": "recurrence"}, {"form": "convolution"}),
    ("ssm", {"form": "recurrence", "states": "complex"}, {"form": "convolution", "states": "complex"}),
    ("lru", {"form": "recurrence"}, {"form": "convolution"}),
    ("attention", {"form": "fused"}, {"form": "explicit"}),
])  # fmt: skip
def test_two_forms_are_the_same_function(name, first, second):
    one, two = MIXERS[name](DIM, **first).double(), MIXERS[name](DIM, **second).double()
    two.load_state_dict(one.state_dict())
    x = draw(3, 130, DIM)
    torch.testing.assert_close(one(x), two(x), rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(_gradients(one, x), _gradients(two, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_defaults_work_at_the_default_width(name, dtype):
    mixer = MIXERS[name](32).to(dtype)
    assert isinstance(mixer, Mixer)
    x = draw(3, 65, 32).to(dtype)
    y, state = streamed(mixer, x)
    assert y.dtype == dtype
    tolerance = {torch.float32: 2e-4, torch.float64: 1e-10}[dtype]
    torch.testing.assert_close(mixer(x), y, rtol=tolerance, atol=tolerance)
    for tensor in tensors_in(state):
        assert (tensor.real if tensor.is_complex() else tensor).dtype == dtype


@pytest.mark.parametrize("name", MIXERS)
def test_initial_state_is_on_the_parameters_device(name):
    mixer = MIXERS[name](8).to("meta")
    assert all(tensor.device.type == "meta" for tensor in tensors_in(mixer.initial_state(2)))


def test_learned_positions_end_where_training_did():
    mixer = MIXERS["attention"](DIM, positions="learned", max_length=5)
    mixer(torch.zeros(1, 5, DIM))
    with pytest.raises(NotDefinedError, match="max_length=5, got length 6"):
        mixer(torch.zeros(1, 6, DIM))
    with pytest.raises(NotDefinedError):
        streamed(mixer, torch.zeros(1, 6, DIM))


def test_attention_without_content_is_softmax_of_ages_alone():
    mixer = build("attention", {"positions": "alibi", "content": False, "num_heads": 2})
    x, slopes = draw(3, 11, DIM), mixer.log_slopes.exp()
    age = torch.arange(11)[:, None] - torch.arange(11)
    weights = torch.softmax(torch.where(age < 0, -torch.inf, -slopes[:, None, None] * age), dim=-1)
    values = mixer.project_in(x).unflatten(-1, (2, DIM // 2))
    mixed = torch.einsum("hts,bshk->bthk", weights, values).flatten(2)
    torch.testing.assert_close(mixer(x), mixer.project_out(mixed), rtol=1e-10, atol=1e-10)


def test_attention_without_content_starts_at_the_slopes_of_alibi_and_has_no_queries():
    mixer = MIXERS["attention"](DIM, num_heads=4, positions="alibi", content=False)
    torch.testing.assert_close(mixer.log_slopes.exp(), alibi_slopes(4))
    assert sum(p.numel() for p in mixer.parameters()) == 2 * DIM**2 + 4


@pytest.mark.parametrize("options", [{"positions": "rope"}, {"positions": "alibi", "qk_norm": True}])
def test_attention_without_content_needs_its_slopes_and_nothing_else(options):
    with pytest.raises(ConfigError, match="content=False has no queries and keys"):
        MIXERS["attention"](DIM, content=False, **options)


def test_attention_without_positions_sees_its_past_as_a_set():
    x = draw(2, 9, DIM)
    shuffled = torch.cat([x[:, torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])], x[:, 8:]], dim=1)
    for positions, same in (("none", True), ("rope", False), ("alibi", False), ("sinusoidal", False)):
        mixer = build("attention", {"positions": positions})
        assert torch.allclose(mixer(x)[:, -1], mixer(shuffled)[:, -1], atol=1e-12) == same


def test_shift_of_a_sequence_leaves_relative_positions_alone():
    """Behind a mask, only differences of positions matter to RoPE and ALiBi."""
    x = draw(1, 6, DIM)
    for positions in ("rope", "alibi"):
        mixer = build("attention", {"positions": positions})
        q, k, _ = mixer._heads(x, start=0)
        q_late, k_late, _ = mixer._heads(x, start=11)
        torch.testing.assert_close(q @ k.mT, q_late @ k_late.mT, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(recollect.models.__path__)])
def test_examples_in_the_documentation_run(module):
    loaded = importlib.import_module(f"recollect.models.{module}")
    failed, _ = doctest.testmod(loaded, extraglobs={"torch": torch})
    assert failed == 0


def _gradients(mixer, x):
    mixer.zero_grad()
    mixer(x).square().sum().backward()
    return [parameter.grad.clone() for parameter in mixer.parameters()]
