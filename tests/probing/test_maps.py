"""Sequence maps: what each kind of model becomes, what it is read on, and that it is left as it was."""

import functools
import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from recollect.core import ConfigError
from recollect.models import LAYERS, LRU, MIXERS, SSM, TCN, MixerConfig, ModelConfig
from recollect.probing.maps import check_causal, sequence_map, untouched
from recollect.tasks import MQAR, CapacityTask, FunctionalTask
from recollect.training import TrainingConfig, train

B, T, D, V = 2, 7, 8, 11


def read(sequences, length=T, seed=0):
    return sequences.apply(sequences.draw(B, length, seed))


def tokens_model(**fields):
    return ModelConfig.parse({"mixer": "gru", "dim": D} | fields).build(V, V, seed=0, is_tokens=True)


def functional(**fields):
    memory = {"family": "exponential", "alpha": 0.5}
    return FunctionalTask.parse({"memory": memory, "length": T} | fields)


class Wrapped(nn.Module):
    """A layer that returns what layers of other packages return."""

    def __init__(self, wrap):
        super().__init__()
        self.inner, self.wrap = nn.Linear(D, D), wrap

    def forward(self, x):
        return self.wrap(self.inner(x))


@pytest.mark.parametrize("name", [*MIXERS, *LAYERS])
def test_every_mixer_is_a_causal_map_of_its_width(name):
    mixer = MixerConfig.parse({"mixer": name}).make(32).double()
    sequences = sequence_map(mixer)
    assert (sequences.input_size, sequences.output_size, sequences.dtype) == (32, 32, torch.float64)
    check_causal(sequences, 20)
    torch.testing.assert_close(read(sequences), mixer(sequences.draw(B, T, 0)), rtol=0, atol=0)


def test_a_model_of_numbers_is_read_whole():
    model = ModelConfig(mixer="lru", dim=D).build(3, 5, seed=0)
    sequences = sequence_map(model)
    assert (sequences.input_size, sequences.output_size) == (3, 5)
    assert torch.equal(read(sequences), model(sequences.draw(B, T, 0)))
    assert sequences.module is model
    assert sequences.differentiable


def test_a_model_of_tokens_is_read_from_its_embeddings_on():
    model = tokens_model(norm="rms", num_layers=2)
    tokens = torch.randint(V, (B, T), generator=torch.Generator().manual_seed(0))
    every_logit = sequence_map(model, readout=torch.eye(V))
    torch.testing.assert_close(every_logit.apply(model.encoder(tokens)), model(tokens), rtol=1e-6, atol=1e-6)
    hidden = sequence_map(model, readout=torch.eye(D))
    logits = model.decoder(hidden.apply(model.encoder(tokens)))
    torch.testing.assert_close(logits, model(tokens), rtol=1e-6, atol=1e-6)


def test_by_default_a_few_fixed_unit_directions_of_the_hidden_state_are_read():
    model = tokens_model()
    whole, few = sequence_map(model, readout=torch.eye(D)), sequence_map(model)
    x = few.draw(3, 20, 0)
    matrix = torch.linalg.lstsq(whole.apply(x).flatten(0, 1).double(), few.apply(x).flatten(0, 1).double())
    torch.testing.assert_close(matrix.solution.norm(dim=0), torch.ones(4).double(), rtol=1e-4, atol=1e-4)
    assert few.name.endswith("last hidden state along 4 random unit directions")
    assert torch.equal(sequence_map(model).apply(x), few.apply(x))


@pytest.mark.parametrize("wrap", [
    lambda y: y,
    lambda y: (y, None, {"cache": y}),
    lambda y: [y],
    lambda y: SimpleNamespace(logits=y),
    lambda y: SimpleNamespace(last_hidden_state=y, logits=None),
])  # fmt: skip
def test_the_sequence_is_found_in_what_a_layer_returns(wrap):
    layer = Wrapped(wrap)
    sequences = sequence_map(layer)
    assert torch.equal(read(sequences), layer.inner(sequences.draw(B, T, 0)))


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_recurrent_layer_of_torch_is_read_along_time(batch_first):
    layer = nn.LSTM(3, 5, batch_first=batch_first)
    sequences = sequence_map(layer)
    x = sequences.draw(B, T, 0)
    expected = torch.cat([layer(one[None] if batch_first else one[:, None])[0].view(1, T, 5) for one in x])
    torch.testing.assert_close(sequences.apply(x), expected, rtol=1e-6, atol=1e-6)
    check_causal(sequences, T)


