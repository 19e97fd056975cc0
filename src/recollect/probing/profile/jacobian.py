r"""The mean Jacobian: how much the output moves, on average, with the input s positions ago.

$$k(s) = E\, \frac{\partial y_t}{\partial x_{t-s}}, \qquad \mathrm{rms}(s) = \sqrt{E J_s^2}$$

For white Gaussian input $k$ is the linear memory function $E[y_t x_{t-s}] / s2$ (Stein's identity). On any
other background it is an average local slope.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core import ConfigError
from recollect.probing.maps import SequenceMap
from recollect.probing.profile.backgrounds import backgrounds, check_probe
from recollect.probing.profile.estimate import LagEstimate, lag_estimate
from recollect.probing.profile.sample_moments import SampleMoments

_OF_GAUSSIAN = "mean Jacobian E[dy_t/dx_(t-s)]; for white Gaussian input the linear memory function k1"
_OF_OTHERS = "mean Jacobian E[dy_t/dx_(t-s)]: the average local slope on this background, no regression"


def mean_jacobian(probed: SequenceMap, *, length: int, samples: int = 256, seed: int = 0) -> LagEstimate:
    """All lags of the output at position `length - 1`, from zero state.

    Standard errors are those of a mean over the samples. Where the Jacobian takes rare large values (a cubed
    input), the spread of few samples is too small, and so is the band.

    Cost: each sample is read once, and differentiated once an output.

    Args:
        probed: a differentiable map.
        length: number of lags.
        samples: independent backgrounds, at least 4.
        seed: of the backgrounds.

    Raises:
        ConfigError: a map that cannot be differentiated, or not be read so far.
        NumericalError: gradients that are not finite.

    Example:
        >>> from recollect.probing.maps import sequence_map
        >>> summed = sequence_map(lambda x: x + 2 * x.cumsum(1), input_size=1)
        >>> mean_jacobian(summed, length=3, samples=4).values.flatten()
        tensor([3., 2., 2.], dtype=torch.float64)
    """
    check_probe(probed, length, samples)
    if not probed.differentiable:
        raise _not_differentiable(probed)
    slopes, outputs = SampleMoments(), SampleMoments()
    for x in backgrounds(probed, samples, length, seed):
        jacobian, y = _last_jacobian(probed, x)
        slopes.add(jacobian)
        outputs.add(y)
    return lag_estimate(
        probed,
        slopes.answer(),
        outputs.variance,
        estimator="jacobian",
        quantity=_OF_GAUSSIAN if probed.is_white_gaussian else _OF_OTHERS,
        position=length - 1,
    )


def _last_jacobian(
    probed: SequenceMap, x: Float[Tensor, "B T inputs"]
) -> tuple[Float[Tensor, "B T outputs inputs"], Float[Tensor, "B outputs"]]:
    """Of the last output, by lag. Sequences do not see one another, so their sum is differentiated."""
    with torch.enable_grad(), _differentiable_kernels(probed.device):
        x = x.detach().requires_grad_()
        y = probed.apply(x)[:, -1]
        if not y.requires_grad:
            raise _not_differentiable(probed)
        slopes = [
            torch.autograd.grad(channel.sum(), x, retain_graph=True, materialize_grads=True)[0]
            for channel in y.unbind(-1)
        ]
    return torch.stack(slopes, dim=2).flip(1), y.detach()


@contextmanager
def _differentiable_kernels(device: torch.device) -> Iterator[None]:
    """cuDNN's recurrences have no gradient outside training mode; PyTorch's own have."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=False):
        yield


def _not_differentiable(probed: SequenceMap) -> ConfigError:
    remain = "'correlation', 'impulse' or 'step'" if probed.is_white_gaussian else "'impulse' or 'step'"
    return ConfigError(
        f"{probed.name} gives no gradient with respect to its inputs, which a mean Jacobian needs: take "
        f"estimator={remain}, which only read outputs."
    )
