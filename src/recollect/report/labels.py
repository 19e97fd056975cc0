"""Names that stand side by side: their order, and what tells them apart."""

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise


def distinguishing(tasks: Sequence[str]) -> dict[str, str]:
    """By label, the part of it that not all the others share.

    Example:
        >>> distinguishing(["mqar(length=64, num_pairs=4)", "mqar(length=64, num_pairs=8)"])
        {'mqar(length=64, num_pairs=4)': 'num_pairs=4', 'mqar(length=64, num_pairs=8)': 'num_pairs=8'}
    """
    parts = {task: _parts(task) for task in tasks}
    shared = set.intersection(*map(set, parts.values())) if len(parts) > 1 else set()
    names = {task: ", ".join(p for p in own if p not in shared) for task, own in parts.items()}
    # What differs from the others by having only their common part is the plain one of them.
    return {task: name or parts[task][0] for task, name in names.items()}


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once, by the alphabet, numbers in them by their size.

    Example:
        >>> in_order(["rls 16", "gru", "rls 8"])
        ['gru', 'rls 8', 'rls 16']
    """
    return sorted(set(names), key=lambda name: [_rank(part) for part in re.split(r"(\d+)", name)])


def _rank(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdecimal() else (-1, part)


def _parts(task: str) -> list[str]:
    """The kind of a task and its options, each of them whole.

    Example:
        >>> _parts("impulse(alpha=16), mixing=((1.0, 0.5),), noise=0.1")
        ['impulse', 'alpha=16', 'mixing=((1.0, 0.5),)', 'noise=0.1']
        >>> _parts("impulse(alpha=3) + airy(alpha=7), channels=2")
        ['impulse(alpha=3) + airy(alpha=7)', 'channels=2']
    """
    first, *options = _split(task)
    kind, bracket, inside = first.partition("(")
    closes_last = inside.endswith(")") and min(_depths(bracket + inside[:-1])) > 0
    if kind.isidentifier() and closes_last:
        return [kind, *_split(inside[:-1]), *options]
    return [first, *options]


def _split(text: str) -> list[str]:
    """What stands between the commas that are in no bracket."""
    commas = [i for i, depth in enumerate(_depths(text)) if text[i] == "," and depth <= 0]
    parts = [text[start + 1 : end].strip() for start, end in pairwise([-1, *commas, len(text)])]
    return [part for part in parts if part]


def _depths(text: str) -> list[int]:
    """The number of brackets that are open behind each letter."""
    return list(accumulate((letter in "([{") - (letter in ")]}") for letter in text))
