"""A mixture draws its parts as often as it says, and is tested on each."""

import math

import pytest
import torch
from pydantic import ValidationError

from recollect.tasks.mixture import Mixture
from recollect.tasks.mqar import MQAR

SHORT = MQAR(length=64, num_pairs=4, vocabulary=256)
MEDIUM = MQAR(length=128, num_pairs=8, vocabulary=256)
LONG = MQAR(length=256, num_pairs=64, vocabulary=256)
TASK = Mixture(parts=(SHORT, MEDIUM, LONG), examples=(100, 20, 30), tests=(SHORT, LONG))


def test_parts_are_drawn_in_proportion_to_their_examples():
    drawn = [TASK.part_of(3, "train", step).length for step in range(3000)]
    for part, share in zip(TASK.parts, (100 / 150, 20 / 150, 30 / 150), strict=True):
        deviation = math.sqrt(share * (1 - share) / 3000)
        assert abs(drawn.count(part.length) / 3000 - share) < 4 * deviation


def test_the_part_of_a_step_depends_on_seed_split_and_step_alone():
    def steps(seed, split):
        return [TASK.part_of(seed, split, step).length for step in range(600)]

    forwards = steps(0, "train")
    backwards = [TASK.part_of(0, "train", step).length for step in reversed(range(600))]
    assert forwards == backwards[::-1]
    assert steps(0, "train") != steps(1, "train")
    assert steps(0, "train") != steps(0, "validation")


def test_a_fixed_set_is_shared_out():
    assert [TASK.examples_of(part, 1500) for part in TASK.parts] == [1000, 200, 300]
    assert TASK.examples_of(MEDIUM, 2) == 1


def test_tests_are_the_parts_if_none_are_given():
    assert TASK.test_tasks() == (SHORT, LONG)
    assert Mixture(parts=(SHORT, LONG), examples=(1, 1)).test_tasks() == (SHORT, LONG)
    assert TASK.guess == pytest.approx((1 / 4 + 1 / 64) / 2, rel=1e-12)


def test_what_a_mixture_says_of_itself():
    assert (TASK.length, TASK.vocabulary_size, TASK.input_size) == (256, 256, 256)
    facts = {"kind": "mixture", "length": 256, "num_pairs": 64, "vocabulary": 256, "fillers": "random"}
    assert facts.items() <= TASK.facts().items()
    lengths, pairs = (f"{getattr(SHORT, n)}-{getattr(LONG, n)}" for n in ("length", "num_pairs"))
    label = f"mixture(length={lengths}, num_pairs={pairs}, vocabulary={SHORT.vocabulary})"
    assert Mixture(parts=(SHORT, LONG), examples=(1, 1)).label == label


def test_a_mixture_survives_its_canonical_json():
    again = Mixture.model_validate_json(TASK.canonical_json())
    assert again == TASK
    assert hash(again) == hash(TASK)
    assert again.digest() == TASK.digest()


def test_a_mixture_has_no_batches_of_its_own_but_a_loss():
    with pytest.raises(ValueError, match=r"part_of\(seed, split, step\)"):
        TASK.batch(0, "train", 0, 4)
    batch = SHORT.batch(0, "train", 0, 2)
    assert TASK.loss(torch.zeros(8, 256), batch).item() == pytest.approx(math.log(256))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parts": (), "examples": ()}, r"at least one"),
        ({"parts": (SHORT, LONG), "examples": (1,)}, r"needs 2 numbers, one a part, got 1"),
        ({"parts": (SHORT, SHORT), "examples": (1, 1)}, r"must differ"),
        (
            {"parts": (SHORT, MQAR(length=64, num_pairs=8)), "examples": (1, 1)},
            r"one `vocabulary`.*\[256, 8192\]",
        ),
        (
            {"parts": (SHORT,), "examples": (1,), "tests": (MQAR(length=64, num_pairs=4),)},
            r"one `vocabulary`",
        ),
        ({"parts": (SHORT,), "examples": (0,)}, r"greater than 0"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Mixture(**fields)
