"""One model, two ways to run it."""

import torch

from recollect.core import seeded_initialisation
from recollect.models import S4D

B, T, D = 2, 50, 4

with seeded_initialisation(0):
    mixer = S4D(D).double()
    x = torch.randn(B, T, D, dtype=torch.float64)

state = mixer.initial_state(batch_size=B)
streamed = []
for x_t in x.unbind(dim=1):
    y_t, state = mixer.step(x_t, state)
    streamed.append(y_t)
whole = mixer(x)
kernel = mixer.kernel(T)
by_hand = sum(kernel[s] @ x[0, T - 1 - s] for s in range(T))


def verdict(left: torch.Tensor, right: torch.Tensor) -> str:
    return "the same to 1e-12" if torch.allclose(left, right, rtol=0, atol=1e-12) else "different"


print("whole sequence against step by step:", verdict(whole, torch.stack(streamed, dim=1)))
print("whole sequence against its kernel:  ", verdict(whole[0, -1], by_hand))
print(
    f"scalars carried after {T} inputs: {mixer.state_size(T)}; after {100 * T}: {mixer.state_size(100 * T)}"
)
