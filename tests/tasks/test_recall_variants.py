"""Variants of associative recall, each against its definition, read from the sequences alone."""

import pytest
import torch

from recollect.tasks.continuous_recall import ContinuousRecall
from recollect.tasks.mqar import MQAR

VARIANTS = {
    "passes": MQAR(length=40, num_pairs=3, vocabulary=64, passes=3),
    "rewrites": MQAR(length=40, num_pairs=5, vocabulary=64, rewrites=3),
    "all rewritten in two passes": MQAR(length=60, num_pairs=4, vocabulary=64, rewrites=4, passes=2),
    "two hops": MQAR(length=40, num_pairs=4, vocabulary=64, hops=2),
    "two hops in two passes": MQAR(length=60, num_pairs=4, vocabulary=64, hops=2, passes=2),
    "stacked": MQAR(length=21, num_pairs=6, vocabulary=64, stacked=True),
    "stacked rewrites": MQAR(
        length=21, num_pairs=6, vocabulary=64, stacked=True, rewrites=2, fillers="blank"
    ),
    "stacked two hops": MQAR(length=19, num_pairs=4, vocabulary=64, stacked=True, hops=2),
}
every = pytest.mark.parametrize("task", VARIANTS.values(), ids=VARIANTS.keys())


def context_of(task, tokens):
    """The pairs that the context writes, in order."""
    pairs = task.passes * (task.hops * task.num_pairs + task.rewrites)
    if task.stacked:
        return [tuple(pair) for pair in tokens[:pairs]]
    return [(tokens[2 * i], tokens[2 * i + 1]) for i in range(pairs)]


def recalled(task, tokens, position):
    """Follow the key at `position` through the table that the context has written in the end."""
    table = dict(context_of(task, tokens))
    token = tokens[position][0] if task.stacked else tokens[position]
    for _ in range(task.hops):
        token = table[token]
    return token


@every
def test_every_question_has_what_the_context_says_last_as_target(task):
    batch = task.batch(1, "train", 0, 150)
    for tokens, targets, mask in zip(*(part.tolist() for part in batch[:3]), strict=True):
        asked = [t for t in range(task.length) if mask[t]]
        assert len(asked) == task.num_pairs
        assert [targets[t] for t in asked] == [recalled(task, tokens, t) for t in asked]


@every
def test_groups_are_gaps_to_the_last_place_where_the_key_is_written(task):
    batch = task.batch(2, "train", 0, 80)
    width = 1 if task.stacked else 2
    for tokens, mask, groups in zip(batch.inputs.tolist(), batch.mask, batch.groups.tolist(), strict=True):
        keys = [key for key, _ in context_of(task, tokens)]
        for t in mask.nonzero().flatten().tolist():
            key = tokens[t][0] if task.stacked else tokens[t]
            last = max(i for i, written in enumerate(keys) if written == key)
            assert groups[t] == t - width * last


@every
def test_an_example_does_not_depend_on_the_batch_it_comes_in(task):
    whole = task.batch(3, "test", 0, 90)
    for part, of_whole in zip(task.batch(3, "test", 60, 11), whole, strict=True):
        assert torch.equal(part, of_whole[60:71])


def test_a_rewritten_key_had_another_value_before():
    task = VARIANTS["rewrites"]
    rewritten = torch.zeros(5)
    for tokens in task.batch(4, "train", 0, 400).inputs.tolist():
        pairs = context_of(task, tokens)
        keys, values = [key for key, _ in pairs], [value for _, value in pairs]
        assert len(set(keys)) == 5
        assert len(set(values)) == 8
        again = [keys[:5].index(key) for key in keys[5:]]
        assert len(set(again)) == 3
        rewritten[again] += 1
    # Each key is as likely as another to be written again: 240 of 400, standard deviation 9.8.
    assert (rewritten - 240).abs().max() < 40


def test_middles_of_two_hops_look_like_starts_and_their_table_has_an_order_of_its_own():
    task = VARIANTS["two hops"]
    in_order = 0
    for tokens in task.batch(5, "train", 0, 300).inputs.tolist():
        pairs = context_of(task, tokens)
        starts, middles = [key for key, _ in pairs[:4]], [value for _, value in pairs[:4]]
        assert len({*starts, *middles}) == 8
        assert max(middles) < 32
        assert sorted(key for key, _ in pairs[4:]) == sorted(middles)
        assert all(value >= 32 for _, value in pairs[4:])
        in_order += [key for key, _ in pairs[4:]] == middles
    assert 2 <= in_order <= 30  # one in 4! by chance


def test_each_pass_repeats_the_context():
    tokens = VARIANTS["passes"].batch(6, "train", 0, 30).inputs
    assert torch.equal(tokens[:, :6], tokens[:, 6:12])
    assert torch.equal(tokens[:, :6], tokens[:, 12:18])