@pytest.mark.parametrize(("model", "size"), [
    (nn.Sequential(nn.Linear(3, 5), nn.ReLU()), 3),
    (nn.Sequential(nn.Tanh(), nn.GRU(4, 5)), 4),
    (LRU(6), 6),
    (SSM(5), 5),
    (TCN(4), 4),
    (functools.partial(nn.Linear(3, 5)), None),
    (nn.Identity(), None),
])  # fmt: skip
def test_the_number_of_inputs_is_inferred_or_asked_for(model, size):
    if size is not None:
        assert sequence_map(model).input_size == size
    else:
        with pytest.raises(ConfigError, match="give input_size"):
            sequence_map(model)
        assert sequence_map(model, input_size=3).input_size == 3
        assert sequence_map(model, background=np.random.default_rng(0).normal(size=(9, 3))).input_size == 3


def test_the_longest_sequence_is_known():
    learned = {"positions": "learned", "max_length": 3}
    assert sequence_map(ModelConfig(mixer="attention", dim=D, options=learned).build(1, 1, 0)).max_length == 3
    assert sequence_map(LAYERS["cosformer"](D, max_length=9)).max_length == 9
    assert sequence_map(MIXERS["gru"](D)).max_length is None


def test_dtype_is_the_models_own():
    assert sequence_map(nn.Linear(3, 3).double()).dtype == torch.float64
    assert sequence_map(nn.Linear(3, 3)).draw(B, T, 0).dtype == torch.float32
    assert sequence_map(nn.Identity(), input_size=2).dtype == torch.float64


def test_a_function_of_tensors_keeps_its_gradient():
    sequences = sequence_map(lambda x: x.cumsum(1), input_size=2)
    x = sequences.draw(1, T, 0).requires_grad_()
    (gradient,) = torch.autograd.grad(sequences.apply(x)[0, -1, 0], x)
    assert torch.equal(gradient[0, :, 0], torch.ones(T).double())
    assert (sequences.differentiable, sequences.dtype) == (True, torch.float64)


@pytest.mark.parametrize("function", [
    lambda x: np.add.accumulate(x, axis=1),
    lambda x: x.detach().cumsum(1) if isinstance(x, torch.Tensor) else x.nothing,
])  # fmt: skip
def test_a_function_without_gradients_is_a_black_box(function):
    sequences = sequence_map(function, input_size=2)
    assert not sequences.differentiable
    x = sequences.draw(B, T, 0)
    torch.testing.assert_close(sequences.apply(x), x.cumsum(1), rtol=1e-14, atol=1e-14)


def test_an_array_that_the_function_writes_to_is_a_copy():
    def doubled_in_place(x):
        x *= 2
        return np.asarray(x)

    sequences = sequence_map(doubled_in_place, input_size=1)
    x = sequences.draw(B, T, 0)
    before = x.clone()
    assert torch.equal(sequences.apply(x), 2 * before)
    assert torch.equal(x, before)


def test_a_function_is_read_in_the_precision_that_it_keeps():
    layer = nn.Linear(2, 2)
    assert sequence_map(lambda x: layer(x), input_size=2).dtype == torch.float32
    assert sequence_map(lambda x: x.float() * 2, input_size=2).dtype == torch.float32
    with pytest.raises(ConfigError, match="tensors of float32: TypeError: answered in float64"):
        sequence_map(lambda x: x.half().double() if x.dtype == torch.float32 else x.float(), input_size=2)


def test_the_module_behind_a_method_is_the_one_that_is_guarded():
    model = nn.Linear(2, 2).double()
    assert sequence_map(model.forward, input_size=2).module is model
    assert sequence_map(functools.partial(model), input_size=2).module is model
    assert sequence_map(torch.tanh, input_size=2).module is None


def test_a_map_is_returned_as_it_is():
    sequences = sequence_map(torch.tanh, input_size=1)
    assert sequence_map(sequences) is sequences


def test_outputs_can_be_combined():
    layer, matrix = nn.Linear(3, 5), torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    sequences = sequence_map(layer, readout=matrix, name="mine")
    assert (sequences.output_size, sequences.name) == (2, "mine: 2 combinations of its 5 outputs")
    torch.testing.assert_close(read(sequences), layer(sequences.draw(B, T, 0)) @ matrix)


