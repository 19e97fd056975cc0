"""Attention weighted by a memory function: against the sum over ages, and the functions it is made for."""

import jaxtyping
import pytest
import torch
from torch.func import vmap

from recollect.memory import (
    DampedCosine,
    Exponential,
    Impulse,
    Polynomial,
    exponential_sum_of,
    fit_exponential_sum,
)
from recollect.ops import MemoryState, memory_attn, retention

B, H, K, V, P, C = 2, 3, 5, 4, 2, 4
FORMS = ("reference", "recurrent", "parallel", "chunkwise")
FAST = FORMS[1:]
KINDS = ("real", "complex", "complex and taps", "taps alone", "mixed")
LENGTHS = (1, C - 1, C, 2 * C + 1)


def draw(rng, *shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=rng)


def inputs_of(kind, length, seed=0):
    """Arguments with poles inside the unit circle; more taps than a chunk has positions."""
    rng = torch.Generator().manual_seed(seed)
    dtype = torch.complex128 if "complex" in kind else torch.float64
    num_poles = 0 if kind == "taps alone" else P
    poles = draw(rng, H, num_poles, dtype=dtype)
    residues = draw(rng, H, num_poles, dtype=torch.complex128 if kind == "mixed" else dtype)
    inputs = {
        "q": draw(rng, B, length, H, K),
        "k": draw(rng, B, length, H, K),
        "v": draw(rng, B, length, H, V),
        "poles": 0.9 * poles / (1 + poles.abs()),
        "residues": residues,
    }
    return inputs | ({"taps": draw(rng, H, C + 2)} if "taps" in kind else {})


def run(inputs, form="chunkwise", **arguments):
    return memory_attn(**inputs, form=form, chunk_size=C, **arguments)


def state_of(kind, length=3):
    _, state = run(inputs_of(kind, length, seed=7), "reference", output_final_state=True)
    assert state is not None
    return MemoryState(*(x.detach() for x in state))


def weighted_sum(q, k, v, by_age):
    """The definition, from the weights `(H, T)` at all ages and with scale 1."""
    length = q.shape[1]
    age = torch.arange(length)[:, None] - torch.arange(length)
    mask = by_age[:, age.clamp(min=0)].where(age >= 0, 0.0)
    return torch.einsum("bthk,bshk,hts,bshv->bthv", q, k, mask, v)


def as_rows(rho, num_terms=None):
    """Poles and residues of a memory function, the same for each head."""
    found = exponential_sum_of(rho) if num_terms is None else fit_exponential_sum(rho.values(64), num_terms)
    return {"poles": found.poles.expand(H, -1), "residues": found.residues.expand(H, -1)}


@pytest.fixture
def qkv(rng):
    return {name: draw(rng, B, 21, H, dim) for name, dim in (("q", K), ("k", K), ("v", V))}


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_forms_agree_in_values_and_final_state(form, kind, length, exact):
    for start in (None, state_of(kind)):
        arguments = {"initial_state": start, "output_final_state": True}
        got, state = run(inputs_of(kind, length), form, **arguments)
        expected, expected_state = run(inputs_of(kind, length), "reference", **arguments)
        torch.testing.assert_close(got, expected, **exact)
        for one, other in zip(state, expected_state, strict=True):
            torch.testing.assert_close(one, other, **exact)


