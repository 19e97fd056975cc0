from recollect.memory import Impulse, MemorySummary, Sine, summary


def test_the_summary_of_an_impulse_shows_whom_it_is_hard_for():
    assert summary(Impulse(alpha=10).values(32)) == MemorySummary(
        length=32, h50=11, h95=11, effective_taps=1.0, sign_changes=0, hankel_rank=11, tensor_train_rank=1
    )


def test_one_tap_has_a_summary():
    one = summary(Impulse(alpha=0).values(1))
    assert (one.h95, one.hankel_rank, one.tensor_train_rank) == (1, 1, 1)


def test_a_coarser_tolerance_finds_a_lower_rank():
    rho = (Sine(frequency=0.5) + 1e-4 * Sine(frequency=2.0)).values(40)
    fine, coarse = summary(rho), summary(rho, tolerance=1e-2)
    assert (fine.hankel_rank, coarse.hankel_rank) == (4, 2)
    assert fine.tensor_train_rank > coarse.tensor_train_rank
