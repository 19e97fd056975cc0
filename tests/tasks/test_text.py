import math
from collections import Counter
from itertools import combinations, pairwise

import pytest
import torch

from recollect.core import ConfigError
from recollect.tasks.base import SPLITS
from recollect.tasks.corpora import read_corpus, without_repeats
from recollect.tasks.text import Text, looked_up, recall_hits, unigram_cross_entropy
from recollect.tasks.tokeniser import Tokeniser

SMALL = {"length": 24, "vocabulary": 400, "characters": 60_000}
STRANGE = "naïve _x__init__(3.14)\r\n\t§ 漢字 🙂 \x00\x7f  é² end "


def hits_one_by_one(window):
    """The definition, token by token: has the pair that ends here been read before?"""
    read, hits = set(), []
    for pair in pairwise(window):
        hits.append(pair in read)
        read.add(pair)
    return hits


@pytest.fixture(scope="module")
def text():
    return Text.parse(SMALL)


@pytest.mark.parametrize("vocabulary", [1, 3, 400])
def test_hits_are_those_of_a_reading_token_by_token(vocabulary, rng):
    windows = torch.randint(vocabulary, (7, 41), generator=rng)
    expected = [hits_one_by_one(window) for window in windows.tolist()]
    assert recall_hits(windows).tolist() == expected


def test_looking_up_says_what_followed_the_token_last_time(rng):
    inputs, targets = torch.randint(4, (2, 6, 37), generator=rng)
    for row in range(6):
        last = {}
        for t, (token, target) in enumerate(zip(inputs[row].tolist(), targets[row].tolist(), strict=True)):
            assert bool(looked_up(inputs, targets)[row, t]) == (last.get(token) == target)
            last[token] = target


def test_the_groups_of_a_batch_are_the_hits_of_its_windows(text):
    batch = text.batch(2, "test", 0, 9)
    windows = torch.cat([batch.inputs, batch.targets[:, -1:]], dim=1)
    assert batch.groups.bool().tolist() == [hits_one_by_one(window) for window in windows.tolist()]
    assert set(text.group_names) == set(batch.groups.flatten().tolist()) == {0, 1}


def test_a_hit_that_is_frequent_in_training_does_not_count_where_only_rare_ones_do(text):
    batch = text.batch(2, "test", 0, 400)
    frequency = Counter(pairwise(text.tokeniser.encode(_parts_of(text)["train"]).tolist()))
    pairs = zip(batch.inputs.flatten().tolist(), batch.targets.flatten().tolist(), strict=True)
    frequencies = torch.tensor([frequency[pair] for pair in pairs]).unflatten(0, batch.inputs.shape)
    limit = int(frequencies[batch.groups.bool()].median())  # as frequent a hit as the limit occurs
    rare = Text.parse(SMALL | {"rare_below": limit}).batch(2, "test", 0, 400)
    assert torch.equal(rare.groups, batch.groups * (frequencies < limit))
    assert 0 < rare.groups.sum() < batch.groups.sum()


def _parts_of(task):
    """Text of the three parts, by decoding them."""
    return {split: task.tokeniser.decode(part) for split, part in task._encoded("cpu").parts.items()}


@pytest.mark.parametrize("source", ["docs", "stdlib"])
def test_decoding_gives_back_any_text(source):
    tokeniser = Text.parse(SMALL | {"source": source}).tokeniser
    for sample in ("", STRANGE, read_corpus(source, 200_000)[150_000:]):
        assert tokeniser.decode(tokeniser.encode(sample)) == sample


def merges_one_by_one(pieces, most):
    """The definition: count all pairs anew, join the most frequent one, the smallest among equals."""
    words, merges = [list(piece.encode()) for piece in pieces], []
    while len(merges) < most:
        counts = Counter(pair for word in words for pair in pairwise(word))
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        for word in words:
            place = 0
            while place < len(word) - 1:
                if (word[place], word[place + 1]) == pair:
                    word[place : place + 2] = [256 + len(merges)]
                place += 1
        merges.append(pair)
    return tuple(merges)


