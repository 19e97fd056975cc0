from recollect.training import has_plateaued, still_improving

STEPS = list(range(0, 1001, 100))


def curve(*last_three):
    return [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, *last_three]  # half of the budget ends at the sixth


def test_a_run_that_falls_in_its_second_half_is_still_improving():
    assert still_improving(STEPS, curve(0.45, 0.4, 0.35), budget=1000)


def test_a_run_at_rest_is_not():
    assert not still_improving(STEPS, curve(0.5, 0.49, 0.485), budget=1000)


def test_a_gain_that_is_negligible_against_the_power_does_not_count():
    assert not still_improving(STEPS, [error * 1e-2 for error in curve(0.4, 0.3, 0.1)], budget=1000)


def test_a_run_stopped_early_was_not_cut_short():
    assert not still_improving(STEPS[:-1], curve(0.45, 0.3), budget=1000)


def test_a_diverged_tail_says_nothing():
    assert not still_improving(STEPS, curve(float("nan"), float("nan"), float("nan")), budget=1000)


def test_a_plateau_needs_as_many_evaluations_as_the_patience():
    errors = [1.0, 0.5, 0.499, 0.498, 0.497]
    assert has_plateaued(errors, patience=3)
    assert not has_plateaued(errors, patience=4)
    assert not has_plateaued(errors, patience=None)
    assert not has_plateaued([1.0, 0.9, 0.8, 0.7], patience=2)
