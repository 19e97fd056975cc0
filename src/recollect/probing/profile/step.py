r"""The step difference: a jump of one input that stays, and the growth of its effect.

$$k_a(s) = \frac{E\,[g_{j+s} - g_{j+s-1}]}{a}, \qquad g_t = f_t(x + a 1_{\ge j}) - f_t(x)$$

For a time-invariant linear map that is its memory function. Averages with normalised weights, as softmax
attention makes, answer a constant by that constant however far they look back: they are refused.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from recollect.core import ConfigError
from recollect.probing.maps import SequenceMap
from recollect.probing.profile.backgrounds import backgrounds, check_jump, jump_position
from recollect.probing.profile.estimate import LagEstimate, lag_estimate
from recollect.probing.profile.impulse import rounding_of_differences
from recollect.probing.profile.sample_moments import SampleMoments

_QUANTITY = (
    "growth, from lag to lag, of the effect of a step of {jump:g} deviations of the background from position "
    "{position} on; the memory function of a time-invariant linear map"
)

_UNSEEN = 0.15
"""Share of the impulses' answers below which a step is not seen. Softmax attention shows none of it, and a
tenth where positions are added to its inputs; untrained recurrences and convolutions a quarter and more."""

_SMALL = 0.01


@torch.no_grad()
def step_difference(
    probed: SequenceMap,
    *,
    length: int,
    samples: int = 256,
    seed: int = 0,
    jump: float = 1.0,
    burn_in: int | None = None,
) -> LagEstimate:
    """All lags after a step; lag s is read at position `burn_in + s`.

    Cost: each sample is read once, and once an input channel, over `burn_in + length` positions.

    Args:
        probed: any map that does not average with normalised weights.
        length: number of lags.
        samples: independent backgrounds, at least 4.
        seed: of the backgrounds.
        jump: the step, in standard deviations of the input channel.
        burn_in: positions before it; `length`, or what the map can read, if None.

    Raises:
        ConfigError: softmax averaging; a map that cannot be read so far; an input that does not vary.
        NumericalError: outputs that are not finite.

    Example:
        >>> from recollect.probing.maps import sequence_map
        >>> total = sequence_map(lambda x: x.cumsum(1), input_size=1)
        >>> step_difference(total, length=3, samples=4).values.flatten().round(decimals=4)
        tensor([1., 1., 1.], dtype=torch.float64)
    """
    start = jump_position(probed, length, samples, burn_in)
    check_jump(probed, jump)
    check_steps_are_seen(probed, length)
    sizes = jump * probed.input_scale
    growths, outputs = SampleMoments(), SampleMoments()
    for x in backgrounds(probed, samples, start + length, seed):
        y = probed.apply(x)
        by_channel = [_growth(probed, x, y, start, i, float(a)) for i, a in enumerate(sizes)]
        growths.add(torch.stack(by_channel, dim=-1))
        outputs.add(y[:, -1])
    return lag_estimate(
        probed,
        growths.answer(),
        outputs.variance,
        estimator="step",
        quantity=_QUANTITY.format(jump=jump, position=start),
        position=start + length - 1,
        rounding=rounding_of_differences(probed, outputs, sizes),
        jump=jump,
    )


@torch.no_grad()
def check_steps_are_seen(probed: SequenceMap, length: int) -> None:
    """Whether the answer to a step from the first position on moves as the answers to impulses say.

    Both are read on a background of zeros, at a hundredth of its usual deviation. Of a linear map the step's
    answer moves, from lag 1 on, by exactly what the impulses answer; of normalised averages it does not move.

    Raises:
        ConfigError: the answer stays constant, and impulses at lags from 1 on do not.
    """
    zeros = torch.zeros(1, length, probed.input_size, dtype=probed.dtype, device=probed.device)
    silence = probed.apply(zeros)
    moved = answered = largest = 0.0
    for channel, scale in enumerate(probed.input_scale.tolist()):
        impulse, step = zeros.clone(), zeros.clone()
        impulse[:, 0, channel] = step[:, :, channel] = _SMALL * scale
        after_impulse, after_step = probed.apply(impulse) - silence, probed.apply(step) - silence
        moved += float(after_step.diff(dim=1).abs().sum())
        answered += float(after_impulse[:, 1:].abs().sum())
        largest += float(after_step.abs().amax())
    rounding = length * torch.finfo(probed.dtype).eps * (largest + float(silence.abs().amax()))
    if answered > rounding and moved < _UNSEEN * answered:
        raise ConfigError(
            f"a step says nothing about {probed.name}: from the first position on its answer moves by "
            f"{moved / answered:.1%} of what impulses at lags from 1 on answer. Averages with normalised "
            "weights (softmax attention) answer a constant by that constant, however far they look back. "
            "Take estimator='jacobian', or 'correlation' or 'impulse' for a black box."
        )


def _growth(
    probed: SequenceMap,
    x: Float[Tensor, "B T inputs"],
    y: Float[Tensor, "B T outputs"],
    start: int,
    channel: int,
    size: float,
) -> Float[Tensor, "B lags outputs"]:
    moved = x.clone()
    moved[:, start:, channel] += size
    effect = (probed.apply(moved) - y)[:, start:].double() / size
    return effect.diff(dim=1, prepend=torch.zeros_like(effect[:, :1]))
