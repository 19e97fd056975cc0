"""Seeds: derived by name, handed down, never global."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *labels: str | int) -> int:
    """A 64-bit seed for one purpose, e.g. `derive_seed(run_seed, "data", "train")`.

    Distinct labels give streams that share nothing (SHA-256; a collision has probability 2^-64).

    Example:
        >>> derive_seed(0, "train") == derive_seed(0, "test")
        False
    """
    text = "\x1f".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Parameters created inside depend on `seed` alone; the global random state is left as it was.

    `torch.nn` initialises through the global generator and takes no other, and neither does a
    user's module: forking it is the one way to be reproducible without seeding the caller's.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed % 2**63)
        yield
