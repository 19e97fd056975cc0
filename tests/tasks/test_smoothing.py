import math

import pytest
import torch

from recollect.core import ConfigError
from recollect.tasks.smoothing import FUNCTIONS, SmoothingTask


def make(**fields):
    return SmoothingTask.parse({"pairs": [9], "bandwidths": [0.2], "draws": 6, "num_queries": 9} | fields)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_the_function(name):
    function, slope, curvature = FUNCTIONS[name]
    x = torch.linspace(-1, 1, 7, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    torch.testing.assert_close(slope(x), first, rtol=1e-12, atol=1e-12)
    if first.requires_grad:
        (second,) = torch.autograd.grad((first + 0 * x).sum(), x)
        torch.testing.assert_close(curvature(x), second, rtol=1e-12, atol=1e-12)


def test_noise_comes_in_pairs_of_opposite_sign():
    noise = make(noise=0.3, draws=2000).draw(0, 9).noise
    assert noise.mean(1).abs().max() < 1e-15
    assert (noise.std() - 0.3).abs() < 0.01


def test_a_design_depends_on_seed_and_number_alone():
    few, many = make(num_designs=2, norm_spread=0.3), make(num_designs=5, norm_spread=0.3)
    for one, other in zip(few.draw(4, 9), many.draw(4, 9), strict=True):
        assert torch.equal(one, other[:2])
    assert not torch.equal(few.draw(5, 9).noise, few.draw(4, 9).noise)


@pytest.mark.parametrize("keys", ["arc", "line"])
def test_a_grid_is_covered_once_and_keys_point_where_queries_do(keys):
    task = make(keys=keys)
    design = task.draw(0, 9)
    torch.testing.assert_close(design.x.sort(dim=1).values[0], task.queries(), rtol=0, atol=1e-15)
    torch.testing.assert_close(design.keys, task.directions(design.x), rtol=0, atol=0)


def test_norms_on_the_arc_spread_as_asked():
    design = make(norm_spread=0.4, num_designs=300, pairs=[31]).draw(0, 31)
    norms = design.keys.norm(dim=-1)
    assert (norms.log().std() - 0.4).abs() < 0.02
    directions = design.keys / norms[..., None]
    torch.testing.assert_close(directions, make().directions(design.x), rtol=1e-12, atol=1e-12)


def test_regions_are_the_ends_the_middle_half_and_all():
    task = make()
    assert task.queries()[task.region("boundary")].tolist() == [-1, 1]
    assert task.queries()[task.region("interior")].tolist() == [-0.5, -0.25, 0, 0.25, 0.5]
    assert task.region("all").all()


@pytest.mark.parametrize(
    ("degree", "region"), [(0, "boundary"), (0, "interior"), (1, "boundary"), (1, "interior")]
)
def test_theory_is_the_limit_of_dense_pairs_and_narrow_kernels(degree, region):
    """Against the weighted fit itself, by quadrature over 20,000 pairs."""
    task = make(function="sine", noise=1.0)
    width, n = 0.004, 20_001
    x = torch.linspace(-1, 1, n, dtype=torch.float64)
    errors, variances = [], []
    for at in task.queries()[task.region(region)]:
        u = (x - at) / width
        weights = torch.exp(-(u**2) / 2)
        design = torch.stack([u**power for power in range(degree + 1)], dim=1)
        moments = design.T @ (weights[:, None] * design)
        smoother = torch.linalg.solve(moments, (weights[:, None] * design).T)[0]
        errors.append(float(smoother @ task.truth(x) - task.truth(at)) ** 2)
        variances.append(float(smoother.square().sum()))
    theory = task.local_theory(degree, n, width, region)
    assert theory["bias_squared"] == pytest.approx(sum(errors) / len(errors), rel=0.05)
    assert theory["variance"] == pytest.approx(sum(variances) / len(variances), rel=0.05)


def test_a_constant_is_off_by_h_at_a_boundary_and_a_line_by_h_squared():
    task = make(function="sine")

    def bias(degree, width):
        return math.sqrt(task.local_theory(degree, 100, width, "boundary")["bias_squared"])

    assert bias(0, 0.2) / bias(0, 0.1) == pytest.approx(2)
    assert bias(1, 0.2) / bias(1, 0.1) == pytest.approx(4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"draws": 5}, "draws"),
        ({"keys": "line", "norm_spread": 0.2}, "norm_spread"),
        ({"bandwidths": []}, "at least one"),
        ({"function": "cubic"}, "function"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        make(**fields)


def test_labels_and_facts_tell_tasks_apart():
    tasks = [make(), make(keys="line"), make(norm_spread=0.3), make(function="linear")]
    assert len({task.label for task in tasks}) == 4
    assert len({(task.facts()["keys"], task.facts()["function"]) for task in tasks}) == 4
    assert make().steps == 1
