"""What every form of every op promises."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.func import vmap

from recollect.ops import OPS

CHUNK = 4  # that of the cases
STANDARD = ("scale", "initial_state", "output_final_state", "cu_seqlens", "form")


@pytest.mark.parametrize("name", OPS)
def test_signature_is_that_of_the_ecosystem(name):
    spec = OPS[name]
    parameters = inspect.signature(spec.op).parameters
    assert spec.op.__name__ == name
    assert spec.op.__module__ == f"recollect.ops.{name}"
    assert list(parameters)[:3] == ["q", "k", "v"]
    assert set(STANDARD) <= set(parameters)
    assert all(parameters[n].kind is inspect.Parameter.KEYWORD_ONLY for n in STANDARD)
    assert parameters["form"].default == spec.forms[-1]
    assert all(p.annotation is not p.empty for p in parameters.values())


@pytest.mark.parametrize("name", OPS)
def test_a_form_that_does_not_exist_is_refused_with_those_that_do(name):
    spec = OPS[name]
    inputs = spec.sample_inputs(torch.Generator().manual_seed(0), 3)
    with pytest.raises(ValueError, match=f"form='quick': expected one of {spec.forms[0]}"):
        spec.op(**inputs, form="quick")


@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, 2 * CHUNK + 1])
def test_forms_agree_in_values_and_final_state(fast, length, exact):
    inputs, state = fast.inputs(length), fast.state()
    for start in (None, state):
        arguments = {"initial_state": start, "output_final_state": True}
        got, got_state = fast(inputs, **arguments)
        expected, expected_state = fast(inputs, form="reference", **arguments)
        torch.testing.assert_close(got, expected, **exact)
        for one, other in zip(fast.tensors_in(got_state), fast.tensors_in(expected_state), strict=True):
            torch.testing.assert_close(one, other, **exact)


def test_forms_agree_in_the_gradient_of_every_input(fast, exact):
    gradients = [_gradients(fast, form, 2 * CHUNK + 1) for form in (fast.form, "reference")]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, **exact)


def test_gradients_are_the_derivatives(case):
    function, leaves = _differentiable(case, case.form, CHUNK + 1)
    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)


def test_a_state_splits_a_sequence(case, exact):
    length, cut = 2 * CHUNK + 1, CHUNK - 1
    inputs = case.inputs(length)
    whole, final = case(inputs, output_final_state=True)
    first, state = case(case.cut(inputs, 0, cut), output_final_state=True)
    second, last = case(case.cut(inputs, cut, length), initial_state=state, output_final_state=True)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, **exact)
    for one, other in zip(case.tensors_in(last), case.tensors_in(final), strict=True):
        torch.testing.assert_close(one, other, **exact)


def test_the_initial_state_is_left_as_it_was(case):
    state = case.state()
    before = [x.clone() for x in case.tensors_in(state)]
    case(case.inputs(CHUNK + 1), initial_state=state)
    assert all(torch.equal(x, y) for x, y in zip(case.tensors_in(state), before, strict=True))


def test_no_state_is_returned_unless_asked_for(case):
    assert case(case.inputs(2))[1] is None


def test_output_does_not_depend_on_the_future(case):
    length = CHUNK + 2
    inputs = case.inputs(length)
    sequences = {n: x.requires_grad_() for n, x in inputs.items() if n in case.spec.sequences}
    output, _ = case(inputs)
    for t in range(length):
        gradients = torch.autograd.grad(output[:, t].sum(), list(sequences.values()), retain_graph=True)
        for (name, entries), gradient in zip(case.spec.sequences.items(), gradients, strict=True):
            assert gradient[:, (t + 1) * entries :].abs().max().item() == 0 if t + 1 < length else True, name
            assert gradient.isfinite().all()


def test_packed_sequences_are_read_as_if_alone(case, exact):
    boundaries = torch.tensor([0, CHUNK + 1, CHUNK + 2, 2 * CHUNK + 4])
    inputs = case.inputs(int(boundaries[-1]))
    inputs = {n: x[:1] if n in case.spec.sequences else x for n, x in inputs.items()}
    packed, states = case(inputs, cu_seqlens=boundaries, output_final_state=True)
    finals = []
    for start, stop in zip(boundaries[:-1].tolist(), boundaries[1:].tolist(), strict=True):
        alone, final = case(case.cut(inputs, start, stop), output_final_state=True)
        torch.testing.assert_close(packed[:, start:stop], alone, **exact)
        finals.append(final)
    assert all(len(x) == len(finals) for x in case.tensors_in(states))
    again = case(inputs, cu_seqlens=boundaries, initial_state=states)[0]
    for i, (start, stop) in enumerate(zip(boundaries[:-1].tolist(), boundaries[1:].tolist(), strict=True)):
        alone, _ = case(case.cut(inputs, start, stop), initial_state=finals[i])
        torch.testing.assert_close(again[:, start:stop], alone, **exact)


def test_packed_sequences_need_boundaries_that_fit(case):
    inputs = case.inputs(5)
    with pytest.raises(ValueError, match="cu_seqlens: expected a batch of one"):
        case(inputs, cu_seqlens=torch.tensor([0, 5]))


def test_many_layers_in_one_call_equal_a_loop_over_them(fast, exact):
    many = [fast.inputs(CHUNK + 1, seed=seed) for seed in range(3)]
    stacked = {name: torch.stack([inputs[name] for inputs in many]) for name in many[0]}
    together = vmap(lambda inputs: fast(inputs)[0])(stacked)
    for got, inputs in zip(together, many, strict=True):
        torch.testing.assert_close(got, fast(inputs)[0], **exact)


def test_the_scale_multiplies_the_queries(case, exact):
    if not case.spec.scales_queries:
        pytest.skip("its queries are also points at which a function is read, or keys are compared with keys")
    inputs = case.inputs(CHUNK + 1)
    got, _ = case(inputs, scale=0.3)
    scaled = inputs | {"q": 0.3 * inputs["q"]}
    torch.testing.assert_close(got, case(scaled, scale=1.0)[0], **exact)


def test_single_precision_stays_single_and_near(fast):
    inputs = fast.inputs(2 * CHUNK + 1)
    single = {name: x.float() for name, x in inputs.items()}
    got, _ = fast(single)
    assert got.dtype == torch.float32
    error = (got - fast(inputs)[0]).norm() / fast(inputs)[0].norm()
    assert error < 1e-5


def test_half_precision_is_read_in_single_and_answered_in_half(fast):
    inputs = {n: x.to(torch.bfloat16) for n, x in fast.inputs(2 * CHUNK + 1).items()}
    got, state = fast(inputs, output_final_state=True)
    assert got.dtype == torch.bfloat16
    assert all(x.dtype in (torch.float32, torch.complex64, torch.int64) for x in fast.tensors_in(state))
    expected, _ = fast({n: x.double() for n, x in inputs.items()})
    assert (got - expected).norm() / expected.norm() < 1e-2
    fast(inputs, initial_state=state)


def test_sizes_that_mean_nothing_are_refused(fast):
    inputs = fast.inputs(3)
    nothing = {n: x[:, :0] if n in fast.spec.sequences else x for n, x in inputs.items()}
    with pytest.raises(ValueError, match="at least one position"):
        fast(nothing)
    for name in {"chunk_size", "minibatch_size"} & set(inspect.signature(fast.spec.op).parameters):
        with pytest.raises(ValueError, match=f"{name}=0: expected at least 1"):
            fast.spec.op(**inputs, form=fast.form, **(fast.settings | {name: 0}))


def test_every_op_compiles_to_one_graph():
    """In a process of its own: the checks of shapes that tests switch on break graphs."""
    script = Path(__file__).parent / "one_graph.py"
    environment = os.environ | {"JAXTYPING_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(done.stdout.split()) == set(OPS)


def _differentiable(case, form, length):
    """A function of all floating tensors, the initial state included, to all outputs."""
    inputs, state = case.inputs(length), case.state()
    names = list(inputs)
    leaves = [*inputs.values(), *(x.detach() for x in case.tensors_in(state))]

    def function(*tensors):
        given = dict(zip(names, tensors[: len(names)], strict=True))
        start = case.rebuilt(state, list(tensors[len(names) :]))
        output, final = case(given, form=form, initial_state=start, output_final_state=True)
        return output, *(x for x in case.tensors_in(final) if x.is_floating_point() or x.is_complex())

    return function, tuple(x.clone().requires_grad_(x.is_floating_point()) for x in leaves)


def _gradients(case, form, length):
    function, leaves = _differentiable(case, form, length)
    rng = torch.Generator().manual_seed(3)
    loss = sum(
        (torch.randn(x.shape, dtype=torch.float64, generator=rng) * x.real).sum() for x in function(*leaves)
    )
    wanted = [x for x in leaves if x.requires_grad]
    return torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
