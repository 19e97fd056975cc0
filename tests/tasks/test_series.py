import numpy as np
import pandas as pd
import pytest
import torch

from recollect.core import ConfigError
from recollect.models import ModelConfig
from recollect.tasks import SeriesTask, Task
from recollect.training import TrainingConfig, score_split, train

ROWS, LENGTH, WARMUP = 503, 23, 7


@pytest.fixture
def table():
    """Row numbers in `u`, so that every number of a batch says where it comes from."""
    rows = np.arange(ROWS)
    return pd.DataFrame({"u": rows * 1.0, "v": np.sin(rows), "y": 3.0 * rows + 5, "part": rows // 170})


@pytest.fixture
def make(tmp_path, table):
    def made(**fields):
        changed = fields.pop("table", table)
        path = tmp_path / "table.parquet"
        changed.to_parquet(path)
        known = {"path": str(path), "inputs": ["u", "v"], "target": "y", "length": LENGTH, "warmup": WARMUP}
        return SeriesTask.parse(known | fields)

    return made


def rows_of(task, table, batch):
    """Rows of the table that the inputs of a batch are, by the column that counts them."""
    mean = table["u"][: task.rows.shares[0]].mean()
    return (batch.inputs[..., 0] * task.rows.scales[0] + mean).round().long()


def asked(task, table, split, count):
    batch = task.batch(3, split, 0, count, dtype=torch.float64)
    return rows_of(task, table, batch)[batch.mask].tolist()


def test_it_is_a_task_that_names_its_columns_and_its_file(make):
    task = make()
    assert isinstance(task, Task)
    assert (task.input_size, task.output_size) == (2, 1)
    assert task.label == f"series(length=23, inputs=[u, v], target=y, warmup=7, table {task.content[:6]})"


@pytest.mark.parametrize("segment", [None, "part"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_pass_over_a_part_asks_each_target_once_and_none_of_another_part(make, table, split, segment):
    task = make(segment=segment)
    found = asked(task, table, split, task.num_windows(split))
    part = range(*task.rows.part(split).indices(ROWS))
    # The first rows of a segment have too little past to be asked.
    known = [row for row in part if segment is None or row % 170 >= WARMUP]
    assert sorted(found) == known
    assert asked(task, table, split, 4 * len(found)) == found, "an example beyond the last asks nothing"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_sweep_is_the_pass_in_the_order_of_time(make, table, split):
    task = make(segment="part")
    batch = task.sweep(split, torch.float64)
    found = rows_of(task, table, batch)[batch.mask]
    assert (found.diff() > 0).all()
    assert found.tolist() == sorted(asked(task, table, split, task.num_windows(split)))


def test_training_sees_the_training_part_alone_and_asks_all_of_it_but_the_beginning(make, table):
    task = make(segment="part")
    batch = task.batch(3, "train", 0, 6000, dtype=torch.float64)
    seen = rows_of(task, table, batch)
    assert seen.max() == int(0.6 * ROWS) - 1
    expected = {row for row in range(int(0.6 * ROWS)) if row % 170 >= WARMUP}
    assert set(seen[batch.mask].tolist()) == expected
    assert batch.mask.sum(1).max() == LENGTH - WARMUP


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_windows_are_consecutive_rows_of_one_segment_up_to_the_last_asked(make, table, split):
    task = make(segment="part")
    batch = task.batch(3, split, 0, task.num_windows(split), dtype=torch.float64)
    for rows, mask in zip(rows_of(task, table, batch), batch.mask, strict=True):
        last = int(mask.nonzero().max())
        assert not mask[:WARMUP].any()
        assert (rows[: last + 1].diff() == 1).all()
        assert len(set((rows[: last + 1] // 170).tolist())) == 1


def test_numbers_are_standardised_by_the_training_part(make, table):
    task = make()
    known = table[: task.rows.shares[0]]
    for place, name in enumerate(["u", "v"]):
        expected = (table[name] - known[name].mean()) / known[name].std()
        torch.testing.assert_close(
            task.rows.inputs[:, place], torch.tensor(expected.to_numpy()), rtol=1e-10, atol=1e-10
        )
    assert float(task.rows.target[: len(known)].std()) == pytest.approx(1, rel=1e-12)


def test_ahead_pairs_the_inputs_with_the_target_of_so_many_rows_later_in_the_same_segment(make, table):
    table["y"] = np.random.default_rng(2).normal(size=ROWS)
    task = make(inputs=["u", "y"], ahead=4, segment="part")
    assert len(task.rows.target) == ROWS - 3 * 4
    train = task.rows.shares[0]
    kept = [row for row in range(ROWS) if row + 4 < ROWS and row // 170 == (row + 4) // 170]
    target, rows = table["y"].to_numpy()[np.array(kept) + 4], table["u"].to_numpy()[kept]
    torch.testing.assert_close(
        task.rows.target, torch.tensor((target - target[:train].mean()) / target[:train].std(ddof=1))
    )
    torch.testing.assert_close(
        task.rows.inputs[:, 0], torch.tensor((rows - rows[:train].mean()) / rows[:train].std(ddof=1))
    )


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_example_depends_on_seed_split_and_index_alone(make, split):
    task = make()
    whole, part = task.batch(5, split, 0, 20), task.batch(5, split, 3, 4)
    for all_rows, some in zip(whole[:3], part[:3], strict=True):
        assert torch.equal(all_rows[3:7], some)
    assert not torch.equal(task.batch(6, split, 0, 6).inputs, whole.inputs[:6])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_window_that_is_longer_than_its_sequence_asks_and_reads_nothing_beyond_it(make, table, split):
    short = table.assign(part=np.arange(ROWS) // 15)
    task = make(table=short, segment="part")
    batch = task.batch(3, split, 0, task.num_windows(split), dtype=torch.float64)
    assert set(batch.mask.sum(1).tolist()) <= set(range(1, 15 - WARMUP + 1))
    assert not batch.mask[:, 15:].any()
    rows = rows_of(task, table, batch)
    assert (rows // 15 == rows[:, :1] // 15).all()


def test_the_loss_is_the_squared_error_of_the_asked_positions(make):
    task = make()
    batch = task.batch(0, "train", 0, 3)
    outputs = batch.targets[batch.mask] + 2
    assert float(task.loss(outputs, batch)) == pytest.approx(4, rel=1e-6)


class Mean(torch.nn.Module):
    """Answers 0, the mean of the training part."""

    def forward(self, inputs, mask):
        return torch.zeros(int(mask.sum()), 1, dtype=inputs.dtype)


def test_the_score_of_a_pass_is_the_same_however_many_examples_are_asked_for(make, table):
    noisy = table.assign(y=np.random.default_rng(0).normal(size=ROWS))
    task = make(table=noisy)
    scores = [
        score_split(Mean(), task, 0, "test", count, dtype=torch.float64, device="cpu").overall
        for count in (task.num_windows("test"), 2048)
    ]
    assert scores[0].value == scores[1].value == 1
    assert scores[0].count == scores[1].count == ROWS - int(0.8 * ROWS)


def test_a_linear_model_learns_a_filter_of_the_table(make):
    draws = np.random.default_rng(1).normal(size=(2, 900))
    filtered = np.convolve(draws[0], [0.9, -0.5, 0.3])[:900] + 0.1 * draws[1]
    task = make(table=pd.DataFrame({"u": draws[0], "v": draws[1], "y": filtered}), inputs=["u"])
    model = ModelConfig(mixer="tcn", dim=2, options={"num_levels": 2, "activation": "linear"}).build(1, 1, 0)
    config = TrainingConfig(
        steps=200, learning_rate=3e-2, batch_size=16, validation_examples=task.num_windows("validation")
    )
    trained = train(model, task, config, seed=0)
    assert trained.validation_error == pytest.approx(0.01 / 1.16, rel=0.5)


def test_another_table_under_the_same_name_is_another_task(make, table):
    first = make().digest()
    assert make(table=table.assign(y=-table["y"])).digest() != first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": "nowhere.parquet"}, "does not exist"),
        ({"inputs": []}, "at least one column"),
        ({"inputs": ["u", "u"]}, "must differ"),
        ({"inputs": ["u", "y"]}, "`ahead: 1`"),
        ({"warmup": LENGTH}, "below length=23"),
        ({"warmpu": 3}, "did you mean 'warmup'"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(make, fields, message):
    with pytest.raises(ConfigError, match=message):
        make(**fields)


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        ({}, {"target": "yy"}, "did you mean 'y'"),
        ({"u": "a"}, {}, "numbers in the column 'u'"),
        ({"v": np.where(np.arange(ROWS) == 41, np.nan, 1.0)}, {}, "row 41"),
        ({"y": 0.1}, {}, "'y' does not vary"),
        ({}, {"length": 120, "warmup": 119, "segment": "u"}, "nothing to ask"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_when_it_is_read(make, table, change, fields, message):
    with pytest.raises(ConfigError, match=message):
        make(table=table.assign(**change), **fields).batch(0, "train", 0, 1)


def test_a_file_that_is_no_table_is_refused(make, tmp_path):
    path = tmp_path / "no_table.parquet"
    path.write_text("u,y\n1,2\n")
    with pytest.raises(ConfigError, match="expected a Parquet table"):
        make(path=str(path)).batch(0, "train", 0, 1)
