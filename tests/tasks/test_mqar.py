"""MQAR against its definition, read from the sequences alone."""

import math

import pytest
import torch
from pydantic import ValidationError

from recollect.core import ConfigError
from recollect.tasks.mqar import MQAR

TASKS = {
    "blank": MQAR(length=32, num_pairs=5, vocabulary=64, fillers="blank"),
    "random": MQAR(length=32, num_pairs=5, vocabulary=64),
    "full": MQAR(length=20, num_pairs=5, vocabulary=12),
    "one pair": MQAR(length=6, num_pairs=1, vocabulary=4),
    "wide": MQAR(length=64, num_pairs=4),
}
every = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


def recalled(tokens, num_pairs, position):
    """The value that was last seen with the key at `position`, looked up pair by pair."""
    value = None
    for pair in range(num_pairs):
        if tokens[2 * pair] == tokens[position]:
            value = tokens[2 * pair + 1]
    return value


@every
def test_every_question_has_the_value_of_its_key_as_target(task):
    batch = task.batch(1, "train", 0, 200)
    for tokens, targets, mask in zip(*(part.tolist() for part in batch[:3]), strict=True):
        asked = [t for t in range(task.length) if mask[t]]
        assert [targets[t] for t in asked] == [recalled(tokens, task.num_pairs, t) for t in asked]
        assert all(target == -100 for t, target in enumerate(targets) if not mask[t])
        assert sorted(tokens[t] for t in asked) == sorted(tokens[: 2 * task.num_pairs : 2])


@every
def test_keys_and_values_are_distinct_and_from_their_halves_of_the_vocabulary(task):
    context = task.batch(2, "train", 0, 300).inputs[:, : 2 * task.num_pairs]
    keys, values = context[:, ::2].sort().values, context[:, 1::2].sort().values
    assert (keys.diff() > 0).all()
    assert (values.diff() > 0).all()
    assert keys.min() >= 1
    assert keys.max() < task.vocabulary // 2 <= values.min()
    assert values.max() < task.vocabulary


@every
def test_questions_stand_on_the_first_positions_of_their_slots(task):
    batch = task.batch(3, "train", 0, 100)
    positions = batch.mask.nonzero()[:, 1]
    assert (positions >= 2 * task.num_pairs).all()
    assert (positions % 2 == 0).all()
    assert (batch.mask.sum(dim=1) == task.num_pairs).all()


@every
def test_groups_are_gaps_from_the_key_to_its_question(task):
    batch = task.batch(4, "train", 0, 100)
    row, position = batch.mask.nonzero().unbind(1)
    gaps = batch.groups[row, position]
    assert torch.equal(batch.inputs[row, position - gaps], batch.inputs[row, position])
    assert (position - gaps < 2 * task.num_pairs).all()
    assert (batch.groups[~batch.mask] == -1).all()


def test_blank_fillers_are_blank_and_random_ones_are_uniform_over_the_vocabulary():
    blank = TASKS["blank"].batch(5, "train", 0, 100)
    rest = torch.arange(32) >= 10
    assert (blank.inputs[~blank.mask & rest] == 0).all()
    drawn = TASKS["random"].batch(5, "train", 0, 4000)
    found = torch.bincount(drawn.inputs[~drawn.mask & rest], minlength=64).double()
    expected = found.sum() / 64
    assert ((found - expected).square() / expected).sum() < 63 + 4 * math.sqrt(2 * 63)


def test_fillers_change_nothing_else():
    blank, drawn = (
        MQAR(length=32, num_pairs=5, vocabulary=64, fillers=f).batch(0, "test", 0, 50)
        for f in ("blank", "random")
    )
    assert torch.equal(blank.targets, drawn.targets)
    assert torch.equal(blank.inputs[:, :10], drawn.inputs[:, :10])


