"""The diagonal recurrence in all its forms, real and complex, with decays of the data and constant ones."""

import os
import subprocess
import sys
from pathlib import Path

import jaxtyping
import pytest
import torch
from torch.func import grad, vmap

from recollect.ops import diagonal_scan

B, N = 2, (3, 5)
FORMS = ("reference", "recurrent", "chunkwise")
FAST = FORMS[1:]
LENGTHS = (1, 2, 4, 7, 16, 23)
DTYPES = (torch.float64, torch.complex128)
DECAYS = {  # shapes of the decays for a length
    "of the data": lambda length: (B, length, *N),
    "constant": lambda length: (1, 1, *N),
    "shared by states": lambda length: (B, length, 1, N[1]),
}


def draw(rng, *shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=rng)


def inputs_of(kind, length, dtype, seed=0):
    """Decays of modulus below 1, one of them 0; inputs; an initial state."""
    rng = torch.Generator().manual_seed(seed)
    a = draw(rng, *DECAYS[kind](length), dtype=dtype)
    a = 0.97 * a / (0.2 + a.abs())
    a = torch.where(a.abs() == a.abs().min(), 0.0, a)
    return a, draw(rng, B, length, *N, dtype=dtype), draw(rng, B, *N, dtype=dtype)


def run(a, x, start=None, form="chunkwise", **arguments):
    return diagonal_scan(a, x, initial_state=start, form=form, **arguments)


@pytest.fixture(params=DECAYS)
def kind(request):
    return request.param


@pytest.fixture(params=DTYPES, ids=["real", "complex"])
def dtype(request):
    return request.param


def test_the_reference_is_the_recurrence(exact):
    a, x, start = inputs_of("of the data", 3, torch.float64)
    first = a[:, 0] * start + x[:, 0]
    second = a[:, 1] * first + x[:, 1]
    third = a[:, 2] * second + x[:, 2]
    states, final = run(a, x, start, "reference", output_final_state=True)
    torch.testing.assert_close(states, torch.stack([first, second, third], dim=1), **exact)
    torch.testing.assert_close(final, third, **exact)


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("length", LENGTHS)
def test_forms_agree_in_values_and_final_state(form, length, kind, dtype, exact):
    a, x, start = inputs_of(kind, length, dtype)
    for given in (None, start):
        got, final = run(a, x, given, form, output_final_state=True)
        expected, expected_final = run(a, x, given, "reference", output_final_state=True)
        torch.testing.assert_close(got, expected, **exact)
        torch.testing.assert_close(final, expected_final, **exact)


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("length", LENGTHS)
def test_forms_agree_in_all_gradients(form, length, kind, dtype, exact):
    leaves = [value.requires_grad_() for value in inputs_of(kind, length, dtype)]
    cotangent = draw(torch.Generator().manual_seed(3), B, length, *N, dtype=dtype)
    got, expected = (torch.autograd.grad(run(*leaves, f)[0], leaves, cotangent) for f in (form, "reference"))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **exact)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [1, 4, 7])
def test_first_and_second_derivatives_are_right(form, length, kind, dtype):
    leaves = tuple(value.requires_grad_() for value in inputs_of(kind, length, dtype))

    def function(a, x, start):
        return run(a, x, start, form, output_final_state=True)

    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_state_splits_a_sequence(form, kind, dtype, exact):
    a, x, start = inputs_of(kind, 23, dtype)
    parts = [a if a.shape[1] == 1 else a[:, part] for part in (slice(0, 9), slice(9, 23))]
    whole, final = run(a, x, start, form, output_final_state=True)
    first, middle = run(parts[0], x[:, :9], start, form, output_final_state=True)
    second, last = run(parts[1], x[:, 9:], middle, form, output_final_state=True)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, **exact)
    torch.testing.assert_close(last, final, **exact)


@pytest.mark.parametrize("form", FORMS)
def test_states_do_not_depend_on_the_future(form, dtype):
    a, x, _ = inputs_of("of the data", 6, dtype)
    a.requires_grad_()
    x.requires_grad_()
    states, _ = run(a, x, form=form)
    for t in range(5):
        for gradient in torch.autograd.grad(states[:, t].abs().sum(), [a, x], retain_graph=True):
            assert gradient[:, t + 1 :].abs().max().item() == 0


