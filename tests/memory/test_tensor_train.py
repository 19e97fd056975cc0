import pytest
import torch

from recollect.core import ConfigError
from recollect.memory import Exponential, Impulse, Sine, tensor_train_ranks


@pytest.mark.parametrize(("base", "length", "num_ranks"), [(2, 64, 5), (3, 81, 3), (4, 50, 2), (2, 1, 0)])
def test_an_impulse_has_rank_one_in_every_base(base, length, num_ranks):
    assert tensor_train_ranks(Impulse(alpha=length - 1).values(length), base) == (1,) * num_ranks


def test_an_exponential_has_rank_one_and_a_sine_two():
    assert tensor_train_ranks(Exponential(alpha=0.05).values(32)) == (1, 1, 1, 1)
    assert tensor_train_ranks(Sine(frequency=0.7).values(32)) == (2, 2, 2, 2)


def test_random_taps_have_full_rank(rng):
    rho = torch.randn(32, generator=rng, dtype=torch.float64)
    assert tensor_train_ranks(rho) == (2, 4, 4, 2)


def test_the_first_digit_is_the_slowest():
    """Taps that repeat with period 8 do not depend on the first two binary digits of a lag below 32."""
    rho = torch.tensor([1.0, 5.0, -2.0, 0.5, 3.0, 1.0, -1.0, 4.0]).repeat(4)
    assert tensor_train_ranks(rho)[:2] == (1, 1)
    assert tensor_train_ranks(rho)[3] == 2


def test_taps_are_continued_by_zeros():
    assert tensor_train_ranks(torch.ones(5)) == (2, 2)


def test_a_base_below_two_or_no_tap_is_refused():
    with pytest.raises(ConfigError, match="base >= 2"):
        tensor_train_ranks(torch.ones(4), base=1)
    with pytest.raises(ConfigError, match="got base=2 and 0 taps"):
        tensor_train_ranks(torch.ones(0))
