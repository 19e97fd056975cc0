"""One space, many layers: three choices, and the weight of an association at every age."""

import altair as alt
import pandas as pd
import torch

from recollect import regression as R
from recollect.core import seeded_initialisation
from recollect.memory import Polynomial
from recollect.regression.catalog import CATALOG

DIM, HEADS, LENGTH = 32, 2, 512
AGES = (0, 1, 4, 15, 16, 64, 255, 511)

power_law = Polynomial(alpha=0.6)
memory = R.Memory(function=power_law, tolerance=1e-3, length=256)


def compose(weights=None, optimizer=None):
    """A point of the space, linear in the key."""
    return R.RegressionLayer(DIM, num_heads=HEADS, weights=weights, optimizer=optimizer).double()


def weight_by_age(layer, length):
    """Derivative of the last answer by each value, of age 0 first, where all keys and the query are one vector."""
    a, state = layer.associations(torch.ones(1, length, DIM, dtype=torch.float64), layer.initial_state(1))
    one = torch.zeros_like(a.k)
    one[..., 0] = 1
    v = torch.zeros_like(a.v).requires_grad_()
    answers, _ = layer.solver.read(a._replace(q=one, k=one, v=v), layer.constants(v), state.regression, None)
    (jacobian,) = torch.autograd.grad(answers[0, -1, 0, 0], v)
    by_age = jacobian[0, :, 0, 0].flip(0)
    return by_age / by_age[0]


with seeded_initialisation(0):
    new = compose(memory, R.Exact(prior="fixed", ridge=0.1))
    layers = {
        "linear_attention": CATALOG["linear_attention"](DIM, num_heads=HEADS).double(),
        "retnet, first head": CATALOG["retnet"](DIM, num_heads=HEADS).double(),
        "window of 16": compose(R.Window(size=16)),
        "power law, one step": compose(memory),
        "power law, exact": new,
    }
    x = torch.randn(1, 256, DIM, dtype=torch.float64)

print(new.describe())

print(f"\n{'weight relative to age 0':26s}" + "".join(f"{age:>9d}" for age in AGES) + "   runs")
measured = {name: weight_by_age(layer, LENGTH) for name, layer in layers.items()}
for name, weights in measured.items():
    runs = layers[name].describe().runs.split(";")[0]
    print(f"{name:26s}" + "".join(f"{float(weights[age]):9.4f}" for age in AGES) + f"   {runs}")
rho = power_law.values(LENGTH)
print(f"{'(1 + age)^-0.6':26s}" + "".join(f"{float(rho[age]):9.4f}" for age in AGES))

print(f"\n{'diagnose, last position':26s}{'count':>9s}{'condition':>11s}{'residual':>10s}{'leverage':>10s}")
for name, weights in {
    "uniform": R.Uniform(),
    "decay 0.9": R.ConstantDecay(decay=0.9),
    "power law": memory,
}.items():
    with seeded_initialisation(0):
        found = R.diagnose(compose(weights, R.Exact(prior="fixed", ridge=0.1)), x)
    columns = (found.effective_sample_size, found.condition_number, found.residual, found.leverage)
    print(f"{name:26s}" + "".join(f"{float(c[0, -1, 0]):{w}.2f}" for c, w in zip(columns, (9, 11, 10, 10))))

online = {
    "one step": compose(),
    "a step of 0.1 each": compose(optimizer=R.Sgd(step=0.1)),
    "the same, momentum 0.7": compose(optimizer=R.Sgd(step=0.1, momentum=0.7)),
}


def lines(weights_of, first):
    """Rows of a chart; a weight of 0 has no place on a logarithmic axis."""
    return pd.DataFrame(
        {"age": age + first, "weight": weight, "layer": name}
        for name, weights in weights_of.items()
        for age, weight in enumerate(weights.tolist())
        if not first or weight > 1e-6
    )


def curves(table, x, y):
    color = alt.Color("layer:N", title=None, sort=None, legend=alt.Legend(orient="bottom", columns=1))
    return alt.Chart(table).mark_line().encode(x=x, y=y, color=color).properties(width=300, height=220)


log = alt.Scale(type="log")
by_weights = curves(
    lines({name: w for name, w in measured.items() if name != "power law, exact"}, first=1),
    alt.X("age:Q", title="1 + age", scale=log),
    alt.Y("weight:Q", title="weight relative to age 0", scale=alt.Scale(type="log", domain=[1e-3, 2], clamp=True)),
).properties(title="The regression weights")
by_optimizer = curves(
    lines({name: weight_by_age(layer, 64) for name, layer in online.items()}, first=0),
    alt.X("age:Q"),
    alt.Y("weight:Q", title="weight relative to age 0"),
).properties(title="Uniform weights, three optimizers")
(by_weights | by_optimizer).resolve_scale(color="independent").save("regression.svg")
