"""Numbers as a record holds them: plain JSON, which has no word for NaN or infinity."""

import math


def finite(value: float) -> float | None:
    """The value, None where it is not finite.

    Example:
        >>> finite(0.5), finite(float("nan"))
        (0.5, None)
    """
    return value if math.isfinite(value) else None


def rounded(value: float) -> float | None:
    """Six significant digits: more than any chart shows, and a third of the bytes. None if not finite.

    Example:
        >>> rounded(1 / 3)
        0.333333
    """
    return finite(float(f"{value:.6g}"))
