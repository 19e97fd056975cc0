"""Tokens to vectors."""

import torch
from torch import nn

from recollect.core.shapes import Sequence, Tokens


class TokenEmbedding(nn.Module):
    r"""The rows of a table at the tokens; several tokens at one position are added.

    Starts at standard deviation $1/\sqrt D$, rows of norm about 1: as the matrix of a tied decoder it then
    gives logits of order 1.

    Args:
        vocabulary_size: number of tokens.
        dim: width `D`.

    Example:
        >>> TokenEmbedding(10, 4)(torch.zeros(2, 5, dtype=torch.int64)).shape
        torch.Size([2, 5, 4])
    """

    def __init__(self, vocabulary_size: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocabulary_size, dim) / dim**0.5)

    def forward(self, tokens: Tokens) -> Sequence:
        """Embeddings of `(B, T)` tokens; of `(B, T, slots)` they are added over the slots."""
        embedded = nn.functional.embedding(tokens, self.weight)
        return embedded if tokens.ndim == 2 else embedded.sum(-2)
