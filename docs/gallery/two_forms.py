"""One model, two ways to run it.

A linear time-invariant mixer trains through its convolution kernel and streams through its
recurrence. Both are the same function, and the kernel is the memory function it has learned.
"""

import torch

from recollect.models import S4D

torch.manual_seed(0)
mixer = S4D(4).double()
x = torch.randn(2, 50, 4, dtype=torch.float64)

state = mixer.initial_state(batch_size=2)
streamed = []
for x_t in x.unbind(dim=1):
    y_t, state = mixer.step(x_t, state)
    streamed.append(y_t)

difference = (mixer(x) - torch.stack(streamed, dim=1)).abs().max()
kernel = mixer.kernel(50)
by_hand = sum(kernel[s] @ x[0, 49 - s] for s in range(50))
print(f"convolution against recurrence: {difference:.1e}")
print(f"kernel against convolution:     {(by_hand - mixer(x)[0, 49]).abs().max():.1e}")
print(f"state: {mixer.state_size(50)} scalars after 50 inputs, {mixer.state_size(5000)} after 5000")
