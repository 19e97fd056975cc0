from collections import Counter

import pytest
import torch

from recollect.core import ConfigError
from recollect.tasks import Task
from recollect.tasks.mad import MAD_TASKS, mad_score
from recollect.tasks.mad.associations import first_occurrence
from recollect.tasks.mad.fuzzy_recall import _different
from recollect.tasks.tokens import IGNORED

SMALL = {
    "mad_recall": {"length": 22, "vocabulary": 10},
    "mad_fuzzy_recall": {"length": 43, "vocabulary": 11},
    "mad_noisy_recall": {"length": 26, "vocabulary": 17, "noise_vocabulary": 7, "noise": 0.4},
    "mad_selective_copying": {"length": 29, "vocabulary": 9, "num_tokens": 6},
    "mad_compression": {"length": 12, "vocabulary": 7},
    "mad_memorisation": {"length": 14, "vocabulary": 20},
}
RECALL = ["mad_recall", "mad_noisy_recall"]
SPLITS = ["train", "validation", "test"]


def make(kind, **fields):
    return MAD_TASKS[kind].parse({"kind": kind} | SMALL[kind] | fields)


def rows(batch):
    return zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)


@pytest.fixture(params=list(MAD_TASKS))
def task(request):
    return make(request.param)


def test_every_task_is_covered_and_keeps_the_protocol(task):
    assert set(SMALL) == set(MAD_TASKS)
    assert isinstance(task, Task)
    batch = task.batch(0, "test", 0, 5)
    assert batch.inputs.shape == batch.targets.shape == batch.mask.shape == (5, task.length)
    assert 0 <= int(batch.inputs.min()) <= int(batch.inputs.max()) < task.vocabulary_size
    asked = batch.targets[batch.mask]
    assert 0 <= int(asked.min()) <= int(asked.max()) < task.vocabulary_size


@pytest.mark.parametrize("split", SPLITS)
def test_an_example_depends_on_seed_split_and_index_alone(task, split):
    whole, part = task.batch(5, split, 0, 20), task.batch(5, split, 13, 4)
    for ours, theirs in zip(whole, part, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours[13:17], theirs)
    for seed, other in [(6, split), (5, SPLITS[SPLITS.index(split) - 1])]:
        assert not torch.equal(task.batch(seed, other, 13, 4).inputs, part.inputs)


def test_facts_say_what_a_score_is_broken_down_by(task):
    facts = task.facts()
    assert set(facts) == {"kind", "benchmark", "factor", "length", "vocabulary", "guess"}
    assert (facts["benchmark"], facts["factor"], facts["kind"]) == ("mad", "baseline", task.kind)
    other = task.model_copy(update={"factor": "length"})
    assert (other.facts()["factor"], other.label) == ("length", task.label)
    assert torch.equal(other.batch(0, "test", 0, 3).inputs, task.batch(0, "test", 0, 3).inputs)


@pytest.mark.parametrize("kind", RECALL)
@pytest.mark.parametrize("split", SPLITS)
def test_recall_asks_each_key_that_was_there_before_for_its_value(kind, split):
    task = make(kind)
    signal = task.vocabulary - getattr(task, "noise_vocabulary", 0)
    for inputs, targets in rows(task.batch(3, split, 0, 60)):
        table = {}
        for t in range(0, task.length, 2):
            key, value = inputs[t], inputs[t + 1]
            assert targets[t + 1] == IGNORED
            if key >= signal:
                assert value >= signal
                assert targets[t] == IGNORED
                continue
            assert key < signal // 2 <= value < signal
            assert targets[t] == table.get(key, IGNORED)
            assert table.setdefault(key, value) == value
        assert targets[-2] != IGNORED


def test_the_share_of_noise_is_the_stated_one():
    task = make("mad_noisy_recall", length=80)
    inputs = task.batch(0, "train", 0, 2000).inputs
    share = float((inputs[:, ::2] >= 10).double().mean())
    assert share == pytest.approx(0.4 * 38 / 40, abs=0.01)
    assert int((inputs[:, ::2] < 10).sum(1).min()) >= 2


def test_the_last_key_is_each_of_the_keys_shown_with_the_same_probability():
    task = make("mad_recall", length=8, vocabulary=4)
    batch = task.batch(0, "train", 0, 20_000)
    keys = batch.inputs[:, ::2]
    mixed = (keys[:, :3].sum(1) == 1) | (keys[:, :3].sum(1) == 2)
    assert float(keys[mixed, 3].double().mean()) == pytest.approx(0.5, abs=4 * 0.5 / 15_000**0.5)


