"""What two real series need: sunspots from their own past, unemployment from growth."""

import altair as alt
import numpy as np
import pandas as pd
from statsmodels.datasets import macrodata, sunspots

from recollect.diagnosis import diagnose, read_series

spots = sunspots.load_pandas().data[["SUNACTIVITY"]]
economy = macrodata.load_pandas().data
changes = pd.DataFrame(
    {"growth": 100 * np.log(economy["realgdp"]).diff(), "unemployment": economy["unemp"].diff()}
).dropna()

series = {
    "sunspots": read_series(spots, target="SUNACTIVITY"),
    "unemployment": read_series(changes, inputs=["growth"], target="unemployment"),
}
rows = []
for name, data in series.items():
    answer = diagnose(data)
    print(f"{name}\n")
    for sentence in answer.sentences():
        print(f"{sentence}\n")
    found = answer.document()["memory_function"]
    rows += [
        {"series": name, "lag": s, "memory": value, "lower": lower, "upper": upper}
        for s, (value, lower, upper) in enumerate(
            zip(found["values"], found["lower"], found["upper"], strict=True)
        )
    ]

base = alt.Chart().encode(x="lag:Q")
band = base.mark_area(opacity=0.25).encode(y=alt.Y("lower:Q", title="memory function"), y2="upper:Q")
line = base.mark_line(point=True).encode(y="memory:Q")
panels = alt.layer(band, line, data=pd.DataFrame(rows)).properties(width=280, height=200)
panels.facet(column=alt.Column("series:N", title=None)).resolve_scale(x="independent", y="independent").save(
    "series.svg"
)