@pytest.mark.parametrize(("vocabulary", "stated"), [(256, 0.953), (8192, 0.998)])
def test_random_fillers_mislead_a_reader_of_what_last_followed_the_key(vocabulary, stated):
    """It answers with the token after the last earlier occurrence of the key, in the context or a filler."""
    batch = MQAR(length=64, num_pairs=4, vocabulary=vocabulary).batch(0, "test", 0, 4000)
    row, position = (part.unflatten(0, (4000, 4)) for part in batch.mask.nonzero().unbind(1))
    places, tokens = torch.arange(64), batch.inputs[row]
    is_before = places < position[..., None]
    is_key = tokens == batch.inputs[row, position][..., None]
    last = torch.where(is_before & is_key, places, -1).amax(-1)
    right = (batch.inputs[row, last + 1] == batch.targets[row, position]).double().mean(1)
    error = right.std() / 4000**0.5
    assert abs(right.mean() - stated) < 3 * error
    num_fillers = (is_before & ~batch.mask[row]).sum(-1) - 8
    chance = ((1 - 1 / vocabulary) ** num_fillers.double()).mean(1)
    # A key among the fillers is followed by its value once in V, which the formula leaves out.
    assert abs((right - chance).mean()) < 3 * (right - chance).std() / 4000**0.5 + 0.05 / vocabulary
    assert abs(chance.mean() - stated) < 3 * chance.std() / 4000**0.5 + 5e-4


def test_questions_come_as_often_at_each_slot_as_the_power_law_says():
    task = MQAR(length=16, num_pairs=2, vocabulary=32, power=0.5)
    mask = task.batch(6, "train", 0, 40_000).mask[:, 4::2].double().mean(dim=0)
    w = torch.arange(1, 7).double() ** -0.5
    p = w / w.sum()
    second = torch.stack([sum(p[i] * p[j] / (1 - p[i]) for i in range(6) if i != j) for j in range(6)])
    torch.testing.assert_close(mask, p + second, rtol=0, atol=4 * 0.5 / math.sqrt(40_000))


def test_slots_are_those_of_the_sequential_draw():
    """The first key takes the slot that is drawn first: with a small power it is asked soonest."""
    task = MQAR(length=64, num_pairs=4, fillers="blank")
    batch = task.batch(0, "train", 0, 20_000)
    keys = batch.inputs[:, :8:2]
    place = [(batch.inputs[:, 8:] == keys[:, [i]]).int().argmax(dim=1).double().mean() for i in range(4)]
    assert place == sorted(place)


@pytest.mark.parametrize("name", ["random", "wide"])
def test_an_example_does_not_depend_on_the_batch_it_comes_in(name):
    task = TASKS[name]
    whole = task.batch(7, "train", 0, 4200)
    for start, count in [(0, 1), (1000, 50), (2040, 20), (4199, 1)]:
        for part, of_whole in zip(task.batch(7, "train", start, count), whole, strict=True):
            assert torch.equal(part, of_whole[start : start + count])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every
def test_an_example_does_not_depend_on_the_device(task):
    for here, there in zip(
        task.batch(7, "train", 0, 3000), task.batch(7, "train", 0, 3000, device="cuda"), strict=True
    ):
        assert torch.equal(here, there.cpu())


def test_splits_and_seeds_differ_in_keys_values_slots_and_fillers():
    task = MQAR(length=64, num_pairs=4)
    seen = [
        task.batch(s, split, 0, 3)
        for s, split in [(0, "train"), (0, "validation"), (0, "test"), (1, "train")]
    ]
    for number, one in enumerate(seen):
        for other in seen[:number]:
            assert not torch.equal(one.inputs[:, :8:2], other.inputs[:, :8:2])
            assert not torch.equal(one.inputs[:, 1:8:2], other.inputs[:, 1:8:2])
            assert not torch.equal(one.mask, other.mask)
            assert (one.inputs[:, 8:] == other.inputs[:, 8:]).double().mean() < 0.05


