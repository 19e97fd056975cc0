"""One space, many layers: compose three choices, and measure how much an association of each age counts."""

import altair as alt
import pandas as pd
import torch

from recollect.core import seeded_initialisation
from recollect.memory import Polynomial
from recollect.regression import (
    ConstantDecay,
    Exact,
    Memory,
    RegressionLayer,
    Sgd,
    Uniform,
    Window,
    diagnose,
)
from recollect.regression.named import CATALOG

DIM, HEADS, LENGTH, FITTED = 32, 2, 1024, 256
AGES = (0, 1, 4, 15, 16, 64, 255, 1023)

rho = Polynomial(alpha=0.6)
power_law = Memory(function=rho, tolerance=1e-3, length=FITTED)
exact = Exact(prior="fixed", ridge=0.1)


def compose(weights=None, optimizer=None):
    """A point of the space, linear in the key; uniform weights and one step unless told otherwise."""
    with seeded_initialisation(0):
        return RegressionLayer(DIM, num_heads=HEADS, weights=weights, optimizer=optimizer).double()


def named(name):
    with seeded_initialisation(0):
        return CATALOG[name](DIM, num_heads=HEADS).double()


def weight_by_age(layer):
    """Derivative of the last answer by the value of each age, where all keys and the query are one vector."""
    x = torch.zeros(1, LENGTH, DIM, dtype=torch.float64)
    a, state = layer.associations(x, layer.initial_state(1))
    same = torch.zeros_like(a.k)
    same[..., 0] = 1
    v = torch.zeros_like(a.v).requires_grad_()
    a = a._replace(q=same, k=same, v=v)
    answers, _ = layer.solver.read(a, layer.constants(x), state.regression, None)
    (jacobian,) = torch.autograd.grad(answers[0, -1, 0, 0], v)
    by_age = jacobian[0, :, 0, 0].flip(0)
    return by_age / by_age[0]


print(compose(power_law, exact).describe())

layers = {
    "linear_attention": named("linear_attention"),
    "retnet, first head": named("retnet"),
    "window of 16": compose(Window(size=16)),
    "power law, one step": compose(power_law),
    "power law, exact": compose(power_law, exact),
    "uniform, one step": compose(),
    "uniform, SGD 0.1": compose(optimizer=Sgd(step=0.1)),
    "the same, momentum 0.7": compose(optimizer=Sgd(step=0.1, momentum=0.7)),
}
weights = {name: weight_by_age(layer) for name, layer in layers.items()}


def row(name, values):
    return f"{name:23s}" + "".join(f"{value:8.4f}" for value in values[list(AGES)].tolist())


print(f"\n{'weight of age':23s}" + "".join(f"{age:8d}" for age in AGES) + "  runs")
for name, layer in layers.items():
    print(row(name, weights[name]), "", layer.describe().runs.split(";")[0].split(":")[0])
print(row("(1 + age)^-0.6", rho.values(LENGTH)), " (formula)")

x = torch.randn(1, 256, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
print("\nexact fits, position 256    count  condition  leverage  residual")
for name, choice in {
    "uniform": Uniform(),
    "decay 0.9": ConstantDecay(decay=0.9),
    "power law": power_law,
}.items():
    found = diagnose(compose(choice, exact), x)
    count, condition, leverage, residual = (
        float(values[0, -1, 0])
        for values in (
            found.effective_sample_size,
            found.condition_number,
            found.leverage,
            found.residual,
        )
    )
    print(f"{name:23s}{count:10.1f}{condition:11.1f}{leverage:10.2f}{residual:10.2f}")


def curves(names, ages, x, y):
    table = pd.DataFrame(
        {"age": age, "1 + age": age + 1, "weight": float(weights[name][age]), "layer": name}
        for name in names
        for age in range(ages)
    )
    color = alt.Color("layer:N", title=None, sort=None, legend=alt.Legend(orient="bottom", columns=2))
    return alt.Chart(table).mark_line(clip=True).encode(x=x, y=y, color=color)


decades = alt.Axis(values=[0, 0.001, 0.01, 0.1, 1, 10, 100, 1000], format="~g")
by_choice = curves(
    list(layers)[:4],
    LENGTH,
    alt.X("1 + age:Q", scale=alt.Scale(type="log", domain=[1, LENGTH], nice=False), axis=decades),
    alt.Y(
        "weight:Q",
        title="weight relative to age 0",
        scale=alt.Scale(type="symlog", constant=1e-3, domain=[0, 1.1], nice=False),
        axis=decades,
    ),
)
formula = pd.DataFrame({"1 + age": range(1, LENGTH + 1), "weight": rho.values(LENGTH).tolist()})
power = alt.Chart(formula).mark_line(color="black", strokeDash=[1, 4]).encode(x="1 + age:Q", y="weight:Q")
until = alt.Chart(pd.DataFrame({"1 + age": [FITTED]})).mark_rule(strokeDash=[4, 4]).encode(x="1 + age:Q")
by_optimizer = curves(list(layers)[5:], 50, alt.X("age:Q"), alt.Y("weight:Q", title=None))
size = {"width": 300, "height": 220}
chart = (by_choice + power + until).properties(**size) | by_optimizer.properties(**size)
chart.resolve_scale(color="independent").save("regression.svg")
