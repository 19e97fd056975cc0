import pytest
import torch

from recollect.floors import recurrence_bound
from recollect.floors.hankel_products import WeightedHankel, leading_singular_values
from recollect.floors.problem import Problem
from recollect.floors.recurrence_bound import recurrence_bounds
from recollect.floors.recurrence_weights import weighted_hankel
from recollect.memory import Airy, Exponential, Polynomial


def random_hankel(rows: int, columns: int, rng: torch.Generator) -> tuple[WeightedHankel, torch.Tensor]:
    rho = torch.randn(rows + columns + 3, generator=rng, dtype=torch.float64)
    a = torch.rand(rows, generator=rng, dtype=torch.float64)
    b = torch.rand(columns, generator=rng, dtype=torch.float64)
    dense = torch.tensor([[a[i] * rho[i + j] * b[j] for j in range(columns)] for i in range(rows)]).double()
    return WeightedHankel(rho, a, b), dense


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 6), (7, 4), (13, 13), (30, 41)])
def test_products_are_those_of_the_dense_matrix(rows, columns, rng):
    matrix, dense = random_hankel(rows, columns, rng)
    right = torch.randn(columns, 3, generator=rng, dtype=torch.float64)
    left = torch.randn(rows, 2, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(matrix.times(right), dense @ right, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(matrix.transposed_times(left), dense.mT @ left, rtol=1e-10, atol=1e-12)
    assert float((matrix.times(right) - dense @ right).norm()) <= matrix.product_error(right)
    squares = weighted_hankel(matrix.rho, matrix.row_weights.square(), matrix.column_weights.square())
    torch.testing.assert_close(squares, dense, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_partial_singular_values_are_never_above_the_true_ones(count, rng):
    for rows, columns in ((20, 31), (25, 25)):
        matrix, dense = random_hankel(rows, columns, rng)
        values, guard = leading_singular_values(matrix, count)
        true = torch.linalg.svdvals(dense)[:count]
        assert len(values) == count
        assert bool((values <= true + guard).all())
        assert guard < 1e-10


def test_asking_for_all_singular_values_gives_all(rng):
    matrix, dense = random_hankel(8, 11, rng)
    values, _ = leading_singular_values(matrix, 99)
    torch.testing.assert_close(values, torch.linalg.svdvals(dense), rtol=1e-10, atol=1e-10)


def test_a_singular_value_must_be_asked_for(rng):
    with pytest.raises(ValueError, match="got count = 0"):
        leading_singular_values(random_hankel(3, 3, rng)[0], 0)


@pytest.mark.parametrize(
    ("function", "weighting"),
    [(Polynomial(alpha=0.6), "uniform"), (Airy(alpha=60.0, width=12.0), "window")],
    ids=["polynomial", "airy"],
)
def test_bounds_by_products_equal_those_by_dense_matrices(function, weighting, monkeypatch):
    problem, sizes = Problem(function.values(512), weighting), [1, 2, 4, 6]
    monkeypatch.setattr(recurrence_bound, "_SEARCHED_ENTRIES", 0)
    dense = recurrence_bounds(problem, sizes)
    monkeypatch.setattr(recurrence_bound, "DENSE_ROWS", 100)
    partial = recurrence_bounds(problem, sizes)
    for by_products, by_matrix in zip(partial, dense, strict=True):
        assert by_products.lower <= by_matrix.lower * (1 + 1e-6)
        assert by_products.lower == pytest.approx(by_matrix.lower, rel=1e-4)


def test_rounding_of_products_does_not_make_up_a_floor():
    rho = Exponential(alpha=0.01).values(900) - 0.7 * Exponential(alpha=0.002).values(900)
    ones = torch.ones(450, dtype=torch.float64)
    values, guard = leading_singular_values(WeightedHankel(rho, ones, ones), 9)
    assert float(values[2:].norm()) < guard < 1e-9 * float(values[0])