@pytest.mark.parametrize("form", FORMS)
def test_packed_sequences_are_read_as_if_alone(form, kind, dtype, exact):
    a, x, starts = inputs_of(kind, 23, dtype)
    a, x = a[:1], x[:1]
    packed, finals = run(a, x, starts, form, cu_seqlens=torch.tensor([0, 9, 23]), output_final_state=True)
    for i, part in enumerate((slice(0, 9), slice(9, 23))):
        decays = a if a.shape[1] == 1 else a[:, part]
        alone, final = run(decays, x[:, part], starts[i : i + 1], form, output_final_state=True)
        torch.testing.assert_close(packed[:, part], alone, **exact)
        torch.testing.assert_close(finals[i : i + 1], final, **exact)


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("in_dims", [(0, 0), (0, None), (None, 0), (1, 2)])
def test_many_scans_in_one_call_equal_a_loop_over_them(form, in_dims, kind, exact):
    many = [inputs_of(kind, 11, torch.float64, seed)[:2] for seed in range(4)]
    stacked = [
        many[0][i] if dim is None else torch.stack([one[i] for one in many], dim=dim)
        for i, dim in enumerate(in_dims)
    ]

    def gradient(a, x):
        return grad(lambda a, x: run(a, x, form=form)[0].square().sum(), argnums=(0, 1))(a, x)

    together = vmap(gradient, in_dims)(*stacked)
    for i in range(4):
        a, x = (many[0 if dim is None else i][j] for j, dim in enumerate(in_dims))
        for got, expected in zip(together, gradient(a, x), strict=True):
            torch.testing.assert_close(got[i], expected, **exact)


@pytest.mark.parametrize("form", FORMS)
def test_arguments_are_left_as_they_were(form, kind):
    for length in (4, 5):
        arguments = inputs_of(kind, length, torch.float64)
        before = [value.clone() for value in arguments]
        run(*arguments, form)
        assert all(torch.equal(one, other) for one, other in zip(arguments, before, strict=True))


@pytest.mark.parametrize("trailing", [(), (4,), (2, 3, 2)])
def test_states_may_have_any_axes(trailing, rng, exact):
    a, x = draw(rng, B, 7, *trailing).sigmoid(), draw(rng, B, 7, *trailing)
    torch.testing.assert_close(run(a, x)[0], run(a, x, form="reference")[0], **exact)


@pytest.mark.parametrize("form", FORMS)
def test_real_decays_carry_complex_states(form, rng, exact):
    a, x, start = draw(rng, B, 7, 3).sigmoid(), draw(rng, B, 7, 3, dtype=torch.complex128), draw(rng, B, 3)
    got, _ = run(a, x, start, form)
    torch.testing.assert_close(got.real, run(a, x.real, start)[0], **exact)
    torch.testing.assert_close(got.imag, run(a, x.imag)[0], **exact)


@pytest.mark.parametrize("form", FAST)
def test_single_precision_stays_single_and_near(form, kind):
    arguments = inputs_of(kind, 401, torch.float64)
    got, _ = run(*(value.float() for value in arguments), form)
    expected, _ = run(*arguments, "reference")
    assert got.dtype == torch.float32
    assert (got - expected).norm() < 1e-6 * expected.norm()


def test_a_sequence_without_decay_is_a_running_sum(rng, exact):
    x = draw(rng, B, 100, 3)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(run(one, x)[0], x.cumsum(1), **exact)


def test_decays_of_another_shape_are_refused(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # its checks come first
    for shape in ((5,), (B, 4, 3), (B, 7, 2)):
        with pytest.raises(ValueError, match=r"shape of the inputs, \(2, 7, 3\), or with axes of length 1"):
            run(torch.ones(shape), torch.ones(B, 7, 3))


def test_a_form_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match="form='parallel': expected one of reference, recurrent, chunkwise"):
        run(torch.ones(1, 1, 1), torch.ones(1, 2, 1), form="parallel")


ONE_GRAPH = """
import torch
from recollect.ops import diagonal_scan

for dtype in (torch.float64, torch.complex128):
    for decays in ((2, 7, 3), (1, 1, 3)):
        for form in ("recurrent", "chunkwise"):
            rng = torch.Generator().manual_seed(0)
            a = torch.randn(decays, dtype=dtype, generator=rng).mul_(0.3).requires_grad_()
            x = torch.randn(2, 7, 3, dtype=dtype, generator=rng).requires_grad_()
            torch.compiler.reset()
            compiled = torch.compile(diagonal_scan, backend="aot_eager", fullgraph=True)
            results = []
            for scan in (compiled, diagonal_scan):
                states, _ = scan(a, x, form=form)
                results.append([states, *torch.autograd.grad(states.abs().square().sum(), [a, x])])
            for one, other in zip(*results, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
            print("compiled")
"""


def test_it_compiles_to_one_graph():
    """In a process of its own: the checks of shapes that tests switch on break graphs."""
    environment = os.environ | {"JAXTYPING_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ONE_GRAPH], env=environment, cwd=Path(__file__).parent,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["compiled"] * 8
