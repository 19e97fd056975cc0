r"""Language: the next token of a text, with the tokens apart that the context has already spelt out.

A token is a *recall hit* where the pair (token before it, token) has occurred earlier in the same window:
whoever looks up what followed last time can know it. Arora et al. 2023 (arXiv:2312.04927) find most of the
difference between attention and other layers in such tokens, and count only pairs that are rare in the
training text, since a frequent pair is known by heart (`rare_below`; a limit for their ten billion tokens
says nothing about another corpus, so there is none by default).
"""

import hashlib
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from recollect.core import ConfigError, derive_seed, integers
from recollect.core.shapes import Indices, Labels, Tokens
from recollect.tasks.base import SPLITS, Batch, Split
from recollect.tasks.corpora import SHIPPED, read_corpus
from recollect.tasks.labels import label_kind, label_of
from recollect.tasks.tokeniser import BYTES, Tokeniser
from recollect.tasks.tokens import TokenTask

_BORDERS = (0.0, 0.8, 0.9, 1.0)
_FACTS_FROM = 256


class Text(TokenTask):
    r"""Predict each next token of a window of text; perplexity by kind of token.

    The first 80 % of the text are the training part, the next 10 % validation, the last 10 % test, and no
    paragraph of 40 characters or more is in two of them (`read_corpus`); shorter ones, `Example:` or two
    lines of code, can be. Vocabulary and frequencies come from the training part alone. Windows start
    anywhere in their part, so that many windows overlap; those of two splits never do. `content`, the hash
    of the text, is part of a run's identity: the text differs between versions of Python.

    Attributes:
        source: `docs` (documentation and docstrings of Python), `stdlib` (its sources), or a text file.
        length: T, tokens read; each is asked to name the one after it.
        vocabulary: largest number of tokens; 256 are the bytes, the others are learned.
        characters: how much of the text is used.
        rare_below: a hit counts only if its pair occurs fewer times than this in the training part.

    Cost: one to two seconds for the first batch of a process (2 million characters), then O(T log T) an
    example.

    Example:
        >>> task = Text(length=16, vocabulary=300, characters=20_000)
        >>> batch = task.batch(seed=0, split="train", start=0, count=2)
        >>> torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
        True
        >>> task.tokeniser.decode(task.tokeniser.encode("a = 1"))
        'a = 1'
    """

    criterion: ClassVar[str] = "cross_entropy"
    asks_everywhere: ClassVar[bool] = True
    grouped_by: ClassVar[str | None] = "kind of token"
    group_names: ClassVar[dict[int, str]] = {0: "rest", 1: "hit"}

    kind: Literal["text"] = "text"
    source: Literal["docs", "stdlib"] | Path = "docs"
    length: PositiveInt = 128
    vocabulary: int = Field(default=2048, ge=BYTES)
    characters: PositiveInt = 2_000_000
    rare_below: PositiveInt | None = None
    content: str = ""

    @model_validator(mode="after")
    def _readable(self) -> "Text":
        if self.source not in SHIPPED and not Path(self.source).is_file():
            raise ValueError(f"expected 'docs', 'stdlib' or a text file; {str(self.source)!r} does not exist")
        # Part of a run's identity: another text under the same name is another task.
        text = read_corpus(self.source, self.characters)
        object.__setattr__(self, "content", hashlib.sha256(text.encode()).hexdigest())
        return self

    @property
    def vocabulary_size(self) -> int:
        return self.vocabulary

    @property
    def label(self) -> str:
        """The kind, and whatever differs from the default."""
        return label_of(self, "content")

    @property
    def tokeniser(self) -> Tokeniser:
        """What turns text into tokens and back."""
        return self._encoded("cpu").tokeniser

    def facts(self) -> dict[str, Any]:
        """The corpus, the share of hits in the test windows, and what simple readers would reach.

        `unigram` is the cross-entropy, in nats a token, of the test part under the frequencies of the
        training part; `looked_up` is the share of hits that a reader gets right who always says what followed
        the token last time; `bytes_per_token` turns nats a token into bits a byte.
        """
        encoded = self._encoded("cpu")
        test = encoded.parts["test"]
        batch = self.batch(0, "test", 0, _FACTS_FROM)
        hits = torch.zeros_like(batch.mask) if batch.groups is None else batch.groups == 1
        found = looked_up(batch.inputs, batch.targets)[hits]
        shipped = self.source in SHIPPED
        return {
            "kind": label_kind(self),
            "length": self.length,
            "vocabulary": encoded.tokeniser.size,
            "corpus": str(self.source) if shipped else f"{Path(self.source).stem} ({self.content[:6]})",
            "tokens": sum(len(part) for part in encoded.parts.values()),
            "bytes_per_token": len(encoded.tokeniser.decode(test).encode()) / len(test),
            "hits_share": float(hits.double().mean()),
            "looked_up": float(found.double().mean()) if len(found) else None,
            "unigram": unigram_cross_entropy(encoded.parts["train"], test, self.vocabulary),
        }

    def draw(self, seed: int, split: Split, indices: Indices, length: int, dtype: torch.dtype) -> Batch:
        encoded = self._encoded(str(indices.device))
        part = encoded.parts[split]
        if len(part) <= length:
            raise ConfigError(
                f"{self.label}: its {split} part has {len(part)} tokens, too few for the length {length}; "
                f"give a longer text or a smaller `length`."
            )
        first = integers(derive_seed(seed, "text-windows", split), indices, 1, len(part) - length)
        windows = part[first + torch.arange(length + 1, device=indices.device)]
        hits = recall_hits(windows)
        if self.rare_below is not None:
            hits &= encoded.frequency(windows) < self.rare_below
        mask = torch.ones(len(indices), length, dtype=torch.bool, device=indices.device)
        return Batch(windows[:, :-1], windows[:, 1:], mask, hits.long())

    def loss(self, outputs: Float[Tensor, "B T outputs"], batch: Batch) -> Float[Tensor, ""]:
        """Cross-entropy, in nats, averaged over all positions."""
        return torch.nn.functional.cross_entropy(outputs.flatten(0, 1), batch.targets.flatten())

    def _encoded(self, device: str) -> "_Encoded":
        return _encode(str(self.source), self.content, self.characters, self.vocabulary, device)


