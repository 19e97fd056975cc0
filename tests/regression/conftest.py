"""Published layers beside those of the catalogue: `comparison` copies weights and compares functions."""

import importlib
import importlib.util
from types import SimpleNamespace

import pytest
import torch

DIM, BATCH, LENGTH = 32, 2, 11
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


@pytest.fixture
def comparison(monkeypatch):
    """Skips where transformers is not installed, or would run GPU kernels instead of PyTorch."""
    transformers = pytest.importorskip("transformers")
    found = [name for name in ("causal_conv1d", "fla", "mamba_ssm") if importlib.util.find_spec(name)]
    if found:
        pytest.skip(f"transformers would run kernels of {found}")
    importlib.import_module("torch._refs")  # looks the dtype up while it is loaded

    def modeling(name):
        transformers.logging.set_verbosity_error()
        return importlib.import_module(f"transformers.models.{name}.modeling_{name}")

    def exactly(function, *arguments, **options):
        """What a published layer does in float32 inside, it does in float64."""
        with monkeypatch.context() as patch:
            patch.setattr(torch, "float32", torch.float64)
            patch.setattr(torch.Tensor, "float", lambda x, *args, **kwargs: x.double())
            return function(*arguments, **options)

    def same_function(ours, theirs, dtype, bound=None):
        """Outputs, and gradients with respect to the input, agree; a test that states a bound explains it."""
        run = exactly if dtype == torch.float64 else lambda function, x: function(x)
        x, weights = (draw(BATCH, LENGTH, DIM, seed=seed).to(dtype) for seed in (1, 2))
        results = []
        for call in (ours, lambda x: run(theirs, x)):
            leaf = x.clone().requires_grad_()
            y = call(leaf)
            assert y.dtype == dtype
            results.append((y.detach(), torch.autograd.grad((y * weights).sum(), leaf)[0]))
        errors = [relative(got, expected) for got, expected in zip(*results, strict=True)]
        assert max(errors) < (bound or TOLERANCE[dtype]), errors

    return SimpleNamespace(
        transformers=transformers, modeling=modeling, exactly=exactly, same_function=same_function,
        filled=filled, copy=copy, draw=draw, relative=relative,
    )  # fmt: skip


def filled(module, dtype):
    """The module with random parameters: some are not set outside of their model."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("norm.weight"):
                parameter.copy_(1 + 0.2 * noise)
            elif parameter.ndim > 1 and "A_log" not in name:
                parameter.copy_(1.5 * noise / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(0.5 * noise)
    return module.eval().to(dtype)


@torch.no_grad()
def copy(layer, **tensors):
    """Give a layer these parameters; every one must be named."""
    parameters = dict(layer.named_parameters())
    assert set(parameters) == set(tensors)
    for name, value in tensors.items():
        assert parameters[name].shape == value.shape, name
        parameters[name].copy_(value)
    return layer


def draw(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def relative(got, expected):
    return ((got - expected).abs().max() / expected.abs().max()).item()
