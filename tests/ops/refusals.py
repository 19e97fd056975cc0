"""Gives every op each of its sequences with a wrong shape; prints the names of those that name it."""

import inspect

import torch

from recollect.ops import OPS


def main():
    for name, spec in OPS.items():
        inputs = spec.sample_inputs(torch.Generator().manual_seed(0), 6)
        if "residual" in inspect.signature(spec.op).parameters:
            inputs["residual"] = False
        for argument in spec.sequences:
            x = inputs[argument]
            fewer_heads, more_axes = x[:, :, :-1], x.unsqueeze(-1)
            fewer_axes, shorter, other_batch = x[..., 0], x[:, :-2], x[:1]
            for wrong in (fewer_heads, more_axes, fewer_axes, shorter, other_batch):
                check(spec.op, inputs | {argument: wrong}, argument)
        print(name, flush=True)


def check(op, inputs, argument):
    """The message names the argument; the first one that does not fit to the queries, if these are wrong."""
    try:
        op(**inputs)
    except ValueError as error:
        message = str(error)
    else:
        raise AssertionError(f"{op.__name__} takes {argument} of shape {tuple(inputs[argument].shape)}")
    named = argument == "q" or message.startswith(f"{argument}: expected")
    assert named, f"{op.__name__}, {argument}: {message}"
    assert ", got " in message


main()