def test_a_tokeniser_joins_the_most_frequent_pair_first():
    words = ["banana", "ananas", "aaaa", "aaaaa", "bandana", "nab"]
    pieces = [f" {word}" for word in words for _ in range(2 + len(word) % 3)]
    assert Tokeniser.learn("".join(pieces), 256 + 12).merges == merges_one_by_one(pieces, 12)
    assert Tokeniser.learn(" ab ab cd cd", 257).merges == ((32, 97),), (
        "of equally frequent pairs the smallest"
    )
    assert Tokeniser.learn(" ab ab cd cd", 400).size == 260, "until a word is one token"


def test_every_token_but_the_first_bytes_is_used_and_none_is_longer_than_a_word(text):
    tokens = text.tokeniser.encode(_parts_of(text)["train"])
    assert tokens.max() == text.tokeniser.size - 1 == text.vocabulary - 1
    for piece in text.tokeniser.bytes_of[256:]:
        letters = piece.decode(errors="replace").strip(" \n_")
        assert not any(c.isspace() for c in letters), piece


def test_windows_are_consecutive_tokens_of_their_part(text):
    parts = text._encoded("cpu").parts
    for split in SPLITS:
        batch = text.batch(1, split, 0, 50)
        windows = torch.cat([batch.inputs, batch.targets[:, -1:]], dim=1)
        assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
        assert batch.mask.all()
        everywhere = {tuple(window) for window in parts[split].unfold(0, 25, 1).tolist()}
        assert {tuple(window) for window in windows.tolist()} <= everywhere


@pytest.mark.parametrize("source", ["docs", "stdlib"])
def test_no_paragraph_of_forty_characters_is_in_two_parts(source):
    task = Text.parse(SMALL | {"source": source, "characters": 400_000})
    parts = _parts_of(task)
    assert "".join(parts.values()) == read_corpus(source, 400_000)
    paragraphs = [
        {" ".join(paragraph.split()) for paragraph in part.split("\n\n")} for part in parts.values()
    ]
    long = [{paragraph for paragraph in part if len(paragraph) >= 40} for part in paragraphs]
    assert all(len(part) > 50 for part in long)
    assert all(one.isdisjoint(other) for one, other in combinations(long, 2))


def test_a_repeated_header_is_kept_once_and_short_paragraphs_always_however_many_lines_they_have():
    header = "Copyright the authors; licensed under the terms below."
    one, two = f"{header}\n\nNote:\n\nfirst", f"\n{header.replace(' ', chr(10), 1)}\n\nNote:\n\nsecond\n"
    assert without_repeats([one, two]) == f"{header}\n\nNote:\n\nfirst\n\nNote:\n\nsecond"
    for count, times in ((39, 2), (40, 1)):
        lines = "a" * (count - 20) + "\n" + "b" * 19
        kept = without_repeats([f"{lines}\n\nfirst", f"{lines}\n\nsecond"])
        assert kept.count(lines) == times


def test_an_example_depends_on_seed_split_and_index_alone(text):
    whole, part = text.batch(5, "train", 0, 20), text.batch(5, "train", 13, 4)
    for all_rows, rows in zip(whole, part, strict=True):
        assert torch.equal(all_rows[13:17], rows)
    for seed, split in [(6, "train"), (5, "validation"), (5, "test")]:
        assert not torch.equal(text.batch(seed, split, 13, 4).inputs, part.inputs)


def test_another_length_is_a_longer_window(text):
    batch = text.batch(0, "test", 0, 3, length=50)
    assert batch.inputs.shape == batch.targets.shape == batch.mask.shape == batch.groups.shape == (3, 50)


