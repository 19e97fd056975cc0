"""What a word on the command line stands for."""

import sys

import pytest
import torch

from recollect.cli.probe_spec import resolve
from recollect.core import ConfigError
from recollect.models import ModelConfig
from recollect.probing.maps import check_causal
from recollect.studies import SerialExecutor, Store, Study, run_study, trained_model
from recollect.training.checkpoint import save_model

STUDY = {
    "name": "tiny",
    "tasks": [{"memory": {"family": "impulse", "alpha": 2}, "length": 8, "channels": 2}],
    "models": [{"mixer": "gru", "dim": 3}],
    "training": {
        "steps": 6,
        "batch_size": 2,
        "evaluate_every": 2,
        "validation_examples": 8,
        "test_examples": 64,
    },
}
USERS = """
import torch
from torch import nn

instance = nn.Linear(3, 5)

class Layer(nn.Module):
    def __init__(self, dim, scale=1.0):
        super().__init__()
        self.linear, self.scale, self.dropout = nn.Linear(dim, dim), scale, nn.Dropout(0.5)

    def forward(self, x):
        return self.scale * self.dropout(self.linear(x))

def make(dim=4):
    return Layer(dim)

def function(x):
    return x.cumsum(1)

def broken():
    raise RuntimeError("no weights here")

number = 3
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "users_probe_models.py").write_text(USERS)
    yield
    sys.modules.pop("users_probe_models", None)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'store.db'}"


def stored(url, **fields):
    with Store(url) as store:
        return run_study(Study.parse(STUDY | fields), store, SerialExecutor())


def test_a_run_is_found_by_the_beginning_of_its_id_and_read_on_its_task(url):
    (record, *_) = stored(url)
    sequences = resolve(record.id[:7], url)
    model, task = trained_model(record)
    x = sequences.draw(3, 8, 5)
    assert torch.equal(x, task.batch(5, "test", 0, 3).inputs)
    assert torch.equal(sequences.apply(x), model(x))
    assert sequences.name == f"gru(dim=3) trained on {record.task}, seed 0".replace(
        "gru(dim=3)", record.model
    )
    louder = resolve(record.id, url, amplitude=2.0)
    assert louder.background == "white Gaussian, deviation 2"
    assert resolve(record.id, url, background="white").background == "white Gaussian, deviation 1"


def test_a_checkpoint_is_read(url, tmp_path):
    config = ModelConfig(mixer="lru", dim=4)
    model = config.build(2, 3, seed=9)
    save_model(tmp_path / "best.pt", model, config, 2, 3)
    sequences = resolve("best.pt", url)
    x = sequences.draw(2, 6, 0)
    assert torch.equal(sequences.apply(x), model(x))
    assert sequences.name == "lru from best.pt"


@pytest.mark.parametrize(("name", "options", "sizes"), [
    ("instance", {}, (3, 5)),
    ("Layer", {"dim": 6, "scale": 2.0}, (6, 6)),
    ("make", {}, (4, 4)),
    ("make", {"dim": 5}, (5, 5)),
])  # fmt: skip
def test_an_import_path_gives_a_module_its_class_or_its_factory(url, name, options, sizes):
    sequences = resolve(f"users_probe_models:{name}", url, options)
    assert (sequences.input_size, sequences.output_size) == sizes
    assert sequences.name == f"users_probe_models:{name}"
    check_causal(sequences, 7)
    again = resolve(f"users_probe_models:{name}", url, options)
    x = sequences.draw(2, 5, 0)
    sequences.module.eval()
    again.module.eval()
    assert torch.equal(sequences.apply(x), again.apply(x))


def test_a_plain_function_is_read_as_it_is(url):
    sequences = resolve("users_probe_models:function", url, input_size=2, amplitude=0.5)
    x = sequences.draw(2, 5, 0)
    assert torch.equal(sequences.apply(x), x.cumsum(1))
    assert sequences.background == "white Gaussian, deviation 0.5"


def test_a_layer_of_ours_is_built_untrained_with_its_defaults(url):
    sequences = resolve("lru", url)
    assert (sequences.name, sequences.input_size) == ("lru (untrained, dim 32)", 32)
    x = sequences.draw(2, 5, 0)
    assert torch.equal(sequences.apply(x), resolve("lru", url).apply(x))
    small = resolve("attention", url, {"dim": 8, "num_heads": 2})
    assert (small.name, small.input_size) == ("attention (untrained, dim 8, num_heads=2)", 8)


@pytest.mark.parametrize("kind", ["Llama", "GPT2"])
def test_a_folder_of_a_hugging_face_model_is_read(url, tmp_path, kind, capfd):
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    suffix = "LMHeadModel" if kind == "GPT2" else "ForCausalLM"
    model = getattr(transformers, kind + suffix)(config).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "mine")
    capfd.readouterr()
    sequences = resolve("mine", url)
    assert capfd.readouterr().out == ""
    assert sequences.name == "mine: last hidden state along 4 random unit directions"
    assert sequences.dtype == torch.float32
    table = model.get_input_embeddings().weight.float()
    vectors = sequences.draw(2, 6, 0).flatten(0, 1)
    assert torch.cdist(vectors, table).min(1).values.max() < 1e-3


def test_a_model_on_the_hub_that_cannot_be_reached_is_one_message(url, monkeypatch):
    transformers = pytest.importorskip("transformers")

    def unreachable(name, **options):
        assert (name, options["local_files_only"]) == ("group/name", False)
        raise OSError("We couldn't connect to the hub\nand more lines")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", unreachable)
    with pytest.raises(
        ConfigError, match=r"cannot load .*'group/name': We couldn't connect to the hub.*copy"
    ):
        resolve("hf:group/name", url)


def test_without_transformers_the_install_line_is_given(url, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"needs transformers: pip install 'recollect\[compare\]'"):
        resolve("hf:group/name", url)


@pytest.mark.parametrize(("spec", "options", "reason"), [
    ("lur", {}, "nothing is called 'lur'; did you mean 'lru'.*the id of a stored run.*a checkpoint"),
    ("0123", {}, "nothing is called '0123'. Expected the id of a stored run"),
    ("no.pt", {}, "nothing is called 'no.pt'"),
    (".", {}, "no config.json"),
    ("users_probe_models.py", {}, "users_probe_models.py holds|is no PyTorch file"),
    ("users_probe_models:instanse", {}, "has no 'instanse'; did you mean 'instance'"),
    ("users_probe_models:instance", {"dim": 3}, "is a Linear, which takes no options; got dim"),
    ("users_probe_models:Layer", {}, "cannot be built with no options.*'dim'.*--option NAME=VALUE"),
    ("users_probe_models:Layer", {"dym": 3}, "cannot be built with dym=3: TypeError.*dym"),
    ("users_probe_models:broken", {}, "RuntimeError: no weights here"),
    ("users_probe_models:number", {}, "got int"),
    ("users_probe_models:function", {}, "give input_size"),
    ("gru", {"dims": 3}, "gru.*unknown field 'dims'"),
    ("gru", {"dim": "a"}, "dim='a'; expected a positive whole number"),
    ("hf:group/name", {"a": 1}, "is a Hugging Face model, which takes no options; got a"),
])  # fmt: skip
def test_what_cannot_be_probed_is_refused_with_the_reason(url, spec, options, reason):
    with pytest.raises(ConfigError, match=f"(?s){reason}"):
        resolve(spec, url, options)


def test_a_beginning_of_several_ids_is_refused(url):
    records = stored(url, seeds=17)
    first = next(d for d in "0123456789abcdef" if sum(r.id.startswith(d) for r in records) > 1)
    with pytest.raises(ConfigError, match=f"runs begin with '{first}' .*give more digits"):
        resolve(first, url)
