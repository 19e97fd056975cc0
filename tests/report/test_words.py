from recollect.memory import Airy, Impulse
from recollect.models import MIXERS
from recollect.report.citations import PAPERS, citations
from recollect.report.labels import distinguishing
from recollect.report.limits import limits
from recollect.report.results import results
from recollect.report.verdicts import verdicts
from recollect.tasks import FunctionalTask


def test_a_verdict_sorts_tasks_by_their_error_and_spares_what_had_not_converged(make_record):
    records = [
        make_record(family="exponential", alpha=0.5, nmse=0.01, still_improving=False),
        make_record(family="exponential", alpha=0.1, nmse=0.2, still_improving=False),
        make_record(family="impulse", alpha=3.0, nmse=0.9, still_improving=False),
        make_record(family="impulse", alpha=9.0, nmse=0.9, still_improving=True),
        make_record(family="impulse", alpha=21.0, status="failed"),
    ]
    (verdict,) = verdicts(results(records))
    assert verdict.learned == ["exponential(alpha=0.5)"]
    assert verdict.partial == ["exponential(alpha=0.1)"]
    assert verdict.failed == ["impulse(alpha=3)"]
    assert verdict.open == ["impulse(alpha=9)"]
    assert verdict.num_tasks == 4


def test_the_model_that_learns_most_comes_first(records):
    learned = [len(verdict.learned) for verdict in verdicts(results(records))]
    assert learned == sorted(learned, reverse=True)


def test_a_verdict_on_accuracies_goes_by_solving_and_guessing(make_scored_record):
    scores = {4: 0.995, 8: 0.5, 16: 0.1, 32: 0.07}
    records = [
        make_scored_record(setting=pairs, accuracy=score, still_improving=pairs == 32)
        for pairs, score in scores.items()
    ]
    (verdict,) = verdicts(results(records))
    assert verdict.learned == ["mqar(length=64, num_pairs=4)"]
    assert verdict.partial == ["mqar(length=64, num_pairs=8)"]
    assert verdict.failed == ["mqar(length=64, num_pairs=16)"]
    assert verdict.open == ["mqar(length=64, num_pairs=32)"]


def test_other_scores_have_no_verdict(make_scored_record):
    assert verdicts(results([make_scored_record("text"), make_scored_record("capacity")])) == []


def test_limits_of_untrained_layers_say_nothing_of_training(make_scored_record):
    records = [make_scored_record("capacity")]
    text = "\n".join(limits(records, results(records)))
    assert "1 of 1 results are of untrained layers" in text
    assert "Every result has one seed: there is no interval" in text
    for words in ("learning rate", "training length", "initialisation"):
        assert words not in text


def test_only_memory_functions_are_asked_about_longer_tests(recall_records):
    text = "\n".join(limits(recall_records, results(recall_records)))
    assert "beyond the training length" not in text


def test_limits_say_what_is_pending_failed_diverged_and_not_converged(records):
    text = "\n".join(limits(records, results(records), pending=2))
    for words in ("2 runs of the study not finished", "1 run ended with an error", "7 runs diverged"):
        assert words in text
    assert "still improving" in text
    assert "below 95 % (here 75% at least)" in text
    assert "beyond the training length for Transformer" in text


def test_limits_of_one_seed_and_one_rate_name_both(make_record):
    records = [make_record("S4D")]
    text = "\n".join(limits(records, results(records)))
    assert "Every result has one seed" in text
    assert "One learning rate per model" in text
    assert "pending" not in text


def test_every_mixer_has_a_paper():
    assert set(MIXERS) <= set(PAPERS)


def test_the_two_papers_and_those_of_the_mixers_present_are_cited(make_record):
    urls = [paper.url for paper in citations([make_record("S4D"), make_record("LSTM")])]
    assert urls[:2] == ["https://arxiv.org/abs/2506.05678", "https://arxiv.org/abs/2501.12352"]
    assert "https://arxiv.org/abs/2206.11893" in urls
    assert not any("1803.01271" in url for url in urls)


def test_tasks_with_a_matrix_are_told_apart_by_the_whole_matrix():
    mixed = [
        FunctionalTask(memory=Impulse(alpha=3), channels=2, mixing=mixing).label
        for mixing in (((1.0, 0.5), (0.0, 1.0)), ((1.0, 0.5), (0.5, 1.0)))
    ]
    assert list(distinguishing(mixed).values()) == [
        "mixing=((1.0, 0.5), (0.0, 1.0))",
        "mixing=((1.0, 0.5), (0.5, 1.0))",
    ]


def test_sums_of_memory_functions_are_told_apart_whole():
    tasks = [FunctionalTask(memory=Impulse(alpha=3) + Airy(alpha=alpha), noise=0.1).label for alpha in (7, 9)]
    assert list(distinguishing(tasks).values()) == [
        "impulse(alpha=3) + airy(alpha=7)",
        "impulse(alpha=3) + airy(alpha=9)",
    ]


def test_a_name_with_a_stray_bracket_does_not_confuse_the_labels():
    tasks = ["empirical(a) b), noise=0.1", "empirical(a) b), noise=0.2", "empirical(a( b), noise=0.1"]
    assert len(set(distinguishing(tasks).values())) == 3
