"""What a model remembers: the whole measurement, from any model to its profile."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from recollect.core import ConfigError, derive_seed, one_of
from recollect.probing.maps import SequenceMap, check_causal, sequence_map, untouched
from recollect.probing.maps.background import Amplitude
from recollect.probing.maps.readout import Readout
from recollect.probing.profile.backgrounds import check_probe
from recollect.probing.profile.correlation import gaussian_correlation
from recollect.probing.profile.estimate import LagEstimate
from recollect.probing.profile.impulse import centred_impulse
from recollect.probing.profile.jacobian import mean_jacobian
from recollect.probing.profile.memory_profile import MemoryProfile
from recollect.probing.profile.part import part_of
from recollect.probing.profile.step import step_difference

ESTIMATORS: dict[str, Callable[..., LagEstimate]] = {
    "jacobian": mean_jacobian,
    "correlation": gaussian_correlation,
    "impulse": centred_impulse,
    "step": step_difference,
}


def memory_of(
    model: Any,
    *,
    estimator: str = "auto",
    length: int = 256,
    samples: int = 256,
    seed: int = 0,
    confidence: float = 0.95,
    amplitude: Amplitude | None = None,
    background: Any = None,
    input_size: int | None = None,
    readout: Readout | None = None,
    module: str | None = None,
    positions: Sequence[int] | None = None,
    jump: float | None = None,
    name: str | None = None,
) -> MemoryProfile:
    r"""The memory function of any causal sequence map, with its confidence band.

    | estimator | quantity | needs |
    |---|---|---|
    | `jacobian` | $E\, \partial y_t / \partial x_{t-s}$ | gradients |
    | `correlation` | $E[y_t x_{t-s}] / s2$ | white Gaussian inputs |
    | `impulse` | $E[f(x + a e) - f(x - a e)] / 2a$ | outputs alone |
    | `step` | growth of $E[f(x + a 1_{\ge j}) - f(x)] / a$ | outputs alone, no softmax averaging |

    On white Gaussian inputs the first two are one quantity, the linear memory function of the risk identity,
    and the third tends to it for small jumps. The model is left as it was (`untouched`), and is read in
    evaluation mode.

    Args:
        model: what `sequence_map` takes: a model, layer, Hugging Face causal language model, function of
            `(B, T, inputs)`, or a `SequenceMap`.
        estimator: one of the table; `auto` is `jacobian` where the map is differentiable, else `correlation`,
            or `impulse` on a background that is not white Gaussian.
        length: number of lags.
        samples: independent random sequences, at least 4.
        seed: of everything that is drawn.
        confidence: of the band, in (0, 1).
        amplitude: standard deviation of the white background, of all channels or each; 1 if None. Take that
            of the data: a map that saturates forgets faster the louder its input.
        background: inputs to read the model on, in place of white Gaussian noise (`sequence_map`).
        input_size: channels of the input, where the model does not say.
        readout: a matrix whose columns combine the outputs that are looked at.
        module: name of a module inside the model, to be probed alone on the inputs it meets there.
        positions: earlier positions at which the same is estimated from zero state, with the lags they
            have. By default `length / 4 - 1` and `length / 2 - 1` for the Jacobian, none for others.
        jump: size of impulse or step in deviations of the background; 1 if None.
        name: of the profile; the model's own if None.

    Raises:
        ConfigError: a map that is not causal, or cannot be read so far; an estimator that does not fit.
        NumericalError: answers that are not finite.

    Cost: see the estimators; of the Jacobian `samples` readings of `length` positions, differentiated once
    an output.

    Example:
        >>> from recollect.models import ModelConfig
        >>> model = ModelConfig(mixer="lru", dim=4).build(1, 1, seed=0).double()
        >>> profile = memory_of(model, length=16, samples=8)
        >>> kernel = model.linear_response(16).kernel.detach()
        >>> profile.estimate.estimator, torch.allclose(profile.estimate.values, kernel)
        ('jacobian', True)
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence={confidence}: expected a share between 0 and 1, such as 0.95.")
    whole = _whole(
        model,
        input_size=input_size,
        background=background,
        amplitude=amplitude,
        readout=readout if module is None else None,
    )
    with untouched(whole):
        probed = whole if module is None else part_of(whole, module, readout)
        chosen = _chosen(estimator, probed)
        earlier = _positions(chosen, positions, length)
        check_probe(probed, length, samples)
        check_causal(probed, length, seed)
        estimate = partial(ESTIMATORS[chosen], probed, samples=samples, **_options(chosen, jump))
        return MemoryProfile(
            estimate=estimate(length=length, seed=seed),
            confidence=confidence,
            by_position={
                position: estimate(
                    length=position + 1,
                    seed=derive_seed(seed, "position", position),
                    **AT_ONE_POSITION[chosen],
                )
                for position in earlier
            },
            name=name or probed.name,
        )


AT_ONE_POSITION: dict[str, dict[str, int]] = {
    "jacobian": {},
    "correlation": {"windows": 1},
    "impulse": {"burn_in": 0},
    "step": {"burn_in": 0},
}
"""How an estimator reads nothing beyond the position that is asked for."""


def _whole(model: Any, **options: Any) -> SequenceMap:
    """The map, with the options that were given; a `SequenceMap` has been given its own."""
    given = [option for option, value in options.items() if value is not None]
    if isinstance(model, SequenceMap) and given:
        raise ConfigError(f"{given[0]} was chosen when the SequenceMap {model.name} was made: give it there.")
    return sequence_map(model, **{option: options[option] for option in given})


def _chosen(estimator: str, probed: SequenceMap) -> str:
    one_of(estimator, ("auto", *ESTIMATORS), "estimator")
    if estimator != "auto":
        return estimator
    if probed.differentiable:
        return "jacobian"
    return "correlation" if probed.is_white_gaussian else "impulse"


def _options(estimator: str, jump: float | None) -> dict[str, float]:
    if jump is None:
        return {}
    if estimator not in ("impulse", "step"):
        raise ConfigError(f"jump={jump} belongs to estimator='impulse' or 'step', not to {estimator!r}.")
    return {"jump": jump}


def _positions(estimator: str, positions: Sequence[int] | None, length: int) -> list[int]:
    if positions is None:
        quarters = {length // 4 - 1, length // 2 - 1} if estimator == "jacobian" else set()
        return sorted(position for position in quarters if position >= 1)
    wrong = [position for position in positions if not 0 <= position < length - 1]
    if wrong:
        raise ConfigError(
            f"positions: got {wrong[0]}, expected positions before the last one, 0 to {length - 2}."
        )
    return sorted(set(positions))
