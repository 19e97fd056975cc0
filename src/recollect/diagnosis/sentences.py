"""The answer of a diagnosis in three sentences: what is remembered, what is explained, what suffices."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]

_TITLES = {
    "lru": "LRU",
    "real_ssm": "real-pole SSM",
    "tcn": "TCN",
    "linear_tcn": "linear TCN",
    "alibi": "ALiBi",
    "attention": "attention",
    "rnn": "RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "mamba2": "Mamba-2",
    "gated_deltanet": "Gated DeltaNet",
}
_THIRD = math.log(3)
_SIGNIFICANT = 0.05
_WORTH_A_WORD = 0.001
_NEXT_TO_NOTHING = 0.01
_SPOKEN_WITH_A_VOWEL = set("AEFHILMNORSX")
"""Capital letters whose names begin with a vowel, as in `an LRU`."""


def three_sentences(facts: Facts) -> tuple[str, str, str]:
    """From the facts of a diagnosis, as its document holds them."""
    return remembered(facts), explained(facts), sufficient(facts)


def family_title(family: str) -> str:
    """A family's name as it is written in text."""
    return _TITLES.get(family, family)


def remembered(facts: Facts) -> str:
    """What the target remembers, over how many lags, and how that decays."""
    series = facts["series"]
    target, inputs = series["target"], "its own past" if series["autonomous"] else listed(series["inputs"])
    opening = f"Predicted one step ahead from its own past, {target}" if series["autonomous"] else target
    if not facts["memory_found"]:
        return (
            f"{opening} shows no linear memory of {inputs}: from the last {counted(facts['lags'], 'lag')} it "
            f"is predicted no better than by its mean."
        )
    horizon = facts["horizon"]
    lower, upper = horizon["h95_interval"]
    band = f" ({percent(facts['confidence'])} interval {lower:g} to {upper:g})" if upper else ""
    step = f" of one {series['step']}" if _is_word(series["step"]) else ""
    what = "" if series["autonomous"] else f" {_used(facts)} over"
    delay = f" after a delay of {facts['delay']}" if facts["delay"] else ""
    return (
        f"{opening} remembers{what} {counted(horizon['h95'], 'lag')}{step}{band}{delay}: {_energy(horizon)}, "
        f"and its memory function {_decay(facts)}."
    )


def explained(facts: Facts) -> str:
    """How much a linear functional explains out of sample, the noise left, and a nonlinear remainder."""
    lower, upper = facts["linear_share_interval"]
    interval = f" ({percent(facts['confidence'])} interval {_share(lower)} to {_share(upper)})"
    return (
        f"A linear functional of the last {counted(facts['lags'], 'lag')} explains "
        f"{_share(facts['linear_share'])} of the variance of {facts['series']['target']} out of sample"
        f"{'' if lower is None else interval}, {_share(facts['noise_nmse'])} is left as noise, and "
        f"{_remainder(facts['remainder'])}."
    )


def sufficient(facts: Facts) -> str:
    """The smallest model that suffices, what is impossible, and what the other families need."""
    if not facts["memory_found"]:
        return (
            "So no architecture is recommended: none that is linear in the past beats the mean, and more "
            "rows, other inputs or a nonlinear relation would have to say more."
        )
    error = number(facts["reached_below"])
    if facts["recommended"] is None:
        return (
            f"None of the families with a theorem was found to reach an NMSE of {error} at the sizes tried."
        )
    best = next(one for one in facts["recommendations"] if one["family"] == facts["recommended"]["family"])
    others = [
        f"{_with_article(one)} with {sized(one)}"
        for one in facts["recommendations"]
        if one["binding"] and one["size"] and one is not best
    ]
    instead = f"; instead of it {listed(others[:3], last='or')} would do" if others else ""
    return (
        f"The smallest model built to reach an NMSE of {error} is {_with_article(best)} with "
        f"{sized(best)} (predicted {number(best['predicted'])}), {_impossible(best)}{instead}."
    )


def sized(one: Facts) -> str:
    """A size with its unit: `1 tap`, `4 real states`."""
    return f"{one['size']} {one['unit'].removesuffix('s') if one['size'] == 1 else one['unit']}"


def counted(count: float, noun: str) -> str:
    """A number of things: `1 lag`, `7 lags`."""
    return f"{count:g} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names in a row: `a, b and c`."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def percent(share: float) -> str:
    """A share as in `95 %`."""
    return f"{100 * share:g} %"


def number(value: float | None) -> str:
    """Three digits; a dash where nothing is known."""
    return "–" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    """With one decimal, with more where that would round a little to nothing, or nearly all to all."""
    if value is None:
        return "an unknown share"
    hundredths = 100 * value
    if 0 < hundredths < 0.1:
        return f"{hundredths:.2g} %"
    if 99.9 < hundredths < 100:
        return f"{100 - float(f'{100 - hundredths:.2g}'):.6g} %"
    return f"{round(hundredths, 1) + 0.0:.1f} %"


def _is_word(step: str | None) -> bool:
    return step is not None and step.replace(" ", "").isalpha()


def _energy(horizon: Facts) -> str:
    if horizon["h95"] == 1:
        return "it holds 95 % of the energy"
    half = "the first" if horizon["h50"] == 1 else f"the first {horizon['h50']}"
    return f"they hold 95 % of the energy, {half} of them half"


def _with_article(one: Facts) -> str:
    title = family_title(one["family"])
    spelled = title[:2].isupper() and title[0] in _SPOKEN_WITH_A_VOWEL
    return f"{'an' if spelled or title[0] in 'aeio' else 'a'} {title}"


def _used(facts: Facts) -> str:
    """The inputs, those that explain next to nothing set apart."""
    names, shares = facts["series"]["inputs"], facts["input_shares"]
    least = _NEXT_TO_NOTHING * max(shares[name] for name in names)
    used = [name for name in names if shares[name] >= least]
    unused = [name for name in names if name not in used]
    return listed(used) + (f" (next to nothing of {listed(unused, last='or')})" if unused else "")


def _decay(facts: Facts) -> str:
    law = facts["decay_law"]
    rate, power = law["exponential"]["value"], law["power"]["value"]
    if law["preferred"] == "exponential" and rate and _THIRD / rate > facts["lags"]:
        return "hardly decays over these lags"
    if law["preferred"] == "exponential" and rate:
        return f"decays exponentially, to a third within {counted(round(_THIRD / rate, 1), 'lag')}"
    if law["preferred"] == "power" and power:
        return f"decays as a power law, (1 + s)^-{power:.2g}"
    if law["preferred"] == "undecided":
        return "decays in a way the data leave open"
    return "follows no simple law of decay"


def _remainder(test: Facts) -> str:
    p_value, share = test["p_value"], test["share"]
    if p_value is None:
        return "a nonlinear remainder could not be tested"
    said = f"p = {p_value:.2g}" if p_value >= 0.001 else "p < 0.001"
    if p_value >= _SIGNIFICANT:
        return f"no nonlinear remainder is found ({said})"
    if not share or share < _WORTH_A_WORD:
        return f"a nonlinear remainder is found ({said}), too weak to predict with"
    return f"a nonlinear remainder is found ({said}) that is worth at least {_share(share)} more"


def _impossible(best: Facts) -> str:
    least = best["impossible_below"]
    if least is None or least <= 1:
        return "and no size is excluded by a theorem" if best["size"] > 1 else "the smallest there is"
    if least == best["size"]:
        return "and none of that family with fewer can"
    return f"and none of that family with fewer than {least} can"
