"""Recall without training: what correlated keys cost three rules of one linear regression, against theory."""

import altair as alt
import pandas as pd

from recollect.probing import measure_capacity
from recollect.probing.capacity_theory import linear_attention_error, scaled_linear_attention_error
from recollect.regression import Exact, OneStep, RegressionLayer, Sgd
from recollect.tasks import CapacityTask, Correlated

DIM, EXPONENTS, SHOWN = 32, (0.0, 0.5, 1.0, 1.5), (0.25, 1.0, 2.0)
LOADS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0, 1.5, 2.0, 3.0)
RULES = {"linear attention": OneStep(), "delta rule": Sgd(), "least squares": Exact(ridge=1e-8)}


def measured(rule, exponent):
    """Capacity, and a row for each load, of a layer of one head that was never trained."""
    keys = Correlated(exponent=exponent)
    task = CapacityTask(keys=keys, key_dim=DIM, value_dim=DIM, loads=LOADS, num_sequences=32, queries=16)
    layer = RegressionLayer(DIM, num_heads=1, optimizer=RULES[rule]).double()
    metrics, series = measure_capacity(layer, task, seed=0, on_progress=lambda step, accuracy: None)
    rows = pd.DataFrame(series["load"]).assign(rule=rule, exponent=f"exponent {exponent:g}")
    rows["theory"] = [theory(rule, task, pairs) for pairs in task.pairs]
    return metrics, rows


def theory(rule, task, pairs):
    """Expected squared error over that of the value, or `None` where no formula is claimed."""
    if rule == "delta rule":
        return None
    if rule == "least squares":
        return max(0.0, 1 - DIM / pairs)
    return linear_attention_error(task.keys.interference(pairs, DIM))


tables, capacities, distances = [], [], []
print("exponent  rule              load     error   s.e.  theory   best gain  accuracy   s.e.")
for exponent in EXPONENTS:
    for rule in RULES:
        metrics, rows = measured(rule, exponent)
        tables.append(rows)
        capacities.append({"exponent": exponent, "rule": rule, "capacity": metrics["capacity"]})
        for row in rows.itertuples():
            expected = None if pd.isna(row.theory) else row.theory
            if expected and row.squared_error_se:
                distances.append((row.squared_error - expected) / row.squared_error_se)
            if row.load in SHOWN:
                formula = "   none" if expected is None else f"{expected:7.3f}"
                print(
                    f"{exponent:8.1f}  {rule:16s}{row.load:6.2f}{row.squared_error:10.3f}"
                    f"{row.squared_error_se:7.3f} {formula}{row.squared_error_scaled:12.3f}"
                    f"{row.accuracy:10.3f}{row.accuracy_se:7.3f}"
                )

typical = (sum(d**2 for d in distances) / len(distances)) ** 0.5
print(f"\ndistance from theory: {typical:.2f} standard errors, root mean square of {len(distances)} points")
bound = scaled_linear_attention_error(Correlated(exponent=1.0).interference(DIM, DIM))
print(f"exponent 1, load 1: with the best gain linear attention should be left with {bound:.3f}")
print("\ncapacity: pairs for each key dimension down to an accuracy of 0.9")
for rule in RULES:
    shown = [f"{row['capacity']:6.2f}" for row in capacities if row["rule"] == rule]
    print(f"{rule:16s}{''.join(shown)}")

color = alt.Color("rule:N", sort=list(RULES), title=None, legend=alt.Legend(orient="bottom"))
drawn = pd.concat(tables).query("exponent in ('exponent 0', 'exponent 1')")
load = alt.X("load:Q", title="pairs for each key dimension", scale=alt.Scale(type="log", base=2))
error = alt.Y("squared_error:Q", title="relative squared error", scale=alt.Scale(domain=[0, 2.5]))
base = alt.Chart().encode(x=load)
answers = alt.layer(
    base.mark_line(color="grey", strokeDash=[4, 3], clip=True).encode(y="theory:Q", detail="rule:N"),
    base.mark_point(filled=True, opacity=1, size=30, clip=True).encode(y=error, color=color),
    data=drawn,
).properties(width=180, height=200)
recalled = (
    alt.Chart(pd.DataFrame(capacities))
    .mark_line(point=True)
    .encode(
        x=alt.X("exponent:Q", title="exponent of the spectrum"),
        y=alt.Y("capacity:Q", title="pairs recalled for each key dimension"),
        color=color,
    )
    .properties(width=180, height=200)
)
(answers.facet(alt.Facet("exponent:N", title=None)) | recalled).save("recall_capacity.svg")
