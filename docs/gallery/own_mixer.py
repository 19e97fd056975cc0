"""Your own mixer beside a known one."""

import torch
from torch import nn

from recollect.report import results
from recollect.studies import SerialExecutor, Store, Study, run_study


class LeakyAverage(nn.Module):
    """Each channel keeps `h <- a h + (1 - a) x`, with an `a` of its own that is learned."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.linspace(-1, 3, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.logit.sigmoid()
        h, outputs = torch.zeros_like(x[:, 0]), []
        for x_t in x.unbind(dim=1):
            h = a * h + (1 - a) * x_t
            outputs.append(h)
        return torch.stack(outputs, dim=1)


STUDY = {
    "name": "own-mixer",
    "tasks": [
        {"memory": {"family": "exponential", "alpha": 0.2}, "length": 16},
        {"memory": {"family": "impulse", "alpha": 5}, "length": 16},
    ],
    "models": [
        {"mixer": "own_mixer:LeakyAverage", "dim": 16},  # this file is own_mixer.py
        {"mixer": "s4d", "dim": 16},
    ],
    "training": {"steps": 300, "learning_rate": 0.02, "test_examples": 500},
}

if __name__ == "__main__":
    with Store("sqlite://") as store:
        for result in results(run_study(Study.parse(STUDY), store, SerialExecutor())):
            print(f"{result.task:35s}{result.model:14s} NMSE {result.value:.4f} {result.note}".rstrip())
