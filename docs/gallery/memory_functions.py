"""Four memory functions at equal reach."""

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

print(f"{'':29s}   H95  effective taps  sign changes  Hankel rank")
rows = []
for memory in functions:
    rho = memory.values(LENGTH, normalisation="l2")
    facts = summary(rho)
    print(
        f"{memory.label:29s}{facts.h95:6d}{facts.effective_taps:16.1f}"
        f"{facts.sign_changes:14d}{facts.hankel_rank:13d}"
    )
    rows += [{"lag": s, "rho": value, "memory": memory.label} for s, value in enumerate(rho.tolist())]

panel = (
    alt.Chart(pd.DataFrame(rows))
    .mark_bar(size=3)
    .encode(
        x=alt.X("lag:Q", scale=alt.Scale(domain=[-0.5, 63.5], nice=False)),
        y=alt.Y("rho:Q", title="rho(lag)"),
        color=alt.Color("memory:N", legend=None),
    )
    .properties(width=270, height=120)
)
order = [memory.label for memory in functions]
panel.facet(alt.Facet("memory:N", title=None, sort=order), columns=2).save("memory_functions.svg")