def differentiable(kind, form, length):
    inputs = inputs_of(kind, length)

    def function(*leaves):
        given, start = leaves[: len(inputs)], MemoryState(*leaves[len(inputs) :])
        output, state = run(
            dict(zip(inputs, given, strict=True)), form, initial_state=start, output_final_state=True
        )
        return output, *(x for x in state if x.numel())

    return function, tuple(x.clone().requires_grad_() for x in (*inputs.values(), *state_of(kind)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_all_arguments_are_the_derivatives(form, kind):
    function, leaves = differentiable(kind, form, C + 1)
    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_splits_a_sequence(form, kind, exact):
    length, cut = 2 * C + 1, C - 1
    inputs = inputs_of(kind, length)
    whole, final = run(inputs, form, output_final_state=True)
    halves = [
        inputs | {name: inputs[name][:, part] for name in ("q", "k", "v")}
        for part in (slice(0, cut), slice(cut, length))
    ]
    first, state = run(halves[0], form, output_final_state=True)
    second, last = run(halves[1], form, initial_state=state, output_final_state=True)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, **exact)
    for one, other in zip(last, final, strict=True):
        torch.testing.assert_close(one, other, **exact)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_are_read_as_if_alone(kind, exact):
    inputs = inputs_of(kind, 2 * C)
    inputs |= {name: inputs[name][:1] for name in ("q", "k", "v")}
    packed, states = run(inputs, cu_seqlens=torch.tensor([0, 3, 2 * C]), output_final_state=True)
    for i, part in enumerate((slice(0, 3), slice(3, 2 * C))):
        alone, state = run(
            inputs | {name: inputs[name][:, part] for name in ("q", "k", "v")}, output_final_state=True
        )
        torch.testing.assert_close(packed[:, part], alone, **exact)
        for one, other in zip(states, state, strict=True):
            torch.testing.assert_close(one[i : i + 1], other, **exact)


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("kind", KINDS)
def test_many_layers_in_one_call_equal_a_loop_over_them(form, kind, exact):
    many = [inputs_of(kind, C + 1, seed=seed) for seed in range(3)]
    stacked = {name: torch.stack([inputs[name] for inputs in many]) for name in many[0]}
    together = vmap(lambda inputs: run(inputs, form)[0])(stacked)
    for got, inputs in zip(together, many, strict=True):
        torch.testing.assert_close(got, run(inputs, form)[0], **exact)


@pytest.mark.parametrize("form", FORMS)
def test_one_exponential_is_retention(form, qkv, exact):
    rho = Exponential(alpha=0.3)
    got, _ = memory_attn(**qkv, **as_rows(rho), form=form)
    expected, _ = retention(**qkv, log_decay=torch.full((H,), -0.3, dtype=torch.float64))
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("form", FORMS)
def test_a_damped_cosine_weights_by_its_values(form, qkv, exact):
    rho = DampedCosine(alpha=0.05, frequency=0.9, phase=0.4)
    got, _ = memory_attn(**qkv, **as_rows(rho), form=form, scale=1.0, chunk_size=C)
    expected = weighted_sum(**qkv, by_age=rho.values(21).expand(H, -1))
    torch.testing.assert_close(got, expected, **exact)


@pytest.mark.parametrize("num_terms", [2, 4, 8])
def test_the_error_of_a_fitted_function_is_at_most_that_of_the_fit(num_terms, qkv):
    """By Cauchy and Schwarz, position by position."""
    rho = Polynomial(alpha=0.6)
    rows = as_rows(rho, num_terms)
    got, _ = memory_attn(**qkv, **rows, scale=1.0, chunk_size=C)
    expected = weighted_sum(**qkv, by_age=rho.values(21).expand(H, -1))
    fitted = fit_exponential_sum(rho.values(64), num_terms).values(21)
    misfit = (fitted - rho.values(21)).square().expand(H, -1)
    similarity = torch.einsum("bthk,bshk->bhts", qkv["q"], qkv["k"]).tril().square()
    energy = torch.einsum("bhts,bsh->bth", similarity, qkv["v"].square().sum(-1))
    bound = (misfit.cumsum(1).mT * energy).sqrt()
    assert ((got - expected).norm(dim=-1) <= bound + 1e-12).all()


@pytest.mark.parametrize("form", FORMS)
def test_taps_reach_what_no_few_exponentials_do(form, qkv, exact):
    delay = 6
    none = torch.zeros(H, 0, dtype=torch.float64)
    taps = Impulse(alpha=delay).values(delay + 1).expand(H, -1)
    got, _ = memory_attn(**qkv, poles=none, residues=none, taps=taps, form=form, scale=1.0, chunk_size=C)
    similarity = (qkv["q"][:, delay:] * qkv["k"][:, :-delay]).sum(-1, keepdim=True)
    torch.testing.assert_close(got[:, delay:], similarity * qkv["v"][:, :-delay], **exact)
    assert got[:, :delay].abs().max() == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_pole_at_zero_leaves_the_present_alone(form, qkv, exact):
    zero, one = torch.zeros(H, 1, dtype=torch.float64), torch.ones(H, 1, dtype=torch.float64)
    got, _ = memory_attn(**qkv, poles=zero, residues=one, form=form, scale=1.0, chunk_size=C)
    torch.testing.assert_close(got, (qkv["q"] * qkv["k"]).sum(-1, keepdim=True) * qkv["v"], **exact)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["real", "complex and taps"])
def test_poles_may_be_more_precise_than_what_they_weight(form, kind):
    inputs = inputs_of(kind, 2 * C + 1)
    expected, _ = run(inputs, form)
    single = inputs | {name: inputs[name].float() for name in ("q", "k", "v")}
    got, state = run(single, form, output_final_state=True)
    assert got.dtype == torch.float32
    assert state.sums.dtype == (torch.complex64 if "complex" in kind else torch.float32)
    assert (got - expected).norm() < 1e-6 * expected.norm()


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("kind", ["real", "complex and taps"])
def test_half_precision_stays_half_and_near(form, kind):
    inputs = inputs_of(kind, 2 * C + 1)
    half = inputs | {name: inputs[name].bfloat16() for name in ("q", "k", "v")}
    got, _ = run(half, form)
    expected, _ = run(inputs | {name: half[name].double() for name in ("q", "k", "v")}, form)
    assert got.dtype == torch.bfloat16
    assert (got - expected).norm() < 2e-2 * expected.norm()


def test_the_memory_of_single_precision_lasts(rng):
    """Powers of a pole on the unit circle are taken in double precision, and rounded once."""
    inputs = {name: draw(rng, 1, 4096, 1, 2).float() for name in ("q", "k", "v")}
    poles = torch.polar(torch.ones(1, 1), torch.full((1, 1), 0.7))
    got, _ = memory_attn(**inputs, poles=poles, residues=torch.ones(1, 1))
    exact = {name: x.double() for name, x in inputs.items()}
    one = torch.ones(1, 1, dtype=torch.float64)
    expected, _ = memory_attn(**exact, poles=poles.to(torch.complex128), residues=one)
    assert (got - expected).norm() < 2e-6 * expected.norm()


def test_rows_that_are_not_one_for_each_head_are_refused(monkeypatch):
    inputs = inputs_of("complex and taps", 3)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # its checks come first
    for name in ("poles", "residues", "taps"):
        with pytest.raises(ValueError, match=rf"with H=3 heads, got .*{name} \(2, "):
            run(inputs | {name: inputs[name][:2]})
