"""Four memory functions at equal reach.

The strength alpha means something else in each family, so it cannot be compared across them. Here
every alpha is set so that 95 % of the energy lies in the first 16 of 64 lags.
"""

import altair as alt
import pandas as pd

from recollect.memory import from_horizon, summary

LENGTH, H95 = 64, 16
functions = [
    from_horizon("exponential", H95, LENGTH),
    from_horizon("polynomial", H95, LENGTH),
    from_horizon("impulse", H95, LENGTH),
    from_horizon("airy", H95, LENGTH, width=2.0),
]

rows = []
for memory in functions:
    taps = memory.values(LENGTH, normalisation="l2")
    facts = summary(taps)
    print(
        f"{memory.label:45s} H95 {facts.h95:3d}  effective taps {facts.effective_taps:5.1f}  "
        f"sign changes {facts.sign_changes:2d}  Hankel rank {facts.hankel_rank:2d}"
    )
    rows += [{"lag": s, "rho": float(v), "family": memory.family} for s, v in enumerate(taps)]

chart = (
    alt.Chart(pd.DataFrame(rows)).mark_line(interpolate="step-after").encode(x="lag", y="rho", color="family")
)
chart.properties(width=560, height=240).save("memory_functions.svg")