def test_the_loss_of_equal_outputs_is_the_logarithm_of_the_vocabulary_and_of_a_sure_answer_zero(text):
    batch = text.batch(0, "train", 0, 2)
    outputs = torch.zeros(2, 24, 400, dtype=torch.float64)
    assert float(text.loss(outputs, batch)) == pytest.approx(math.log(400), rel=1e-12)
    assert float(text.loss(outputs.scatter(2, batch.targets[..., None], 1e3), batch)) == 0
    # Each position counts alike: one right answer takes its share away.
    outputs[1, 0, batch.targets[1, 0]] = 1e3
    assert float(text.loss(outputs, batch)) == pytest.approx(math.log(400) * 47 / 48, rel=1e-12)


def test_unigram_cross_entropy_is_the_entropy_of_frequencies_and_guessing_beats_ignorance(text):
    dice = torch.arange(6).repeat(10_000)
    assert unigram_cross_entropy(dice, dice, 6) == pytest.approx(math.log(6), rel=1e-12)
    biased = torch.tensor([0, 0, 0, 1]).repeat(10_000)
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert unigram_cross_entropy(biased, biased, 2) == pytest.approx(expected, abs=1e-4)
    facts = text.facts()
    assert 0.6 * math.log(400) < facts["unigram"] < math.log(400)
    assert 0 < facts["hits_share"] < 0.5
    assert 0.5 < facts["looked_up"] <= 1
    assert 1.5 < facts["bytes_per_token"] < 6


def test_a_known_context_makes_language_easier_to_guess():
    """Sane bigrams: their conditional entropy lies far below the entropy of single tokens."""
    task = Text.parse(SMALL | {"characters": 400_000})
    tokens = task.tokeniser.encode(_parts_of(task)["train"]).tolist()
    single, pairs = Counter(tokens), Counter(pairwise(tokens))

    def entropy(counts):
        total = sum(counts.values())
        return -sum(n / total * math.log(n / total) for n in counts.values())

    assert entropy(pairs) - entropy(single) < 0.8 * entropy(single)


def test_a_text_of_ones_own_is_known_by_its_content(tmp_path):
    path = tmp_path / "own.txt"
    tasks = []
    for word in ("blue", "green"):
        path.write_text("\n".join(f"the {word} house number {i} has {i % 7} doors" for i in range(300)))
        tasks.append(Text(source=path, length=8, vocabulary=300))
    assert tasks[0].digest() != tasks[1].digest()
    # The file has changed under the first task, which is asked only now.
    green = tasks[1].tokeniser.decode(tasks[1].batch(0, "test", 0, 1).inputs[0])
    assert "blue" not in green
    assert tasks[1].facts()["corpus"].startswith("own (")
    same = Text.parse(tasks[1].model_dump(mode="json"))
    assert (same.digest(), same.label) == (tasks[1].digest(), tasks[1].label)


def test_a_corpus_that_ships_with_python_is_the_same_whenever_it_is_read():
    once, again = Text.parse(SMALL), Text.parse(SMALL)
    assert once.content == again.content
    assert once.digest() != Text.parse(SMALL | {"source": "stdlib"}).digest()
    assert read_corpus("docs", 60_000)[:1000] == read_corpus("docs", 1000)


def test_text_that_cannot_be_used_is_refused(tmp_path, text):
    with pytest.raises(ConfigError, match=r"expected 'docs', 'stdlib' or a text file; 'dosc' does not exist"):
        Text.parse({"source": "dosc"})
    path = tmp_path / "latin.txt"
    path.write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(ConfigError, match="expected text in UTF-8"):
        Text.parse({"source": str(path)})
    path.write_text("too short")
    with pytest.raises(ConfigError, match="too few for the length 128"):
        Text.parse({"source": str(path)}).batch(0, "validation", 0, 1)
    with pytest.raises(ConfigError, match="greater than or equal to 256"):
        Text.parse({"vocabulary": 10})


def test_tasks_that_differ_have_labels_that_differ():
    changes = ({}, {"length": 25}, {"rare_below": 3}, {"source": "stdlib"})
    tasks = [Text.parse(SMALL | change) for change in changes]
    assert len({task.label for task in tasks}) == 4
    assert tasks[0].label == "text(length=24, vocabulary=400, characters=60000)"
