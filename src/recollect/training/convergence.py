"""Whether a run had come to rest: when to stop it early, and whether it was cut short."""

import math
from collections.abc import Sequence

_GAIN = 0.99
_STILL_FALLING = 0.95
_NEGLIGIBLE = 5e-3


def has_plateaued(errors: Sequence[float], patience: int | None) -> bool:
    """True when the best of the last `patience` errors is not 1 % below the best before them."""
    if patience is None or len(errors) <= patience:
        return False
    return min(errors[-patience:]) > _GAIN * min(errors[:-patience])


def still_improving(steps: Sequence[int], errors: Sequence[float], budget: int) -> bool:
    """True when the run used its whole budget and its second half still cut the error noticeably.

    Noticeably: by more than 5 %, and by more than 0.005 of the target's power (differences below that do
    not change a verdict). The second half, because under a cosine schedule the last quarter has only
    2.5 % of the summed learning rate (the second half 18 %) and looks at rest whatever the model. Such a
    run is marked 'not converged': its error is what training reached, not what the architecture can.
    """
    earlier = [e for s, e in zip(steps, errors, strict=True) if 0 < s <= 0.5 * budget and math.isfinite(e)]
    last = [e for s, e in zip(steps, errors, strict=True) if s > 0.5 * budget and math.isfinite(e)]
    if not steps or steps[-1] < budget or not earlier or not last:
        return False
    before, after = min(earlier), min(last)
    return after < _STILL_FALLING * before and before - after > _NEGLIGIBLE
