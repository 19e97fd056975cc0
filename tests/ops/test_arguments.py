"""What ops do with nothing, and what they say to what does not fit."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recollect.ops import OPS, diagonal_scan, rls


def test_a_batch_of_no_sequences_has_no_outputs_and_no_gradients(case):
    inputs = case.inputs(6)
    inputs = {name: x[:0] if name in case.spec.sequences else x for name, x in inputs.items()}
    leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    output, state = case(leaves, output_final_state=True)
    reached, _ = case(case.inputs(6))
    assert output.shape == (0, *reached.shape[1:])
    assert all(len(x) == 0 for x in case.tensors_in(state))
    for gradient in torch.autograd.grad(
        output.sum(), list(leaves.values()), allow_unused=True, materialize_grads=True
    ):
        assert (gradient == 0).all()
    again, _ = case(inputs, initial_state=state)
    assert again.shape == output.shape


@pytest.mark.parametrize("form", ["reference", "recurrent", "chunkwise"])
def test_a_scan_of_no_sequences_has_no_states(form):
    x = torch.zeros(0, 5, 3, dtype=torch.float64)
    assert diagonal_scan(x, x, form=form)[0].shape == x.shape


def test_sequences_of_no_positions_are_refused(case):
    with pytest.raises(ValueError, match="expected sequences of at least one position, got T=0"):
        case(case.inputs(0))


@pytest.mark.parametrize("name", OPS)
def test_chunks_and_minibatches_of_no_positions_are_refused(name):
    inputs = OPS[name].sample_inputs(torch.Generator().manual_seed(0), 3)
    for size in {"chunk_size", "minibatch_size"} & set(inspect.signature(OPS[name].op).parameters):
        with pytest.raises(ValueError, match=f"{size}=0: expected at least 1 position"):
            OPS[name].op(**inputs, **{size: 0})


def test_a_ridge_that_is_not_positive_is_refused_by_its_value():
    q = k = v = torch.ones(1, 3, 1, 2)
    with pytest.raises(ValueError, match=r"ridge=-1\.0: expected a positive number"):
        rls(q, k, v, torch.zeros(1, 3, 1), ridge=-1.0)


def test_sequences_that_do_not_fit_are_refused_by_name():
    """In a process of its own: the checks of shapes that tests switch on speak before the ops do."""
    script = Path(__file__).parent / "refusals.py"
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"JAXTYPING_DISABLE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(done.stdout.split()) == set(OPS)
