"""How time and memory of an op grow with the length; each length in a process of its own.

`python -m benchmarks.ops_growth OP LENGTH DEVICE` measures one: forward and backward, after a short warm-up.
"""

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.ops_inputs import Sizes, arguments
from benchmarks.timing import markdown_table
from recollect.ops import OPS

WARM_UP = 256
BUDGET = 1.0
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**46)}
"""glibc gives large blocks back at once: only long sequences would pay for their pages again and again."""


def growth(names: list[str], lengths: list[int], device: str) -> str:
    """Seconds, MiB above what the process had before, and the slopes of their logarithms."""
    rows = []
    for name in names:
        found = [_in_a_process(name, length, device) for length in lengths]
        seconds, memory = zip(*found, strict=True)
        rows.append([
            name,
            *(f"{t:.2f}" for t in seconds),
            f"{_slope(lengths, seconds):.2f}",
            *(f"{m:.0f}" for m in memory),
            f"{_slope(lengths, memory):.2f}",
        ])  # fmt: skip
        print(f"  {' | '.join(rows[-1])}", flush=True)
    of_time, of_memory = ([f"T={n}, {unit}" for n in lengths] for unit in ("s", "MiB"))
    return markdown_table(["op", *of_time, "slope", *of_memory, "slope"], rows)


def measure(name: str, length: int, device: str) -> tuple[float, float]:
    """Seconds of the fastest call within the budget, and the MiB that the calls took at most."""
    _train(name, WARM_UP, device)
    before = _peak(device)
    times: list[float] = []
    while len(times) < 2 or sum(times) + min(times) < BUDGET:
        times.append(_train(name, length, device))
    return min(times), _peak(device) - before


def _train(name: str, length: int, device: str) -> float:
    inputs = arguments(name, Sizes(length=length), device=device)
    leaves = [x.requires_grad_() for x in inputs.values()]
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    torch.autograd.grad(OPS[name].op(**inputs)[0].square().sum(), leaves, allow_unused=True)
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - started


def _peak(device: str) -> float:
    """MiB, in the device's memory or in that of this process."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    # Not `ru_maxrss`, which starts from the size of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


def _in_a_process(name: str, length: int, device: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.ops_growth", name, str(length), device]
    environment = os.environ | KEEP_MEMORY
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  {name} at T={length}: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return math.nan, math.nan
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def _slope(lengths: list[int], values: tuple[float, ...]) -> float:
    """Of a line through the logarithms, by least squares."""
    x, y = (torch.tensor(v, dtype=torch.float64).log() for v in (lengths, values))
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(*measure(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
