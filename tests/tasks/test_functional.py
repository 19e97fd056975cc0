import pytest
import torch

from recollect.core import ConfigError
from recollect.tasks import INPUT_LAWS, FunctionalTask, Task

MEMORIES = [
    {"family": "exponential", "alpha": 0.3},
    {"family": "polynomial", "alpha": 0.8},
    {"family": "impulse", "alpha": 5},
    {"family": "airy", "alpha": 4},
]


def make(**fields):
    return FunctionalTask.parse({"memory": MEMORIES[0], "length": 11} | fields)


@pytest.fixture(params=["gaussian", "uniform", "signs", "ar1", "recorded"])
def law(request, tmp_path):
    if request.param == "ar1":
        return {"law": "ar1", "coefficient": 0.7}
    if request.param == "recorded":
        path = tmp_path / "series.csv"
        generator = torch.Generator().manual_seed(3)
        values = torch.randn(4000, generator=generator).tolist()
        path.write_text("value\n" + "\n".join(f"{v}" for v in values))
        return {"law": "recorded", "path": str(path)}
    return {"law": request.param}


def test_every_law_is_covered_here():
    assert set(INPUT_LAWS) == {"gaussian", "uniform", "signs", "ar1", "recorded"}
    assert isinstance(make(), Task)


@pytest.mark.parametrize("memory", MEMORIES)
def test_targets_are_the_sum_over_the_past(memory):
    task = make(memory=memory)
    batch = task.batch(1, "train", 0, 3, dtype=torch.float64)
    rho = task.taps()
    for t in range(11):
        expected = sum(rho[s] * batch.inputs[:, t - s, 0] for s in range(t + 1))
        torch.testing.assert_close(batch.targets[:, t, 0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_stated_memory_function_is_measured_back(memory):
    task = make(memory=memory)
    batch = task.batch(1, "test", 0, 40, dtype=torch.float64)
    lagged = batch.inputs[:, :, 0].flip(1)
    measured = torch.linalg.lstsq(lagged, batch.targets[:, -1, 0]).solution
    torch.testing.assert_close(measured, task.taps(), rtol=1e-10, atol=1e-10)


def test_an_example_depends_on_seed_split_and_index_alone(law):
    task = make(input=law, noise=0.1)
    whole = task.batch(5, "train", 0, 20)
    part = task.batch(5, "train", 13, 4)
    assert torch.equal(whole.inputs[13:17], part.inputs)
    torch.testing.assert_close(whole.targets[13:17], part.targets, rtol=1e-6, atol=1e-6)
    for seed, split in [(6, "train"), (5, "validation"), (5, "test")]:
        assert not torch.equal(task.batch(seed, split, 13, 4).inputs, part.inputs)


def test_inputs_have_zero_mean_and_unit_variance_at_every_position(law):
    x = make(input=law).batch(0, "train", 0, 4000, dtype=torch.float64).inputs[..., 0]
    assert x.mean(0).abs().max() < 0.1
    assert (x.square().mean(0) - 1).abs().max() < 0.15


def test_ar1_inputs_are_correlated_by_powers_of_the_coefficient():
    x = (
        make(input={"law": "ar1", "coefficient": 0.7})
        .batch(0, "train", 0, 20_000, dtype=torch.float64)
        .inputs
    )
    covariance = x[..., 0].T @ x[..., 0] / 20_000
    lag = (torch.arange(11)[:, None] - torch.arange(11)).abs()
    torch.testing.assert_close(covariance, 0.7 ** lag.double(), rtol=0, atol=0.05)


def test_recorded_windows_of_the_splits_do_not_overlap(tmp_path):
    path = tmp_path / "ramp.csv"
    path.write_text("\n".join(str(i) for i in range(1000)))
    task = make(input={"law": "recorded", "path": str(path)})
    largest = task.batch(0, "train", 0, 500).inputs.max()
    smallest = task.batch(0, "test", 0, 500).inputs.min()
    assert largest < task.batch(0, "validation", 0, 500).inputs.min() < smallest


def test_a_longer_sequence_keeps_the_scale_of_the_training_length():
    task = make(memory={"family": "polynomial", "alpha": 0.6})
    assert float(task.taps().square().sum()) == pytest.approx(1)
    torch.testing.assert_close(task.taps(44)[:11], task.taps())
    longer = task.batch(0, "test", 0, 3, length=44)
    torch.testing.assert_close(
        longer.targets[:, :11], task.batch(0, "test", 0, 3).targets, rtol=1e-5, atol=1e-6
    )


def test_channels_are_mixed_by_the_matrix():
    task = make(channels=3, mixing=[[1, 0, 2], [0, -1, 0]])
    batch = task.batch(0, "train", 0, 4, dtype=torch.float64)
    single = make(channels=3).batch(0, "train", 0, 4, dtype=torch.float64)
    assert (task.input_size, task.output_size) == (3, 2)
    assert torch.equal(batch.inputs, single.inputs)
    torch.testing.assert_close(batch.targets[..., 0], single.targets[..., 0] + 2 * single.targets[..., 2])
    torch.testing.assert_close(batch.targets[..., 1], -single.targets[..., 1])


def test_noise_has_its_standard_deviation_and_leaves_the_inputs():
    clean, noisy = make().batch(0, "train", 0, 2000), make(noise=0.3).batch(0, "train", 0, 2000)
    assert torch.equal(clean.inputs, noisy.inputs)
    assert float((noisy.targets - clean.targets).std()) == pytest.approx(0.3, rel=0.03)


def test_the_nonlinearity_is_applied_to_the_sum():
    linear, squared = make().batch(0, "train", 0, 2), make(output="square").batch(0, "train", 0, 2)
    torch.testing.assert_close(squared.targets, linear.targets.square())


def test_the_loss_counts_masked_positions_only():
    task = make()
    batch = task.batch(0, "train", 0, 2)
    outputs = batch.targets.clone()
    outputs[:, 0] += 3
    mask = batch.mask.clone()
    mask[:, 0] = False
    assert float(task.loss(outputs, batch._replace(mask=mask))) == 0
    assert float(task.loss(outputs, batch)) == pytest.approx(9 / 11)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"memory": {"family": "impulse", "alpha": 11}}, "zero at every lag below length=11"),
        ({"channels": 2, "mixing": [[1.0]]}, "rows of 2 numbers"),
        ({"lenght": 3}, "did you mean 'length'"),
        ({"input": {"law": "recorded", "path": "nowhere.csv"}}, "does not exist"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        make(**fields)


def test_the_label_names_what_differs_from_the_default():
    assert make(length=64).label == "exponential(alpha=0.3)"
    assert (
        make(noise=0.5, input={"law": "signs"}).label == "exponential(alpha=0.3), length=11, signs, noise=0.5"
    )


def test_tasks_that_differ_have_labels_that_differ(tmp_path):
    records = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for i, path in enumerate(records):
        path.write_text("\n".join(str((7 * k + i) % 13) for k in range(300)))
    laws = [{"law": "ar1", "coefficient": c} for c in (0.5, 0.9)]
    laws += [{"law": "recorded", "path": str(path)} for path in records]
    assert len({make(input=law).label for law in laws}) == 4


def test_the_identity_of_a_recorded_input_is_its_content(tmp_path):
    path = tmp_path / "series.txt"
    digests = []
    for shift in (0, 1):
        path.write_text("\n".join(str((7 * k + shift) % 13) for k in range(300)))
        digests.append(make(input={"law": "recorded", "path": str(path)}).digest())
    assert digests[0] != digests[1]
