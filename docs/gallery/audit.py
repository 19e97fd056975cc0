"""Where a trained model's error comes from, lag by lag."""

import altair as alt
import pandas as pd

from recollect.models import ModelConfig
from recollect.tasks import FunctionalTask
from recollect.training import TrainingConfig, assess, train

task = FunctionalTask.parse({"memory": {"family": "impulse", "alpha": 6}, "length": 16})
config = TrainingConfig(steps=150, learning_rate=0.01, test_examples=1000)

model = ModelConfig(mixer="gru", dim=12).build(task.input_size, task.output_size, seed=0)
train(model, task, config, seed=0)
metrics, series = assess(model, task, config, seed=0)

parts = ("linear_error", "nonlinear_remainder", "bias")
for part in parts:
    print(f"{part.replace('_', ' '):22s}{metrics[part]:.3f}")
print(f"{'their sum':22s}{sum(metrics[part] for part in parts):.3f}")
print(f"{'NMSE':22s}{metrics['nmse']:.3f}, standard error {metrics['nmse_se']:.3f}")

lag = alt.X("lag:Q", scale=alt.Scale(domain=[-0.5, 15.5], nice=False), axis=alt.Axis(tickCount=8))
base = alt.Chart(pd.DataFrame(series["lag"])).encode(x=lag)
true = base.mark_bar(color="#b8bfc6", size=14).encode(y="true:Q")
learned = base.mark_line(point=True).encode(y=alt.Y("learned:Q", title="true (grey), learned (blue)"))
missed = base.mark_bar(size=14).encode(
    y=alt.Y("missed:Q", title="share of the power missed", axis=alt.Axis(format="%"))
)
size = {"width": 300, "height": 200}
((true + learned).properties(**size) | missed.properties(**size)).save("audit.svg")
