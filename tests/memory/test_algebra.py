import pytest
import torch
from jaxtyping import TypeCheckError

from recollect.core import Config, ConfigError
from recollect.memory import (
    Airy,
    Exponential,
    GaussianBump,
    Impulse,
    MemoryFunction,
    Polynomial,
    Product,
    Sine,
    Sum,
)


class Holder(Config):
    memory: MemoryFunction


def assert_equal(got, want):
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


def test_a_sum_is_the_weighted_sum_of_its_terms():
    f, g = Exponential(alpha=1.0), GaussianBump(alpha=9.0)
    assert_equal((f + 3 * g).values(17), f.values(17) + 3 * g.values(17))


def test_a_product_is_the_product_of_its_factors():
    f, g = Polynomial(alpha=0.7), Sine(frequency=0.3)
    assert_equal((f * g).values(17), f.values(17) * g.values(17))


def test_nested_sums_and_products_are_flat():
    f, g, h = Exponential(alpha=1.0), Impulse(alpha=3), Sine()
    assert 2 * (f + g) + h == Sum(terms=(f, g, h), coefficients=(2.0, 2.0, 1.0))
    assert f * g * h == Product(factors=(f, g, h))
    assert f * 2 == 2 * f


def test_labels_read_like_the_formula():
    f, g = Exponential(alpha=0.25), Airy(alpha=96.0, width=3.0)
    assert f.label == "exponential(alpha=0.25)"
    assert (f + -2 * g).label == "exponential(alpha=0.25) + -2 airy(alpha=96, width=3)"
    assert ((f + g) * Sine()).label == "(exponential(alpha=0.25) + airy(alpha=96, width=3)) * sine()"
    assert Airy(alpha=96.0).label == "airy(alpha=96)"


def test_coefficients_are_spelled_out_so_that_one_function_has_one_digest():
    terms = [{"family": "impulse", "alpha": 2}, {"family": "sine"}]
    bare, spelled = Sum.parse({"terms": terms}), Sum.parse({"terms": terms, "coefficients": [1, 1]})
    assert bare.digest() == spelled.digest()


def test_a_nested_function_survives_the_way_through_json():
    f = 2 * (Exponential(alpha=0.1) * (Sine() + Impulse(alpha=4))) + Polynomial(alpha=1.1)
    held = Holder(memory=f)
    assert Holder.model_validate_json(held.canonical_json()) == held
    assert_equal(Holder.parse(held.model_dump(mode="json")).memory.values(13), f.values(13))


@pytest.mark.parametrize(("normalisation", "order"), [("l1", 1), ("l2", 2)])
def test_normalised_values_have_unit_norm_and_the_same_shape(normalisation, order):
    f = Airy(alpha=20.0)
    got = f.values(41, normalisation=normalisation)
    assert torch.linalg.vector_norm(got, order).item() == pytest.approx(1, abs=1e-12)
    assert_equal(got * torch.linalg.vector_norm(f.values(41), order), f.values(41))


def test_normalising_tiny_values_does_not_underflow():
    got = Exponential(alpha=1.0) * GaussianBump(alpha=30.0)
    assert torch.linalg.vector_norm(got.values(7, normalisation="l2")).item() == pytest.approx(1, abs=1e-12)


def test_normalising_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"impulse\(alpha=16\): it is zero at every lag below 16"):
        Impulse(alpha=16).values(16, normalisation="l2")


@pytest.mark.parametrize("grid", [{"length": 0}, {"length": 5, "dt": 0.0}, {"length": 5, "dt": -1.0}])
def test_a_grid_without_points_or_direction_is_refused(grid):
    with pytest.raises(ConfigError, match="expected length >= 1 and dt > 0"):
        Sine().values(**grid)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"family": "impuls", "alpha": 3}, "impuls"),
        ({"family": "impulse", "alhpa": 3}, "did you mean 'alpha'?"),
        ({"family": "impulse", "alpha": -3}, "greater than or equal to 0"),
        ({"family": "sum", "terms": []}, "expected at least one memory function"),
        ({"family": "sum", "terms": [{"family": "sine", "frequncy": 2}]}, "did you mean 'frequency'?"),
        ({"family": "sum", "terms": [{"family": "sine"}], "coefficients": [1, 2]}, "needs 1 numbers"),
    ],
)
def test_a_broken_function_is_refused_with_the_reason(data, message):
    with pytest.raises(ConfigError) as caught:
        Holder.parse({"memory": data})
    assert message in str(caught.value)


@pytest.mark.parametrize("data", [{}, {"terms": 3}, {"terms": [{"family": "sine", "frequncy": 2}]}])
def test_one_mistake_in_a_sum_is_one_line(data):
    with pytest.raises(ConfigError) as caught:
        Sum.parse(data)
    assert len(str(caught.value).splitlines()) == 1


def test_adding_what_is_no_memory_function_is_refused():
    with pytest.raises((ConfigError, TypeCheckError)):
        Sine() + 1