@pytest.mark.parametrize(("call", "reason"), [
    (lambda: sequence_map(3), "expected a model or a function of .* got int"),
    (lambda: sequence_map(nn.Linear), "got the class Linear: build it"),
    (lambda: sequence_map(lambda x: x[:, -1], input_size=2), r"got \(2, 2\): one output at every position"),
    (lambda: sequence_map(lambda x: x[:, 1:], input_size=2), r"got \(2, 3, 2\): one output at every"),
    (lambda: sequence_map(lambda x: x @ x, input_size=2), "was given tensors of float64: RuntimeError"),
    (lambda: sequence_map(nn.Linear(3, 3), input_size=2), "inputs 2.*mat1 and mat2.*another input_size"),
    (lambda: sequence_map(ModelConfig(mixer="gru").build(1, 1, 0), input_size=2), "reads 1 inputs, got"),
    (lambda: sequence_map(nn.Linear(3, 3), readout=torch.eye(2)), "readout has 2 rows, Linear has 3 outputs"),
    (lambda: sequence_map(tokens_model(), readout=torch.eye(3)), "expected 11, one for each logit .* or 8"),
    (lambda: sequence_map(Wrapped(lambda y: {"y": y})), "returned dict: expected a tensor"),
    (lambda: sequence_map(nn.LazyLinear(3), input_size=3), "lazy parameters that have no shape yet"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_reason(call, reason):
    with pytest.raises(ConfigError, match=reason):
        call()


def test_white_numbers_have_the_amplitude_asked_for():
    sequences = sequence_map(torch.tanh, input_size=3, amplitude=[0.5, 1.0, 2.0])
    x = sequences.draw(400, 30, 5)
    assert sequences.is_white_gaussian
    assert torch.equal(sequences.input_scale, torch.tensor([0.5, 1.0, 2.0]).double())
    torch.testing.assert_close(x.std((0, 1)), sequences.input_scale, rtol=0.03, atol=0)
    assert x.mean().abs() < 0.02
    assert torch.equal(x[:7], sequences.draw(7, 30, 5))
    assert not torch.equal(x[:7], sequences.draw(7, 30, 6))
    assert sequences.background == "white Gaussian, deviation 0.5 1 2"


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, pd.DataFrame])
def test_windows_are_rows_of_the_data_in_order(make):
    rows = np.random.default_rng(0).normal(size=(50, 2)) * [1, 5] + [3, 0]
    sequences = sequence_map(torch.tanh, background=make(rows))
    starts = set()
    for window in sequences.draw(200, T, 0).numpy():
        (start,) = np.nonzero((rows == window[0]).all(1))[0]
        starts.add(int(start))
        assert np.array_equal(window, rows[start : start + T])
    assert (min(starts), max(starts)) == (0, 50 - T)
    assert not sequences.is_white_gaussian
    np.testing.assert_allclose(sequences.input_scale, rows.std(0), rtol=1e-14)


def test_a_task_lends_its_inputs():
    white, coloured = functional(channels=2), functional(input={"law": "ar1", "coefficient": 0.9})
    sequences = sequence_map(MIXERS["gru"](2), background=white)
    assert sequences.is_white_gaussian
    inputs = white.batch(3, "test", 0, B, length=9).inputs
    assert torch.equal(sequences.draw(B, 9, 3), inputs)
    other = sequence_map(MIXERS["gru"](1), background=coloured)
    assert not other.is_white_gaussian
    assert float(other.input_scale) == pytest.approx(1, abs=0.1)
    x = other.draw(3000, 9, 0)[..., 0]
    assert float((x[:, 1:] * x[:, :-1]).mean()) == pytest.approx(0.9, abs=0.1)


def test_random_tokens_and_given_ones_pass_the_models_own_embedding():
    model = tokens_model().double()
    table = model.encoder.weight.detach()
    uniform = sequence_map(model)
    vectors = uniform.draw(300, T, 0).flatten(0, 1)
    found = torch.cdist(vectors, table).argmin(1)
    assert torch.equal(vectors, table[found])
    assert torch.bincount(found, minlength=V).min() > 0.7 * len(found) / V
    torch.testing.assert_close(uniform.input_scale, table.std(0, correction=0), rtol=1e-10, atol=1e-10)
    text = torch.tensor([4, 4, 4, 2, 9, 2, 4, 4])
    given = sequence_map(model, background=text)
    windows = torch.cdist(given.draw(50, 3, 0), table).argmin(-1)
    assert {tuple(w) for w in windows.tolist()} == {tuple(text[i : i + 3].tolist()) for i in range(6)}
    torch.testing.assert_close(given.input_scale, table[text].std(0, correction=0), rtol=1e-10, atol=1e-10)


def test_tokens_of_a_task_pass_the_models_own_embedding():
    task = MQAR.parse({"length": 16, "num_pairs": 2, "vocabulary": 20})
    model = ModelConfig(mixer="gru", dim=D).build(task.input_size, task.output_size, 0, is_tokens=True)
    sequences = sequence_map(model, background=task)
    assert torch.equal(sequences.draw(B, 16, 1), model.encoder(task.batch(1, "test", 0, B).inputs))


@pytest.mark.parametrize(("fields", "reason"), [
    ({"background": "pink"}, "background='pink'.*Possible: white, tokens"),
    ({"background": "tokens"}, "reads numbers, no tokens"),
    ({"background": np.ones((9, 3))}, r"shape \(9, 3\): expected \(time, 2\)"),
    ({"background": np.ones((9, 2))}, "column 0 of the background does not vary"),
    ({"background": np.array([[0, 1.0], [1, np.nan]])}, "no number at row 1, column 1"),
    ({"background": [["a", "b"]]}, "expected a background of numbers"),
    ({"background": np.eye(2), "amplitude": 2.0}, "amplitude=2.0 is the standard deviation of a white"),
    ({"background": functional()}, "has 1 inputs, .* reads 2"),
    ({"background": CapacityTask.parse({"keys": {"law": "sphere"}})}, "expected a background of numbers"),
    ({"amplitude": 0.0}, "expected a positive amplitude"),
    ({"amplitude": [1.0, 2.0, 3.0]}, "or one for each of 2 inputs"),
])  # fmt: skip
def test_a_background_that_does_not_fit_is_refused(fields, reason):
    with pytest.raises(ConfigError, match=reason):
        sequence_map(MIXERS["gru"](2), input_size=2, **fields)


def test_more_lags_than_rows_are_refused():
    sequences = sequence_map(torch.tanh, background=np.eye(4))
    with pytest.raises(ConfigError, match="has 4 rows, fewer than the length 5"):
        sequences.draw(1, 5, 0)


@pytest.mark.parametrize(("function", "reason"), [
    (lambda x: x.flip(1), "position 0 depends on a later input .that at position 6"),
    (lambda x: x + x.roll(-1, 1), "position 5 depends on a later input"),
    (lambda x: x - x.mean(1, keepdim=True), "not causal: its output at position 0"),
    (lambda x: x.cumsum(0), "depends on the other sequences of the batch.*batch_first=True"),
    (nn.Sequential(nn.GRU(1, 4)), "depends on the other sequences of the batch"),
    (lambda x: x + torch.randn(x.shape, dtype=x.dtype), "two outputs for one input"),
])  # fmt: skip
def test_a_map_that_sees_what_it_must_not_is_refused(function, reason):
    with pytest.raises(ConfigError, match=reason):
        check_causal(sequence_map(function, input_size=1), T)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mamba"])
def test_a_hugging_face_model_is_read_through_its_embeddings(kind):
    model = language_model(kind)
    sequences = sequence_map(model)
    check_causal(sequences, 9)
    assert sequences.background == "embeddings of uniformly random tokens"
    assert (sequences.input_size, sequences.output_size) == (32, 4)
    assert sequences.max_length == (None if kind == "mamba" else 64)
    tokens = torch.randint(50, (B, T), generator=torch.Generator().manual_seed(0))
    embedded = model.get_input_embeddings()(tokens)
    logits = sequence_map(model, readout=torch.eye(50))
    with untouched(logits), torch.no_grad():
        expected = model(input_ids=tokens, use_cache=False).logits
        torch.testing.assert_close(logits.apply(embedded), expected, rtol=1e-5, atol=1e-5)
    with untouched(sequences):
        x = sequences.draw(B, T, 0).requires_grad_()
        (gradient,) = torch.autograd.grad(sequences.apply(x)[:, -1].sum(), x)
    assert (gradient.norm(dim=-1) > 0).all()
    assert model.training


def language_model(kind):
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "max_position_embeddings": 64}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "llama":
            config = transformers.LlamaConfig(intermediate_size=48, **sizes, **heads)
            return transformers.LlamaForCausalLM(config).train()
        if kind == "gpt2":
            config = transformers.GPT2Config(bos_token_id=0, eos_token_id=0, **sizes, **heads)
            return transformers.GPT2LMHeadModel(config).train()
        return transformers.MambaForCausalLM(transformers.MambaConfig(state_size=4, **sizes)).train()


