"""Where a trained model's error comes from, lag by lag.

A GRU learns to repeat its input 6 steps later, with too few steps to succeed. The audit splits its
error into wrong lags, nonlinear remainder and bias; the three add up to the error.
"""

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

print(f"NMSE                {metrics['nmse']:.3f} +- {1.96 * metrics['nmse_se']:.3f}")
for part in ("linear_error", "nonlinear_remainder", "bias"):
    print(f"  {part:18s}{metrics[part]:.3f}")

frame = pd.DataFrame(series["lag"]).melt("lag", ["true", "learned"], "memory function", "value")
chart = alt.Chart(frame).mark_line(point=True).encode(x="lag", y="value", color="memory function")
chart.properties(width=560, height=240).save("audit.svg")