def test_a_stacked_question_is_a_key_and_a_blank():
    for name in ("stacked", "stacked rewrites"):
        batch = VARIANTS[name].batch(7, "train", 0, 40)
        assert batch.inputs.shape == (40, 21, 2)
        assert (batch.inputs[batch.mask][:, 1] == 0).all()
    rest = ~batch.mask & (torch.arange(21) >= 8)
    assert (batch.inputs[rest] == 0).all()


CONTINUOUS = {
    "stacked": ContinuousRecall(length=11, num_pairs=4, key_dim=5, value_dim=3),
    "apart": ContinuousRecall(length=24, num_pairs=4, key_dim=5, value_dim=3, stacked=False),
    "stacked with fillers": ContinuousRecall(
        length=11, num_pairs=4, key_dim=5, value_dim=3, fillers="random"
    ),
    "apart with fillers": ContinuousRecall(
        length=24, num_pairs=4, key_dim=5, value_dim=3, fillers="random", stacked=False
    ),
}
every_continuous = pytest.mark.parametrize("task", CONTINUOUS.values(), ids=CONTINUOUS.keys())


@every_continuous
def test_least_squares_on_the_context_answers_every_question(task):
    batch = task.batch(1, "train", 0, 30, dtype=torch.float64)
    width = 1 if task.stacked else 2
    context = batch.inputs[:, : 4 * width]
    keys, values = context[:, ::width, :5], context[:, width - 1 :: width, 5:]
    solution = torch.linalg.lstsq(keys, values, driver="gelsd").solution
    answers = torch.einsum("btk,bkv->btv", batch.inputs[..., :5], solution)[batch.mask]
    assert task.loss(answers, batch).item() == pytest.approx(0, abs=1e-18)
    assert (batch.inputs[batch.mask][:, 5:] == 0).all()
    assert (batch.mask.sum(dim=1) == 4).all()


@every_continuous
def test_gaps_lead_back_to_the_key(task):
    batch = task.batch(2, "train", 0, 30, dtype=torch.float64)
    row, position = batch.mask.nonzero().unbind(1)
    before = position - batch.groups[row, position]
    assert torch.equal(batch.inputs[row, before, :5], batch.inputs[row, position, :5])
    assert (before < position).all()
    assert (batch.groups[~batch.mask] == -1).all()


@every_continuous
def test_a_continuous_example_does_not_depend_on_the_batch_it_comes_in(task):
    whole = task.batch(3, "test", 0, 90)
    for part, of_whole in zip(task.batch(3, "test", 60, 11), whole, strict=True):
        assert torch.equal(part, of_whole[60:71])


def test_the_mean_of_the_values_has_the_error_that_guessing_is_said_to_have():
    task = CONTINUOUS["stacked"]
    batch = task.batch(4, "test", 0, 20_000, dtype=torch.float64)
    guess = batch.inputs[:, :4, 5:].mean(dim=1).repeat_interleave(4, dim=0)
    assert task.loss(guess, batch).item() == pytest.approx(task.guess, rel=0.02)
    assert batch.targets[batch.mask].square().mean().item() == pytest.approx(1, rel=0.02)
    keys = batch.inputs[:, :4, :5]
    torch.testing.assert_close(keys.square().sum(dim=-1), torch.full((20_000, 4), 5.0, dtype=torch.float64))


def test_random_fillers_are_pairs_that_are_never_asked_and_others_are_nothing():
    for name in ("stacked", "apart"):
        plain, filled = (CONTINUOUS[n].batch(5, "test", 0, 20) for n in (name, f"{name} with fillers"))
        width = 1 if name == "stacked" else 2
        after = torch.zeros_like(plain.mask)
        after[:, width - 1 :] = plain.mask[:, : plain.mask.shape[1] - width + 1]
        slot = (plain.mask | after) if width == 2 else plain.mask
        rest = ~slot & (torch.arange(plain.mask.shape[1]) >= 4 * width)
        assert torch.equal(plain.inputs[~rest], filled.inputs[~rest])
        assert (plain.inputs[rest] == 0).all()
        assert (filled.inputs[rest] != 0).any(dim=-1).all()


def test_what_continuous_recall_says_of_itself():
    task = CONTINUOUS["apart"]
    assert task.label == "continuous_recall(length=24, num_pairs=4, key_dim=5, value_dim=3, stacked=False)"
    assert (task.input_size, task.output_size, task.guess) == (8, 3, 0.75)
    assert task.facts()["kind"] == "continuous_recall"
    with pytest.raises(ValueError, match=r"`length` >= 8 for 4 pairs"):
        task.model_validate(task.model_dump() | {"length": 6, "stacked": True})
    with pytest.raises(ValueError, match=r"even `length`, got 25"):
        task.batch(0, "test", 0, 1, length=25)