def test_keys_values_slots_and_fillers_are_independent():
    task = MQAR(length=32, num_pairs=4, vocabulary=1024)
    batch = task.batch(10, "train", 0, 20_000)
    # Of keys and values the first two; of the slots the first; of the fillers those between two slots.
    columns = [*batch.inputs[:, :4].unbind(1), batch.mask[:, 8], *batch.inputs[:, 9:15:2].unbind(1)]
    correlation = torch.corrcoef(torch.stack(columns).double())
    assert (correlation - torch.eye(len(columns))).abs().max() < 4.5 / math.sqrt(20_000)


def test_guessing_a_value_of_the_context_is_right_once_in_num_pairs(rng):
    task = TASKS["blank"]
    batch = task.batch(8, "test", 0, 4000)
    guesses = batch.inputs[:, 1:10:2].gather(1, torch.randint(5, (4000, 5), generator=rng))
    score = (guesses.flatten() == batch.targets[batch.mask]).double().mean()
    assert task.guess == 1 / 5
    assert abs(score - task.guess) < 4 * math.sqrt(0.2 * 0.8 / 20_000)


def test_loss_is_the_cross_entropy_at_the_questions():
    task = TASKS["random"]
    batch = task.batch(9, "test", 0, 6)
    flat = torch.zeros(30, 64, dtype=torch.float64)
    assert task.loss(flat, batch).item() == pytest.approx(math.log(64), rel=1e-10)
    certain = 1e3 * torch.nn.functional.one_hot(batch.targets[batch.mask], 64).double()
    assert task.loss(certain, batch).item() == pytest.approx(0, abs=1e-10)


def test_another_length_keeps_the_pairs():
    short, long = (TASKS["blank"].batch(0, "test", 0, 20, length=length) for length in (20, 100))
    assert torch.equal(short.inputs[:, :10], long.inputs[:, :10])
    assert long.inputs.shape == (20, 100)
    with pytest.raises(ValueError, match=r"`length` >= 20 for 5 pairs"):
        TASKS["blank"].batch(0, "test", 0, 1, length=18)
    with pytest.raises(ValueError, match=r"even `length`, got 33: take 34"):
        TASKS["blank"].batch(0, "test", 0, 1, length=33)


def test_an_empty_batch_is_one():
    assert MQAR(length=64, num_pairs=4).batch(0, "train", 5, 0).inputs.shape == (0, 64)


def test_what_a_task_says_of_itself():
    task = MQAR(length=64, num_pairs=4)
    assert task.label == "mqar(length=64, num_pairs=4)"
    assert MQAR(length=64, num_pairs=4, vocabulary=256, stacked=True).label == (
        "mqar(length=64, num_pairs=4, vocabulary=256, stacked=True)"
    )
    assert task.input_size == task.output_size == 8192
    assert task.facts() == {
        "kind": "mqar",
        "length": 64,
        "num_pairs": 4,
        "vocabulary": 8192,
        "fillers": "random",
        "guess": 0.25,
        "passes": 1,
        "rewrites": 0,
        "hops": 1,
        "stacked": False,
    }
    assert MQAR.parse({"kind": "mqar", "length": 64, "num_pairs": 4}) == task


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"length": 62, "num_pairs": 16}, r"`length` >= 64 for 16 pairs"),
        ({"length": 65, "num_pairs": 4}, r"even `length`, got 65"),
        ({"length": 64, "num_pairs": 4, "vocabulary": 257}, r"`vocabulary`=257 must be even"),
        (
            {"length": 64, "num_pairs": 16, "vocabulary": 32},
            r"at least 34, for 16 keys in 1..15 and 16 values",
        ),
        ({"length": 64, "num_pairs": 2, "rewrites": 3}, r"`rewrites`=3 must be at most num_pairs=2"),
        ({"length": 64, "num_pairs": 2, "rewrites": 1, "hops": 2}, r"exclude each other"),
        ({"length": 64, "num_pairs": 8, "passes": 4}, r"`length` >= 80 for 8 pairs \(64 positions"),
    ],
)
def test_a_task_that_cannot_be_drawn_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        MQAR(**fields)


def test_a_misspelt_field_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"did you mean 'num_pairs'"):
        MQAR.parse({"length": 64, "numpairs": 4})
