"""The papers behind what a report shows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recollect.regression import CATALOG, RegressionLayer
from recollect.studies.record import Record


@dataclass(frozen=True)
class Citation:
    """One paper: a line of text and where to find it."""

    text: str
    url: str


def _arxiv(text: str, identifier: str) -> Citation:
    return Citation(f"{text}, arXiv:{identifier}", f"https://arxiv.org/abs/{identifier}")


ALWAYS = (
    _arxiv("Jiang, Bao, Wang, Li (2025): controllable memory functions", "2506.05678"),
    _arxiv("Wang, Shi, Fox (2025): test-time regression", "2501.12352"),
)

PAPERS = {
    "rnn": Citation(
        "RNN: Elman (1990), Finding structure in time", "https://doi.org/10.1207/s15516709cog1402_1"
    ),
    "lstm": Citation(
        "LSTM: Hochreiter, Schmidhuber (1997), Long short-term memory",
        "https://doi.org/10.1162/neco.1997.9.8.1735",
    ),
    "gru": _arxiv("GRU: Cho et al. (2014)", "1406.1078"),
    "tcn": _arxiv("TCN: Bai, Kolter, Koltun (2018)", "1803.01271"),
    "ssm": _arxiv("S4: Gu, Goel, Ré (2022)", "2111.00396"),
    "s4d": _arxiv("S4D: Gu, Gupta, Goel, Ré (2022)", "2206.11893"),
    "stable": _arxiv("StableSSM: Wang, Li (2024)", "2311.14495"),
    "lru": _arxiv("LRU: Orvieto et al. (2023)", "2303.06349"),
    "gated_conv": _arxiv("BaseConv and MQAR: Arora, Eyuboglu et al. (2023)", "2312.04927"),
    "attention": _arxiv("Transformer: Vaswani et al. (2017)", "1706.03762"),
    "rope": _arxiv("RoPE: Su et al. (2021)", "2104.09864"),
    "alibi": _arxiv("ALiBi: Press, Smith, Lewis (2022)", "2108.12409"),
}
"""By the word in a model's config that names the mixer or the choice of an option."""

TASK_PAPERS = {
    "mqar": _arxiv("Multi-query associative recall: Arora, Eyuboglu et al. (2023)", "2312.04927"),
    "mixture": _arxiv("Recall against state size: Arora, Eyuboglu et al. (2024)", "2402.18668"),
    "mad": _arxiv("Mechanistic architecture design: Poli et al. (2024)", "2403.17844"),
    "text": _arxiv("Recall hits in language: Arora, Eyuboglu et al. (2023)", "2312.04927"),
    "smoothing": _arxiv("Local linear attention: Zuo et al. (2025)", "2510.01450"),
}
"""By the kind of a task, or the benchmark that it belongs to."""

DIM = 32
"""Width at which a named layer is built to ask for its paper."""


def citations(records: Sequence[Record]) -> list[Citation]:
    """The two papers this package joins, then those of the mixers that `records` contain."""
    words = {word for record in records for word in _words(record.config.get("model"))}
    papers = [paper for name, paper in PAPERS.items() if name in words]
    kinds = {record.facts.get("benchmark", record.facts.get("kind")) for record in records}
    papers += [paper for kind, paper in TASK_PAPERS.items() if kind in kinds]
    layers = [_of_layer(build(DIM)) for name, build in CATALOG.items() if name in words - set(PAPERS)]
    return list(dict.fromkeys([*ALWAYS, *papers, *(paper for paper in layers if paper is not None)]))


def _of_layer(layer: RegressionLayer) -> Citation | None:
    """The paper that a named layer says it is from."""
    found = re.search(r"arXiv:([\d.]+\d)", layer.citation or "")
    return (
        None
        if found is None
        else Citation(f"{layer.title}: {layer.citation}", f"https://arxiv.org/abs/{found[1]}")
    )


def _words(value: Any) -> Iterator[str]:
    """Every string in nested plain data, in lower case, without a class path around it."""
    if isinstance(value, str):
        yield re.split(r"[.:]", value)[-1].lower()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _words(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _words(inner)
