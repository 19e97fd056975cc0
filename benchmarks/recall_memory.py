"""Time of the first call and memory at the peak, each in a process of its own.

`python -m benchmarks.recall_memory generation FILLERS DEVICE` draws 100,000 examples;
`python -m benchmarks.recall_memory training LOSS DEVICE` takes three training steps.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.recall_cases import ATTENTION, BATCH, recall, trainee
from recollect.tasks import stream

EXAMPLES = 100_000


class Cost(NamedTuple):
    """Seconds on the wall and of the processor, and MiB above what the process held before."""

    wall: float
    cpu: float
    memory: float


def in_a_process(what: str, which: str, device: str) -> Cost:
    """The cost of one case in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.recall_memory", what, which, device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return Cost(*map(float, done.stdout.split()))


def generation(fillers: str, device: str) -> Callable[[], object]:
    """Draw all examples at once."""
    task = recall(fillers)
    return lambda: task.batch(0, "train", 0, EXAMPLES, device=device)


def training(which: str, device: str) -> Callable[[], object]:
    """Three steps, so that the memory of one is used again by the next."""
    task = recall()
    step = trainee(task, ATTENTION, device).step(which, stream(task, 0, "train", BATCH, device=device))
    return lambda: [step() for _ in range(3)]


def _measured(function: Callable[[], object], device: str) -> Cost:
    before = _memory("VmRSS", device)
    wall, cpu = time.perf_counter(), time.process_time()
    kept = function()
    if device != "cpu":
        torch.cuda.synchronize()
    cost = time.perf_counter() - wall, time.process_time() - cpu
    del kept
    return Cost(*cost, _memory("VmHWM", device) - before)


def _memory(field: str, device: str) -> float:
    """MiB of the device, or of this process: held now (`VmRSS`), or at most so far (`VmHWM`)."""
    if device != "cpu":
        held = torch.cuda.memory_allocated if field == "VmRSS" else torch.cuda.max_memory_allocated
        return held() / 2**20
    # Not `ru_maxrss`, which starts from the size of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) / 2**10


def main() -> None:
    """Print wall seconds, processor seconds and MiB."""
    what, which, device = sys.argv[1:]
    torch.set_num_threads(1)
    case = {"generation": generation, "training": training}[what]
    print(*_measured(case(which, device), device))


if __name__ == "__main__":
    main()
