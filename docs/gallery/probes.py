"""What four trained models remember, beside what they were asked to."""

import altair as alt
import pandas as pd

from recollect.memory import from_horizon
from recollect.models import ModelConfig
from recollect.probing import memory_of
from recollect.tasks import FunctionalTask
from recollect.training import TrainingConfig, train

memory = from_horizon("polynomial", h95=12, length=32)
task = FunctionalTask(memory=memory, length=32)
config = TrainingConfig(steps=300, learning_rate=0.01)

models = {
    "gru": {"mixer": "gru", "dim": 12},
    "tcn": {"mixer": "tcn", "dim": 8, "options": {"num_levels": 3}},
    "lru": {"mixer": "lru", "dim": 8},
    "attention": {"mixer": "attention", "dim": 16, "options": {"positions": "alibi"}},
}
rows = [{"model": "asked", "lag": s, "memory": v} for s, v in enumerate(task.taps().tolist())]
print(f"{'':12s}{'H50':>5s}{'H95':>5s}{'linear':>9s}{'adapts':>9s}")
for name, data in models.items():
    model = ModelConfig.parse(data).build(1, 1, seed=0)
    train(model, task, config, seed=0)
    profile = memory_of(model, length=32, samples=128)
    numbers = profile.numbers
    share, adapts = profile.linear_share.value, profile.content_adaptivity.value
    print(f"{name:12s}{numbers.h50.value:5.0f}{numbers.h95.value:5.0f}{share:9.2f}{adapts:9.2f}")
    learned = profile.values[:, 0, 0].tolist()
    rows += [{"model": name, "lag": s, "memory": v} for s, v in enumerate(learned)]

chart = (
    alt.Chart(pd.DataFrame(rows))
    .mark_line()
    .encode(
        x=alt.X("lag:Q", axis=alt.Axis(tickCount=8)),
        y=alt.Y("memory:Q", title="memory function"),
        color=alt.Color("model:N", sort=None),
        strokeDash=alt.condition("datum.model == 'asked'", alt.value([5, 3]), alt.value([1, 0])),
    )
)
chart.properties(width=520, height=260).save("probes.svg")
