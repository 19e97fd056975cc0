import pytest
import torch

from recollect.core import ConfigError
from recollect.models import MIXERS, ModelConfig, measured_state_bytes
from recollect.models.embedding import TokenEmbedding
from recollect.regression import CATALOG

V, DIM, T = 11, 8, 7


def build(**fields):
    config = ModelConfig.parse({"mixer": "gru", "dim": DIM, "norm": "rms"} | fields)
    return config.build(V, V, seed=0, is_tokens=True).double()


def tokens(*shape):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(3))


def test_a_token_is_read_as_its_row_of_the_table():
    table = TokenEmbedding(V, DIM)
    asked = tokens(2, T)
    one_hot = torch.nn.functional.one_hot(asked, V).float()
    torch.testing.assert_close(table(asked), one_hot @ table.weight)


def test_slots_of_one_position_are_added():
    table = TokenEmbedding(V, DIM)
    asked = tokens(2, T, 3)
    torch.testing.assert_close(table(asked), sum(table(asked[..., slot]) for slot in range(3)))


def test_decoding_asked_positions_only_gives_their_rows_of_all_outputs():
    model, asked = build(), tokens(3, T)
    mask = torch.rand(3, T, generator=torch.Generator().manual_seed(1)) < 0.4
    torch.testing.assert_close(model(asked, mask), model(asked)[mask])


def test_reading_token_by_token_is_the_same_function():
    for shape in ((2, T), (2, T, 2)):
        model, asked = build(mixer="attention"), tokens(*shape)
        state, outputs = model.initial_state(2), []
        for position in range(T):
            y, state = model.step(asked[:, position], state)
            outputs.append(y)
        torch.testing.assert_close(torch.stack(outputs, 1), model(asked))


def test_a_tied_decoder_is_the_table_and_learns_with_it():
    model, asked = build(tied=True, bias=False), tokens(2, T)
    assert model.decoder.weight is model.encoder.weight
    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for p in build(bias=False).parameters()
    ) - (V * DIM)
    model(asked).square().sum().backward()
    unread = [token for token in range(V) if token not in asked]
    assert model.encoder.weight.grad[unread].abs().sum() > 0


@pytest.mark.parametrize(
    ("fields", "sizes", "message"),
    [
        ({"tied": True}, (V, 5), "one vocabulary"),
        ({"tied": True, "decoder": False}, (V, DIM), "a decoder"),
        ({"encoder": False}, (V, V), "table of embeddings"),
    ],
)
def test_what_tokens_cannot_have_is_refused(fields, sizes, message):
    with pytest.raises(ConfigError, match=message):
        ModelConfig.parse({"mixer": "gru", "dim": DIM} | fields).build(*sizes, seed=0, is_tokens=True)


def test_tied_channels_are_refused():
    with pytest.raises(ConfigError, match="needs tokens"):
        ModelConfig.parse({"mixer": "gru", "dim": DIM, "tied": True}).build(V, V, seed=0)


def test_alternate_mixers_take_every_second_block():
    model = build(num_layers=5, alternate={"mixer": "gated_conv", "options": {"width": 4}})
    assert [type(mixer).__name__ for mixer in model.mixers] == [
        "GatedConv", "GRU", "GatedConv", "GRU", "GatedConv",
    ]  # fmt: skip
    assert model.mixers[0].receptive_field == 4


def test_one_block_has_no_room_for_an_alternate_mixer():
    with pytest.raises(ConfigError, match="must be 2 or more"):
        ModelConfig.parse({"mixer": "gru", "alternate": {"mixer": "gated_conv"}})


def test_an_unknown_option_of_the_alternate_mixer_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'width'"):
        ModelConfig.parse(
            {"mixer": "gru", "num_layers": 2, "alternate": {"mixer": "gated_conv", "options": {"widht": 2}}}
        )


@pytest.mark.parametrize("name", [*MIXERS, *CATALOG])
def test_the_state_that_a_mixer_states_is_the_one_that_step_carries(name):
    model = ModelConfig(mixer=name, dim=DIM).build(1, 1, seed=0).double()
    # Positions are counted in int64 and numbers are float64: eight bytes each.
    assert measured_state_bytes(model, T) == 8 * model.state_size(T)


def test_a_mixer_that_cannot_stream_has_no_measured_state():
    config = ModelConfig(mixer="recollect.models.channel_mixer:MLP", options={"expansion": 2}, dim=DIM)
    assert measured_state_bytes(config.build(1, 1, seed=0), T) is None
