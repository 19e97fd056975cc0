"""A model in one file: what comes back is what was saved, and other files are refused."""

import pickle
import sys

import pytest
import torch

from recollect.core import ConfigError
from recollect.models import ModelConfig
from recollect.training.checkpoint import load_model, save_model

CONFIGS = {
    "lru": {"mixer": "lru"},
    "two-layers": {"mixer": "gru", "num_layers": 2, "norm": "layer", "channel_mixer": "mlp"},
    "alternating": {"mixer": "deltanet", "num_layers": 2, "alternate": {"mixer": "gated_conv"}},
    "learned-positions": {"mixer": "attention", "options": {"positions": "learned", "max_length": 7}},
    "features": {"mixer": "performer"},
}


def built(fields, dtype=torch.float32, inputs=3, outputs=5, *, is_tokens=False):
    """A model with parameters that no seed gives."""
    config = ModelConfig.parse({"dim": 32} | fields)
    model = config.build(inputs, outputs, seed=4, is_tokens=is_tokens).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    return model, config


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CONFIGS)
def test_what_was_saved_is_loaded(tmp_path, name, dtype):
    model, config = built(CONFIGS[name], dtype)
    save_model(tmp_path / "model.pt", model, config, 3, 5, about="a test")
    loaded, facts = load_model(tmp_path / "model.pt")
    x = torch.randn(2, 7, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(x), model.eval()(x))
    assert (facts.config, facts.about) == (config, "a test")
    assert (facts.input_size, facts.output_size, facts.is_tokens) == (3, 5, False)
    assert {value.dtype for value in loaded.state_dict().values() if value.is_floating_point()} == {dtype}
    assert not loaded.training
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


MIXER = """
import torch

class Scaled(torch.nn.Linear):
    def __init__(self, dim):
        super().__init__(dim, dim)
        self.register_buffer("scale", torch.full((), 0.1), persistent=False)

    def forward(self, x):
        assert self.scale.dtype == x.dtype
        return self.scale * super().forward(x)
"""


def test_a_buffer_that_is_not_saved_has_the_precision_of_the_others(tmp_path, monkeypatch):
    (tmp_path / "users_checkpoint_mixer.py").write_text(MIXER)
    monkeypatch.syspath_prepend(tmp_path)
    model, config = built({"mixer": "users_checkpoint_mixer:Scaled"}, torch.float64)
    save_model(tmp_path / "model.pt", model, config, 3, 5)
    loaded, _ = load_model(tmp_path / "model.pt")
    x = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded(x), model(x), rtol=1e-15, atol=1e-15)
    sys.modules.pop("users_checkpoint_mixer")


def test_a_tied_decoder_is_still_tied(tmp_path):
    model, config = built({"mixer": "gru", "tied": True}, torch.float64, 9, 9, is_tokens=True)
    save_model(tmp_path / "model.pt", model, config, 9, 9, is_tokens=True)
    loaded, facts = load_model(tmp_path / "model.pt")
    assert loaded.decoder.weight is loaded.encoder.weight
    assert facts.is_tokens
    tokens = torch.arange(9)[None]
    assert torch.equal(loaded(tokens), model(tokens))


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    model, config = built(CONFIGS["lru"])
    path = tmp_path / "model.pt"
    save_model(path, model, config, 3, 5, about="first")
    with pytest.raises(AttributeError, match=r"Can't pickle|local object"):
        save_model(path, model, config, 3, 5, about=lambda: None)
    assert load_model(path)[1].about == "first"
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_sizes_that_are_not_the_models_are_refused(tmp_path):
    model, config = built(CONFIGS["lru"])
    with pytest.raises(ConfigError, match="reads 3 channels, got input_size=4"):
        save_model(tmp_path / "model.pt", model, config, 4, 5)
    assert not list(tmp_path.iterdir())


class Dangerous:
    """Would run code if it were loaded."""

    def __reduce__(self):
        return (print, ("run",))


def saved_by_torch(content):
    return lambda path: torch.save(content, path)


def changed(**fields):
    """A checkpoint with some fields other than `save_model` writes them."""

    def write(path):
        model, config = built(CONFIGS["lru"])
        save_model(path, model, config, 3, 5)
        torch.save(torch.load(path) | fields, path)

    return write


@pytest.mark.parametrize(("write", "reason"), [
    (lambda path: path.write_text("hello"), "is no PyTorch file"),
    (lambda path: path.write_bytes(b""), "is no PyTorch file"),
    (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "is no PyTorch file, or a damaged one"),
    (lambda path: path.write_bytes(pickle.dumps(Dangerous())), "holds Python objects"),
    (saved_by_torch(Dangerous()), "holds Python objects"),
    (saved_by_torch(torch.nn.Linear(2, 2)), "holds Python objects"),
    (saved_by_torch(torch.nn.Linear(2, 2).state_dict()), "holds 2 tensors of a model that it does not name"),
    (saved_by_torch(torch.zeros(3)), "holds a Tensor, no model"),
    (saved_by_torch({"epoch": 3}), "holds something else"),
    (changed(version=2), "format version 2, this recollect reads 1"),
    (changed(config={"mixer": "lrv"}), "unknown mixer 'lrv'; did you mean 'lru'"),
    (changed(output_size=6), "do not fit the model.*size mismatch"),
    (changed(state={}), "do not fit the model.*Missing key"),
])  # fmt: skip
def test_other_files_are_refused_with_what_they_are(tmp_path, capsys, write, reason):
    path = tmp_path / "other.pt"
    write(path)
    with pytest.raises(ConfigError, match=f"(?s)other.pt.*{reason}"):
        load_model(path)
    assert capsys.readouterr().out == ""


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none.pt")
