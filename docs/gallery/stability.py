"""How far a long memory moves when its parameters do, in the worst case and in random directions."""

import altair as alt
import pandas as pd
import torch

from recollect.models import ModelConfig
from recollect.models.parametrisation import from_modulus
from recollect.probing.sensitivity import sensitivity_table
from recollect.probing.stability import stability_curve

MODULI = (0.9, 0.99, 0.999)
RADII = (0.003, 0.01, 0.02, 0.04, 0.1, 0.3)
LENGTH, STATES, SHOWN = 256, 8, (0.01, 0.1, 0.3)

print("squared sensitivity   residue 1                   residue sqrt(1 - q)         tied to the pole")
print(f"{'modulus':20s}" + "".join(f"{at:10g}" for _ in range(3) for at in MODULI))
rows = sensitivity_table(MODULI)
for name in dict.fromkeys(row.parametrisation for row in rows):
    own = [row for row in rows if row.parametrisation == name]
    values = [getattr(row, gain) for gain in ("one", "unit_state", "tied") for row in own]
    print(f"{name:20s}" + "".join(f"{value:10.2g}" for value in values))


def same_system(parametrisation):
    """Eight real poles with memories of 10 to 1,000 positions: one memory function, however it is written."""
    options = {"num_states": STATES, "parametrisation": parametrisation}
    config = ModelConfig(mixer="ssm", options=options, dim=1, bias=False, encoder=False, decoder=False)
    model = config.build(1, 1, seed=0).double()
    poles = 1 - torch.logspace(-1, -3, STATES, dtype=torch.float64)
    mixer = model.mixers[0]
    with torch.no_grad():
        mixer.pole.copy_(from_modulus(poles, parametrisation))
        mixer.system.input_parts.copy_((1 - poles**2).sqrt()[:, None, None])
        mixer.system.output_parts.fill_(STATES**-0.5)
        mixer.system.feedthrough.zero_()
    return model


def measured(label, model, parameters):
    curve = stability_curve(model, LENGTH, RADII, parameters=parameters, num_steps=12)
    columns = {name: getattr(curve, name).tolist() for name in ("linear", "maximised", "sampled")}
    return pd.DataFrame({"radius": curve.radius.tolist(), **columns}).assign(label=label)


tables = [measured(name, same_system(name), "poles") for name in ("direct", "exp", "stable")]
wide = ModelConfig(mixer="ssm", options={"num_states": 32}, dim=8, bias=False).build(1, 1, seed=0)
size = sum(p.numel() for p in wide.parameters())
tables.append(measured("all of a wide model", wide, "all"))

print(f"\n{'relative change':22s}{'radius':>8s}{'linear':>12s}{'maximised':>12s}{'sampled':>12s}")
for table in tables:
    for row in table[table.radius.isin(SHOWN)].itertuples():
        print(f"{row.label:22s}{row.radius:8g}{row.linear:12.2g}{row.maximised:12.2g}{row.sampled:12.2g}")
print(f"\nthe wide model has {size} parameters, and was sampled in 128 directions")

estimates = ["maximised", "linear", "sampled"]
drawn = pd.concat(tables).melt(["radius", "label"], estimates, "estimate", "change")
dash = alt.Scale(domain=estimates, range=[[1, 0], [2, 3], [6, 4]])
color = alt.Scale(domain=estimates, range=["#e45756", "black", "#4c78a8"])
legend = alt.Legend(orient="bottom")
chart = (
    alt.Chart(drawn)
    .mark_line(clip=True)
    .encode(
        x=alt.X(
            "radius:Q",
            title="size of the disturbance",
            scale=alt.Scale(type="log"),
            axis=alt.Axis(format="~g", values=[0.01, 0.1]),
        ),
        y=alt.Y(
            "change:Q",
            title="relative change",
            scale=alt.Scale(type="log", domain=[1e-4, 1e2]),
            axis=alt.Axis(format="~g", values=[0.0001, 0.001, 0.01, 0.1, 1, 10, 100]),
        ),
        strokeDash=alt.StrokeDash("estimate:N", scale=dash, title=None, legend=legend),
        color=alt.Color("estimate:N", scale=color, title=None, legend=legend),
    )
    .properties(width=170, height=200)
)
order = [table.label.iloc[0] for table in tables]
chart.facet(alt.Facet("label:N", title=None, sort=order), columns=2).save("stability.svg")
