"""Multi-query associative recall drawn one example after the other, as its definition reads.

Three choices without replacement an example: the keys, the values, and the slots of the questions with
probability proportional to `a j^(a-1)` (arXiv:2312.04927). The target stands at the question.
"""

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Tokens, and the token that is asked for at each position, -100 where none is."""


def recall_examples(
    count: int, length: int, num_pairs: int, vocabulary: int, *, power: float, random_fillers: bool, seed: int
) -> Arrays:
    """`count` examples of the plain form: pairs, then each key once more."""
    rng = np.random.default_rng(seed)
    context, half = 2 * num_pairs, vocabulary // 2
    slots = (length - context) // 2
    law = power * np.arange(1, slots + 1) ** (power - 1)
    law /= law.sum()
    inputs = np.zeros((count, length), dtype=np.int64)
    targets = np.full((count, length), -100, dtype=np.int64)
    for tokens, asked in zip(inputs, targets, strict=True):
        keys = 1 + rng.choice(half - 1, num_pairs, replace=False)
        values = half + rng.choice(half, num_pairs, replace=False)
        tokens[0:context:2], tokens[1:context:2] = keys, values
        if random_fillers:
            tokens[context:] = rng.integers(vocabulary, size=length - context)
        places = context + 2 * rng.choice(slots, num_pairs, replace=False, p=law)
        tokens[places], asked[places] = keys, values
    return inputs, targets