def decode_motifs(tokens, num_keys):
    """Runs of key tokens and of value tokens, in turns."""
    runs = []
    for t, token in enumerate(tokens):
        is_key = token <= num_keys
        if not runs or runs[-1][0] != is_key:
            runs.append((is_key, t, []))
        runs[-1][2].append(token)
    return runs


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("vocabulary", [8, 11])
def test_fuzzy_recall_asks_the_motif_of_each_key_that_was_there_before(split, vocabulary):
    task = make("mad_fuzzy_recall", vocabulary=vocabulary)
    num_keys = (vocabulary - 1) // 2
    sizes = Counter()
    for inputs, targets in rows(task.batch(3, split, 0, 60)):
        blanks = inputs.count(0)
        assert inputs[:blanks] == [0] * blanks
        runs = decode_motifs(inputs[blanks:], num_keys)
        expected, table = [IGNORED] * task.length, {}
        for (is_key, _, key), (is_value, start, value) in zip(runs[::2], runs[1::2], strict=True):
            assert is_key
            assert not is_value
            assert len(set(key)) == len(key) <= 3
            assert len(set(value)) == len(value) <= 3
            sizes[len(key)] += 1
            if tuple(key) in table:
                for i, token in enumerate(value):
                    expected[blanks + start + i - 1] = token
            assert table.setdefault(tuple(key), value) == value
        assert targets == expected
        assert targets[-2] == inputs[-1]
    assert set(sizes) == ({1, 2, 3} if split == "train" else {3})


@pytest.mark.parametrize("kind", [*RECALL, "mad_fuzzy_recall"])
def test_training_on_every_next_token_is_for_the_training_split_alone(kind):
    plain, task = make(kind), make(kind, next_token=True)
    batch = task.batch(0, "train", 0, 7)
    assert torch.equal(batch.inputs, plain.batch(0, "train", 0, 7).inputs)
    assert torch.equal(batch.targets[:, :-1], batch.inputs[:, 1:])
    assert batch.mask.sum(1).eq(task.length - 1).all()
    for split in ("validation", "test"):
        assert torch.equal(task.batch(0, split, 0, 7).targets, plain.batch(0, split, 0, 7).targets)


def test_different_numbers_are_every_ordered_choice_with_the_same_probability():
    drawn = _different(9, torch.arange(6000), 4, 3, 5).flatten(0, 1)
    counts = Counter(map(tuple, drawn.tolist()))
    assert len(counts) == 60
    assert max(abs(count - 400) for count in counts.values()) < 5 * 20


def test_the_first_occurrence_is_found_in_any_row():
    numbers = torch.randint(0, 9, (40, 23), generator=torch.Generator().manual_seed(1))
    expected = [[row.index(number) for number in row] for row in numbers.tolist()]
    assert first_occurrence(numbers).tolist() == expected


@pytest.mark.parametrize("kind", [*RECALL, "mad_fuzzy_recall"])
def test_guessing_the_most_frequent_value_is_measured_as_one_would_by_hand(kind):
    task = make(kind)
    offset = getattr(task, "noise_vocabulary", 0)
    lowest = (task.vocabulary - offset + 1) // 2
    values = range(lowest, task.vocabulary - offset)
    hits = []
    for inputs, targets in rows(task.batch(0, "test", 0, 64)):
        for t, target in enumerate(targets):
            if target != IGNORED:
                seen = [inputs[: t + 1].count(value) for value in values]
                hits.append(values[seen.index(max(seen))] == target)
    assert task.guess == pytest.approx(sum(hits) / len(hits))
    assert 1 / len(values) < task.guess < 1


@pytest.mark.parametrize(
    ("kind", "guess"),
    [("mad_selective_copying", 1 / 7), ("mad_compression", 1 / 6), ("mad_memorisation", 1 / 9)],
)
def test_the_guess_is_one_of_the_answers_there_are(kind, guess):
    task = make(kind)
    assert task.guess == pytest.approx(guess)
    batch = task.batch(0, "test", 0, 3000)
    asked = batch.targets[~batch.mask] if kind == "mad_compression" else batch.targets[batch.mask]
    counts = asked.bincount()
    shares = counts[counts > 0].double() / len(asked)
    torch.testing.assert_close(shares, torch.full_like(shares, guess), rtol=0, atol=0.015)