def test_an_encoder_that_sees_the_future_is_refused():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48
    )
    with pytest.raises(ConfigError, match=r"BertModel.*is not causal"):
        check_causal(sequence_map(transformers.BertModel(config)), T)


class Odd(nn.Module):
    """A module that changes whatever it can while it reads."""

    def __init__(self):
        super().__init__()
        self.linear, self.dropout, self.norm = nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("cache", torch.zeros(2))
        self.seen, self.calls, self.table = 0, [], {}

    def forward(self, x):
        self.count += 1
        self.cache = torch.ones(x.shape[1])
        self.seen, self.last = self.seen + 1, x
        self.calls.append(x)
        self.table["x"], self.linear.weight.grad = x, None
        self.dropout.train()
        torch.rand(1), np.random.rand(), random.random()
        return self.dropout(self.norm(self.linear(x).transpose(1, 2)).transpose(1, 2))


@pytest.fixture
def odd():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Odd().train()
    model.norm.eval()
    model.linear.bias.requires_grad_(False)
    model.linear.weight.grad = torch.ones(3, 3)
    return model


def everything(model):
    """All of a module's state that can be compared, and the global random state."""
    state = {
        name: (id(value), value.clone())
        for name, value in [*model.named_buffers(), *model.named_parameters()]
    }
    gradients = {name: (p.requires_grad, id(p.grad), p.grad) for name, p in model.named_parameters()}
    modes = {name: part.training for name, part in model.named_modules()}
    attributes = {name: sorted(vars(part)) for name, part in model.named_modules()}
    own = (model.seen, list(model.calls), dict(model.table))
    randomness = (torch.get_rng_state(), str(np.random.get_state()), random.getstate())
    return state, gradients, modes, attributes, own, randomness, torch.is_grad_enabled()


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


