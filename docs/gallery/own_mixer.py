"""Your own mixer beside the known ones.

A torch module with `__init__(dim)` and `forward` is enough. On the command line the same is
`recollect run study.yaml --model my_module:LeakyAverage`, from the directory that holds the module.
"""

import sys

import torch
from torch import nn

from recollect.report import results
from recollect.studies import SerialExecutor, Store, Study, run_study


class LeakyAverage(nn.Module):
    """Each channel keeps `h <- a h + (1 - a) x`, with a learned per channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.linspace(-1, 3, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, h, outputs = self.logit.sigmoid(), torch.zeros_like(x[:, 0]), []
        for x_t in x.unbind(dim=1):
            h = a * h + (1 - a) * x_t
            outputs.append(h)
        return torch.stack(outputs, dim=1)


# A script has no import path of its own; a module `my_module.py` would be named directly.
sys.modules["my_module"] = sys.modules[__name__]

study = Study.parse({
    "name": "own-mixer",
    "tasks": [{"memory": {"family": "exponential", "alpha": 0.2}, "length": 16},
              {"memory": {"family": "impulse", "alpha": 5}, "length": 16}],
    "models": [{"mixer": "my_module:LeakyAverage", "dim": 16}, {"mixer": "s4d", "dim": 16}],
    "training": {"steps": 200, "learning_rate": 0.02, "test_examples": 500},
})  # fmt: skip
with Store("sqlite://") as store:
    for result in results(run_study(study, store, SerialExecutor())):
        print(f"{result.task:40s} {result.model:14s} NMSE {result.nmse:.4f}")