def recall_hits(windows: Int64[Tensor, "B n"]) -> Bool[Tensor, "B n-1"]:
    """Whether the pair that ends at each token but the first has occurred earlier in the window.

    Example:
        >>> recall_hits(torch.tensor([[5, 7, 1, 5, 7, 2]]))
        tensor([[False, False, False,  True, False]])
    """
    # A stable sort puts equal pairs side by side, the earliest first: the others are hits.
    ordered, order = _pairs(windows).sort(dim=1, stable=True)
    repeats = torch.zeros_like(ordered, dtype=torch.bool)
    repeats[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.empty_like(repeats).scatter_(1, order, repeats)


def looked_up(inputs: Tokens, targets: Labels) -> Bool[Tensor, "B T"]:
    """Whether each target is what followed the last earlier occurrence of the token before it.

    Example:
        >>> inputs, targets = torch.tensor([[5, 7, 5, 8, 5]]), torch.tensor([[7, 5, 8, 5, 8]])
        >>> looked_up(inputs, targets)
        tensor([[False, False, False, False,  True]])
    """
    # A stable sort by token puts each occurrence behind the one before it.
    ordered, order = inputs.sort(dim=1, stable=True)
    follows = targets.gather(1, order)
    right = torch.zeros_like(ordered, dtype=torch.bool)
    right[:, 1:] = (ordered[:, 1:] == ordered[:, :-1]) & (follows[:, 1:] == follows[:, :-1])
    return torch.empty_like(right).scatter_(1, order, right)


def unigram_cross_entropy(
    train: Int64[Tensor, " train"], test: Int64[Tensor, " test"], vocabulary: int
) -> float:
    """Nats a token of `test` under the frequencies of `train`, every token counted once more than it occurs.

    Example:
        >>> coin = torch.tensor([0, 1] * 500)
        >>> round(unigram_cross_entropy(coin, coin, vocabulary=2) / math.log(2), 6)
        1.0
    """
    counts = torch.bincount(train, minlength=vocabulary).double() + 1
    return math.log(counts.sum()) - float(counts.log()[test].mean())


@dataclass(frozen=True)
class _Encoded:
    """A text as tokens, and how often each pair of neighbours occurs in its training part."""

    tokeniser: Tokeniser
    parts: dict[Split, Int64[Tensor, " n"]]
    pairs: Int64[Tensor, " pairs"]
    counts: Int64[Tensor, " pairs"]

    def frequency(self, windows: Int64[Tensor, "B n"]) -> Int64[Tensor, "B n-1"]:
        """How often each pair of neighbours of a window occurs in the training part."""
        wanted = _pairs(windows)
        place = torch.searchsorted(self.pairs, wanted).clamp_(max=len(self.pairs) - 1)
        return torch.where(self.pairs[place] == wanted, self.counts[place], 0)


@lru_cache(maxsize=8)
def _encode(source: str, content: str, characters: int, vocabulary: int, device: str) -> _Encoded:
    """`content` is there for the cache: a file that changes is read again."""
    if device != "cpu":
        there = _encode(source, content, characters, vocabulary, "cpu")
        parts = {split: part.to(device) for split, part in there.parts.items()}
        return replace(there, parts=parts, pairs=there.pairs.to(device), counts=there.counts.to(device))
    text = read_corpus(source, characters)
    borders = [_line_end(text, share) for share in _BORDERS]
    texts = {split: text[borders[i] : borders[i + 1]] for i, split in enumerate(SPLITS)}
    tokeniser = Tokeniser.learn(texts["train"], vocabulary)
    parts: dict[Split, Tensor] = {split: tokeniser.encode(texts[split]) for split in SPLITS}
    pairs, counts = _pairs(parts["train"][None]).unique(return_counts=True)
    return _Encoded(tokeniser, parts, pairs, counts)


def _line_end(text: str, share: float) -> int:
    """Where the line ends in which that share of the text lies."""
    place = int(share * len(text))
    end = text.find("\n", place) if 0 < place < len(text) else place
    return place if end < 0 else end


def _pairs(windows: Int64[Tensor, "B n"]) -> Int64[Tensor, "B n-1"]:
    """One number for each pair of neighbours: tokens are below 2^31."""
    return (windows[:, :-1] << 31) | windows[:, 1:]
