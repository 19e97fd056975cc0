"""Compiles every op, forward and backward, to one graph; prints the names of those that do."""

import inspect

import torch

from recollect.ops import OPS


def main():
    for name, spec in OPS.items():
        inputs = spec.sample_inputs(torch.Generator().manual_seed(0), 6)
        chunk = {"chunk_size": 4} if "chunk_size" in inspect.signature(spec.op).parameters else {}
        leaves = [x.requires_grad_() for x in inputs.values() if x.is_floating_point()]
        expected = spec.op(**inputs, **chunk)[0]
        torch.compiler.reset()
        compiled = torch.compile(spec.op, backend="aot_eager", fullgraph=True)
        got = compiled(**inputs, **chunk)[0]
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
        for one, other in zip(
            torch.autograd.grad(got.sum(), leaves, allow_unused=True, materialize_grads=True),
            torch.autograd.grad(expected.sum(), leaves, allow_unused=True, materialize_grads=True),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
        print(name, flush=True)


main()
