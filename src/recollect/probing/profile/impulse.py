r"""The centred impulse: what a jump of one input does to the outputs after it, on a random background.

$$k_a(s) = E\, \frac{f_{j+s}(x + a e_j) - f_{j+s}(x - a e_j)}{2 a}$$

It tends to the mean Jacobian as $a \to 0$. A large jump out of a quiet background is another thing: it
overstates the memory of a map that saturates, since louder data would have overwritten it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.probing.maps import SequenceMap
from recollect.probing.profile.backgrounds import backgrounds, check_jump, jump_position
from recollect.probing.profile.estimate import LagEstimate, lag_estimate
from recollect.probing.profile.sample_moments import SampleMoments

_QUANTITY = (
    "mean central difference for an impulse of {jump:g} deviations of the background, at position "
    "{position}: what such a jump does; the mean Jacobian for small jumps; overstates the memory of "
    "saturating maps where the jump is large for a quiet background"
)


@torch.no_grad()
def centred_impulse(
    probed: SequenceMap,
    *,
    length: int,
    samples: int = 256,
    seed: int = 0,
    jump: float = 1.0,
    burn_in: int | None = None,
) -> LagEstimate:
    """All lags after an impulse; lag s is read at position `burn_in + s`.

    Cost: each sample is read once, and twice an input channel, over `burn_in + length` positions.

    Args:
        probed: any map.
        length: number of lags.
        samples: independent backgrounds, at least 4.
        seed: of the backgrounds.
        jump: the impulse, in standard deviations of the input channel.
        burn_in: positions before it; `length`, or what the map can read, if None.

    Raises:
        ConfigError: a map that cannot be read so far, or an input that does not vary.
        NumericalError: outputs that are not finite.

    Example:
        >>> from recollect.probing.maps import sequence_map
        >>> total = sequence_map(lambda x: x.cumsum(1), input_size=1)
        >>> centred_impulse(total, length=3, samples=4).values.flatten().round(decimals=4)
        tensor([1., 1., 1.], dtype=torch.float64)
    """
    start = jump_position(probed, length, samples, burn_in)
    check_jump(probed, jump)
    sizes = jump * probed.input_scale
    differences, outputs = SampleMoments(), SampleMoments()
    for x in backgrounds(probed, samples, start + length, seed):
        by_channel = [_difference(probed, x, start, i, float(a)) for i, a in enumerate(sizes)]
        differences.add(torch.stack(by_channel, dim=-1))
        outputs.add(probed.apply(x)[:, -1])
    return lag_estimate(
        probed,
        differences.answer(),
        outputs.variance,
        estimator="impulse",
        quantity=_QUANTITY.format(jump=jump, position=start),
        position=start + length - 1,
        rounding=rounding_of_differences(probed, outputs, sizes),
        jump=jump,
    )


def rounding_of_differences(
    probed: SequenceMap, outputs: SampleMoments, sizes: Float[Tensor, " inputs"]
) -> Float[Tensor, "1 outputs inputs"]:
    """A difference of two outputs has lost the last digit of each, which division by the jump enlarges."""
    size = (outputs.mean.square() + outputs.variance).sqrt()
    return torch.finfo(probed.dtype).eps * size[None, :, None] / sizes.cpu()


def _difference(
    probed: SequenceMap, x: Float[Tensor, "B T inputs"], start: int, channel: int, size: float
) -> Float[Tensor, "B lags outputs"]:
    up, down = x.clone(), x.clone()
    up[:, start, channel] += size
    down[:, start, channel] -= size
    # The jump that was made: the sums above were rounded.
    made = (up - down)[:, start, channel].double()
    return (probed.apply(up) - probed.apply(down))[:, start:].double() / made[:, None, None]
