"""Timing and reporting shared by the benchmarks."""

import gc
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import torch

from recollect.studies.environment import environment

RESULTS = Path(__file__).parent / "results"


def seconds(function: Callable[[], object], *, repeats: int = 7, warmups: int = 1) -> float:
    """Median wall time of a call."""
    for _ in range(warmups):
        function()
    times = []
    gc.collect()
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return median(times)


def forward_backward(
    function: Callable[[], torch.Tensor], leaves: list[torch.Tensor]
) -> Callable[[], object]:
    """One training step's worth of work: the output and the gradient of its sum of squares."""
    return lambda: torch.autograd.grad(function().square().sum(), leaves)


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def save(name: str, text: str) -> Path:
    """Keep a result with date, hardware and versions."""
    facts = environment()
    date = datetime.now(UTC).date().isoformat()
    machine = "gpu" if facts["gpu"] else f"cpu-{platform.machine()}"
    path = RESULTS / f"{name}_{machine}_{date}.md"
    head = f"# {name}, {date}\n\n" + ", ".join(f"{k} {v}" for k, v in facts.items())
    path.write_text(f"{head}, {torch.get_num_threads()} thread(s)\n\n{text}\n", encoding="utf-8")
    return path