@pytest.mark.parametrize("ends", ["well", "in an exception"])
def test_a_model_is_left_as_it_was(odd, ends):
    x = torch.randn(B, T, 3, generator=torch.Generator().manual_seed(1))
    before = everything(odd)
    try:
        with torch.no_grad():
            before_inside = everything(odd)
            with untouched(odd):
                assert not any(part.training for part in odd.modules())
                assert not any(p.requires_grad for p in odd.parameters())
                assert torch.is_grad_enabled()
                odd(x.requires_grad_()).sum().backward()
                assert x.grad is not None
                if ends != "well":
                    raise KeyError
            assert same(everything(odd), before_inside)
    except KeyError:
        pass
    assert same(everything(odd), before)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_modes_of_a_scripted_module_are_kept_too():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))).train()
    with untouched(scripted):
        assert not any(part.training for part in scripted.modules())
    assert all(part.training for part in scripted.modules())


def test_randomness_inside_begins_at_the_seed():
    def drawn(seed):
        with untouched(None, seed):
            return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()

    torch.rand(5)
    assert drawn(1) == drawn(1) != drawn(2)


def test_a_graph_that_waits_for_its_backward_pass_is_not_disturbed(odd):
    x = torch.randn(B, T, 3, generator=torch.Generator().manual_seed(1))
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(T), nn.Linear(4, 1)).eval()
    model(x).sum().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    loss = model(x).sum()
    with untouched(model):
        model(x)
    loss.backward()
    assert all(torch.equal(p.grad, e) for p, e in zip(model.parameters(), expected, strict=True))


def test_the_guard_works_within_inference_mode():
    with torch.inference_mode():
        assert sequence_map(MIXERS["gru"](2)).output_size == 2
    model = MIXERS["gru"](2)
    with torch.inference_mode(), untouched(model):
        x = torch.zeros(1, 3, 2, requires_grad=True)
        (gradient,) = torch.autograd.grad(model(x).sum(), x)
    assert gradient.shape == x.shape


def test_making_a_map_and_checking_it_touch_nothing(odd):
    before, state = everything(odd)[:5], torch.get_rng_state()
    with pytest.raises(ConfigError, match="two outputs for one input"):
        check_causal(sequence_map(odd, input_size=3), T)
    # Python's own random state is left out: the run-time type checks of these tests draw from it.
    assert same((everything(odd)[:5], torch.get_rng_state()), (before, state))


def test_a_trained_model_is_trained_on_as_if_it_had_not_been_probed():
    def trained(probe):
        model = ModelConfig(mixer="lru", dim=4).build(1, 1, seed=0)
        config = TrainingConfig(steps=3, batch_size=2, evaluate_every=1, validation_examples=4)
        task = functional()
        train(model, task, config, seed=0)
        if probe:
            check_causal(sequence_map(model, background=task), T)
        train(model, task, config, seed=1)
        return list(model.parameters())

    assert all(torch.equal(a, b) for a, b in zip(trained(probe=True), trained(probe=False), strict=True))
