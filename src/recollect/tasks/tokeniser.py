"""Byte-pair encoding: text to tokens and back, without loss.

Sennrich, Haddow, Birch 2016 (arXiv:1508.07909), over bytes: the tokens 0..255 are the bytes, each later
one joins the pair of tokens that is then the most frequent. No pair crosses the border of a word, of a run
of punctuation or of a run of white space.
"""

import heapq
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Int64
from torch import Tensor

Pair = tuple[int, int]

BYTES = 256

# A word with the space before it, a digit, punctuation, and white space up to the space before a word.
_PIECE = re.compile(r" ?_*[^\W\d_]+|\d| ?[^\w\s]+|_+|\s+(?!\S)|\s+")


@dataclass(frozen=True)
class Tokeniser:
    """Merges of pairs of tokens, the first ones first; merge number i makes token 256 + i.

    Example:
        >>> tokeniser = Tokeniser.learn("to be or not to be", vocabulary=258)
        >>> [tokeniser.decode(token[None]) for token in tokeniser.encode("to be")]
        ['t', 'o', ' be']
    """

    merges: tuple[Pair, ...]

    @classmethod
    def learn(cls, text: str, vocabulary: int) -> "Tokeniser":
        """The tokeniser of a text, with at most `vocabulary` tokens: fewer where no pair occurs twice.

        Ties go to the smaller pair, so that equal texts have equal tokens. Cost: about a second for two
        million characters.
        """
        pieces = Counter(_PIECE.findall(text))
        # Half of the words occur once. They hardly move a pair's rank, and learning takes half the time.
        repeated = {piece: count for piece, count in pieces.items() if count > 1}
        words = [list(piece.encode()) for piece in repeated]
        return cls(tuple(_merges(words, list(repeated.values()), vocabulary - BYTES)))

    @property
    def size(self) -> int:
        """Number of tokens."""
        return BYTES + len(self.merges)

    @cached_property
    def ranks(self) -> dict[Pair, int]:
        """The token that a pair becomes."""
        return {pair: BYTES + rank for rank, pair in enumerate(self.merges)}

    def encode(self, text: str) -> Int64[Tensor, " n"]:
        """Tokens of a text. Each distinct word is encoded once."""
        pieces = _PIECE.findall(text)
        encoded = {piece: self._encode_piece(piece) for piece in set(pieces)}
        return torch.tensor([token for piece in pieces for token in encoded[piece]], dtype=torch.int64)

    def decode(self, tokens: Int64[Tensor, " n"]) -> str:
        """The text; a character whose bytes are cut off at an end becomes U+FFFD."""
        return b"".join(self.bytes_of[token] for token in tokens.tolist()).decode(errors="replace")

    @cached_property
    def bytes_of(self) -> list[bytes]:
        """The bytes that each token stands for."""
        table = [bytes([byte]) for byte in range(BYTES)]
        for first, second in self.merges:
            table.append(table[first] + table[second])
        return table

    def _encode_piece(self, piece: str) -> list[int]:
        tokens = list(piece.encode())
        while len(tokens) > 1:
            pair = min(pairwise(tokens), key=lambda pair: self.ranks.get(pair, self.size))
            if pair not in self.ranks:
                break
            tokens = _merged(tokens, pair, self.ranks[pair])
        return tokens


def _merges(words: list[list[int]], counts: list[int], most: int) -> list[Pair]:
    """The most frequent pairs, one after the other, each joined in all words before the next is chosen."""
    total, places = Counter[Pair](), defaultdict[Pair, set[int]](set)
    for place, word in enumerate(words):
        for pair in pairwise(word):
            total[pair] += counts[place]
            places[pair].add(place)
    heap = [(-count, pair) for pair, count in total.items()]
    heapq.heapify(heap)
    merges = list[Pair]()
    while heap and len(merges) < most and heap[0][0] <= -2:
        count, pair = heapq.heappop(heap)
        if -count != total[pair]:
            continue  # a later count has replaced this entry
        changed = set[Pair]()
        for place in places.pop(pair):
            before, after = words[place], _merged(words[place], pair, BYTES + len(merges))
            for old in pairwise(before):
                total[old] -= counts[place]
            for new in pairwise(after):
                total[new] += counts[place]
                places[new].add(place)
            changed.update(pairwise(before), pairwise(after))
            words[place] = after
        merges.append(pair)
        for other in changed:
            heapq.heappush(heap, (-total[other], other))
    return merges


def _merged(tokens: list[int], pair: Pair, new: int) -> list[int]:
    """`tokens` with every occurrence of `pair` replaced by `new`, from left to right."""
    first, second = pair
    merged = list[int]()
    for token in tokens:
        if token == second and merged and merged[-1] == first:
            merged[-1] = new
        else:
            merged.append(token)
    return merged