@pytest.mark.parametrize("split", SPLITS)
def test_selective_copying_asks_the_tokens_in_their_order(split):
    task = make("mad_selective_copying")
    batch = task.batch(2, split, 0, 50)
    for inputs, targets in rows(batch):
        end = task.length - 6
        assert inputs[end - 1 :] == [1] + [0] * 6
        assert inputs[end - 2] > 1
        assert targets == [IGNORED] * end + [token for token in inputs if token > 1]
    assert batch.groups[batch.mask].unflatten(0, (50, 6)).eq(torch.arange(6)).all()


def test_blanks_stand_before_each_token_alike():
    task = make("mad_selective_copying", length=19)
    counts = torch.zeros(6)
    for inputs, _ in rows(task.batch(0, "train", 0, 4000)):
        place = 0
        for token in inputs[:12]:
            counts[place] += token == 0
            place += token > 1
    torch.testing.assert_close(counts / 4000, torch.ones(6), rtol=0, atol=0.07)


def test_compression_reads_every_token_off_the_last_position():
    task = make("mad_compression")
    batch = task.batch(0, "train", 0, 5)
    assert batch.mask.sum(0).tolist() == [0] * 11 + [5]
    assert (batch.inputs[:, :-1] > 0).all()
    assert not batch.inputs[:, -1].any()
    outputs = torch.zeros(5, task.output_size, dtype=torch.float64)
    for b, row in enumerate(batch.inputs.tolist()):
        for t, token in enumerate(row[:-1]):
            outputs[b, t * 7 + token] = 3.0
    scores, asked = task.answers(outputs, batch)
    assert torch.equal(scores.argmax(-1), asked.targets[asked.mask])
    assert torch.equal(asked.groups[asked.mask], torch.arange(11).repeat(5))
    right = torch.tensor(3.0, dtype=torch.float64).exp()
    torch.testing.assert_close(task.loss(outputs, batch), -(right / (right + 6)).log())


def test_compression_is_of_one_length():
    with pytest.raises(ValueError, match="expected `length`=12"):
        make("mad_compression").batch(0, "test", 0, 2, length=13)


def test_the_table_is_the_same_in_every_seed_and_split_and_differs_by_its_own_seed():
    def learned(task, seed, split):
        batch = task.batch(seed, split, 0, 200)
        columns = batch.inputs[:, ::2].flatten().tolist(), batch.targets[:, 1::2].flatten().tolist()
        table = dict(zip(*columns, strict=True))
        assert (batch.targets[:, ::2] == IGNORED).all()
        assert not batch.inputs[:, 1::2].any()
        return dict(sorted(table.items()))

    task = make("mad_memorisation")
    table = learned(task, 0, "train")
    assert list(table) == list(range(1, 10))
    assert len(set(table.values())) == 9
    assert set(table.values()) <= set(range(10, 20))
    assert table == learned(task, 4, "test")
    assert table != learned(make("mad_memorisation", table=1), 0, "train")


@pytest.mark.parametrize("kind", sorted(set(MAD_TASKS) - {"mad_compression"}))
def test_a_longer_sequence_can_be_asked_for(kind):
    task = make(kind)
    batch = task.batch(0, "test", 0, 3, length=2 * task.length)
    assert batch.inputs.shape == (3, 2 * task.length)
    assert batch.mask.any(1).all()


def test_the_score_is_the_mean_over_settings_by_task_and_by_factor():
    cells = [("a", "baseline", 0.5), ("a", "length", 0.1), ("a", "length", 0.3), ("b", "baseline", 1.0)]
    score = mad_score(cells)
    assert score.by_task == pytest.approx({"a": 0.3, "b": 1.0})
    assert score.by_factor["a"] == pytest.approx({"baseline": 0.5, "length": 0.2})
    assert (score.overall, score.mean_of_tasks) == pytest.approx((0.475, 0.65))


@pytest.mark.parametrize("bad", [[], [("a", "length", 1.2)], [("a", "length", float("nan"))]])
def test_a_score_of_nothing_or_of_no_accuracy_is_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        mad_score(bad)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("mad_recall", {"length": 21}, "multiple of 2"),
        ("mad_recall", {"vocabulary": 9}, "must be even"),
        ("mad_noisy_recall", {"noise_vocabulary": 14}, "3 tokens are left"),
        ("mad_fuzzy_recall", {"length": 11}, "two pairs, 12 tokens"),
        ("mad_fuzzy_recall", {"vocabulary": 6}, "at least 7"),
        ("mad_selective_copying", {"length": 12}, "at least 13"),
        ("mad_memorisation", {"factor": "lenght"}, "Input should be 'baseline'"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(kind, fields, message):
    with pytest.raises(ConfigError, match=message):
        make(kind, **fields)
