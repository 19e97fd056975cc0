"""Boundaries in the report: what is said of them, where they are drawn, and the table of the terminal."""

import io
import itertools
import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from rich.console import Console

from recollect.cli.boundary_table import boundary_rows, print_boundaries
from recollect.report import write_charts, write_html
from recollect.report.boundaries import (
    cause,
    interval,
    measured,
    measured_bracket,
    series_texts,
    theory_words,
    untested,
    without_theory,
)
from recollect.report.charts.boundary_map import boundary_tables
from recollect.studies import Boundary, ModelBoundary
from recollect.studies.boundary import Point
from recollect.studies.boundary.theory import Theory

HOSTILE = "<script>alert(1)</script>"
LOW, HIGH = 3, 48
GRID = (3, 6, 12, 24, 48)
NO_THEORY = Theory(binds=False, constructs=False, certain=None, possible=None, how="it has gates", proven=())


def theory(possible=None, certain=None, constructs=True, before=()):
    """Every model is proven to fail from `certain` on and on the stretches `before` it."""
    return Theory(
        binds=True,
        constructs=constructs,
        certain=certain,
        possible=possible,
        how="a theorem",
        proven=(*before, *(() if certain is None else ((certain, HIGH),))),
    )


def crossing(model="SSM", strength=9.0, low=6.0, high=12.0, held=NO_THEORY, series="impulse", **changes):
    """Two seeds whose errors pass 0.1 at `strength`, measured all over the grid."""
    points = [Point(h95, math.log(0.1 * (h95 / strength) ** 3), seed) for h95 in GRID for seed in (0, 1)]
    return boundary(
        Boundary("crosses", strength, low, high), points, model=model, held=held, series=series, **changes
    )


def boundary(found, points, model="SSM", held=NO_THEORY, series="impulse", **changes):
    values = {
        "model": model, "series": series, "family": series, "boundary": found,
        "alpha": None if found.strength is None else found.strength - 1,
        "alpha_low": None if found.low is None else found.low - 1,
        "alpha_high": None if found.high is None else found.high - 1,
        "threshold": 0.1, "of": "error", "h95_low": LOW, "h95_high": HIGH,
        "num_runs": len(points), "num_diverged": 0, "num_failed": 0,
        "theory": held, "points": tuple(points),
    }  # fmt: skip
    return ModelBoundary(**(values | changes))


def never(model="SSM", held=NO_THEORY, low=48.0, **changes):
    points = [Point(h95, math.log(0.01), 0) for h95 in GRID]
    return boundary(Boundary("never_fails", None, low, None), points, model, held, **changes)


def everywhere(model="SSM", held=NO_THEORY, high=3.0, **changes):
    points = [Point(h95, math.log(0.5), 0) for h95 in GRID]
    return boundary(Boundary("fails_everywhere", None, None, high), points, model, held, **changes)


def undecided(model="SSM", held=NO_THEORY, **changes):
    return boundary(Boundary("undecided"), [], model, held, **changes)


KINDS = [crossing(), crossing(low=None), crossing(high=None), never(), everywhere(), undecided()]


def shown(found, width, records=()):
    console = Console(width=width, file=io.StringIO())
    print_boundaries(found, records, console)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (crossing(), None),  # nothing is proven of its class
        (crossing(held=theory(24, 48)), "optimisation"),
        (crossing(held=theory(None, None)), "optimisation"),  # the explicit model passes all strengths
        (crossing(held=theory(24, 48), high=24.0), "open"),  # the interval reaches the explicit model's
        (crossing(held=theory(None, None), high=None), "open"),
        (crossing(held=theory(12, 24)), "explicit"),
        (crossing(held=theory(12, None)), "explicit"),
        (crossing(held=theory(12, 12)), "architecture"),
        (crossing(held=theory(None, 12, constructs=False)), "architecture"),
        (crossing(held=theory(None, 24, constructs=False)), "open"),
        (crossing(held=theory(6, 6)), "beyond"),
        (never(held=theory(None, 48, constructs=False)), "beyond"),
        (never(held=theory(None, None)), None),
        (everywhere(held=theory(3, 3)), "architecture"),
        (everywhere(held=theory(3, 6)), "explicit"),
        (everywhere(held=theory(6, 6)), "optimisation"),
        (everywhere(held=theory(6, 6), high=7.0), "open"),
        (undecided(held=theory(6, 6)), None),
        # Floors that fall again: what counts is the strength itself, not all from it on.
        (crossing(held=theory(12, before=((12, 24),))), "architecture"),
        (crossing(held=theory(6, before=((6, 6),))), "beyond"),
        (never(held=theory(6, before=((6, 24),))), "beyond"),
        (crossing(held=theory(6, before=((24, 24),))), "explicit"),
        (never(held=theory(None, constructs=False)), None),
    ],
)
def test_a_boundary_is_held_against_both_sides_of_theory(found, expected):
    assert cause(found) == expected


def test_the_measured_bracket_is_that_of_medians_over_seeds():
    points = [Point(h95, math.log(0.01), seed) for h95 in (3, 6) for seed in range(3)]
    points += [Point(12, math.log(error), seed) for seed, error in enumerate((0.01, 0.02, 0.9))]
    points += [Point(24, value, seed) for seed, value in enumerate((math.inf, math.inf, -5.0))]
    assert measured_bracket(replace(crossing(), points=tuple(points))) == (12, 24)


def test_every_kind_of_boundary_has_its_words():
    assert [f"{measured(found)} {interval(found)}".strip() for found in KINDS] == [
        "9 [6, 12]", "9 [<3, 12]", "9 [6, >48]", "never fails up to 48", "fails everywhere", "too few runs",
    ]  # fmt: skip
    assert interval(never(low=20.0)) == "[20, >48]"
    assert interval(everywhere(high=5.0)) == "[<3, 5]"


def test_what_theory_leaves_open_is_an_interval_of_the_best_of_the_class():
    cases = [
        theory(6, 24),
        theory(6, 6),
        theory(6),
        theory(),
        theory(None, 24, False),
        theory(None, None, False),
        theory(6, None, before=((12, 24),)),
        theory(6, 48, before=((6, 12),)),
        theory(None, 48, False, before=((12, 24),)),
    ]
    words = [theory_words(crossing(held=held)) for held in [*cases, NO_THEORY]]
    assert words == ["6–24", "6", "≥ 6", "> 48", "≤ 24", "open", "6–12", "6", "≤ 12", ""]


def lines(*found):
    (text,) = series_texts(found)
    return text.lines


def test_the_text_names_who_reaches_farthest_and_whom_the_intervals_do_not_tell_apart():
    far, near, short = crossing("far", 30, 24, 48), crossing("near", 20, 12, 25), crossing("short")
    assert lines(short, far, near)["reaches farthest"] == (
        "far (30 [24, 48]); not told apart from it: near (20 [12, 25])"
    )
    assert lines(far, never("A"), never("B"))["reaches farthest"] == "A, B (never fail up to 48)"
    assert lines(everywhere(), undecided("B"))["reaches farthest"] == "none: all of them fail from 3 on"
    assert lines(undecided()) == {"reaches farthest": "not known yet", "too few runs to say": "SSM"}


def test_the_text_says_why_the_others_fail_with_their_numbers():
    said = lines(
        crossing("lazy", held=theory(24, 48)),
        crossing("honest", held=theory(12, 12)),
        crossing("as built", held=theory(12, 24)),
        crossing("gated"),
    )
    assert list(said.values())[1:] == [
        "honest (passes 6, fails 12; every model from 12 on)",
        "as built (passes 6, fails 12; the explicit model first fails at 12, every model from 24 on)",
        "lazy (9 [6, 12]; the explicit model first fails at 24, every model from 48 on)",
    ]
    assert not any("gated" in text for text in list(said.values())[1:])
    assert without_theory([crossing("gated"), never("gated"), crossing(held=theory())]) == {
        "it has gates": ["gated"]
    }


def test_failure_is_said_of_the_strengths_where_it_is_proven_and_not_of_stronger_ones():
    again = crossing("falls again", held=theory(12, before=((12, 24),)))
    gap = crossing("gap", held=theory(6, 48, before=((6, 6), (12, 24))))
    assert [text.split("; ", 1)[1] for text in list(lines(again).values())[1:]] == [
        "every model at 12 to 24)"
    ]
    assert "passes 6; every model at 6 and at 12 to 24 and from 48 on" in " ".join(lines(gap).values())
    (said,) = [line for line in untested([again, gap]) if "need not grow" in line]
    assert "(falls again, impulse: every model at 12 to 24; gap, impulse: every model at 6 and" in said
    assert not any("need not grow" in line for line in untested([crossing(held=theory(12, 24)), never()]))


def test_an_unknown_construction_is_not_said_to_pass():
    (said,) = list(lines(crossing(held=theory(None, 24, constructs=False))).values())[1:]
    assert "an explicit model is not known at every strength" in said
    assert "explicit model passes" not in said


def test_what_was_not_tested_counts_strengths_runs_and_seeds():
    sentences = " ".join(
        untested([crossing(num_diverged=1, num_failed=2), never(series="airy", h95_low=6, num_diverged=2)])
    )
    for words in (
        "from 3 to 48 (impulse); 6 to 48 (airy)",
        "at 5 strengths of a series, in 5 to 10 runs with at most 2 seeds",
        "failures: 3 runs",
        "Left out: 2 runs",
    ):
        assert words in sentences, words
    assert "diverged" not in " ".join(untested([crossing()]))


@pytest.mark.parametrize(
    ("possible", "certain", "constructs"),
    [
        (possible, certain, constructs)
        for possible, certain, constructs in itertools.product((None, *GRID), (None, *GRID), (True, False))
        if possible is None or (constructs and possible <= (certain or HIGH))
        if not (constructs and possible is None and certain is not None)
    ],
)
def test_bands_cover_the_axis_without_gap_or_overlap_and_say_what_theory_says(possible, certain, constructs):
    (row,) = boundary_tables([crossing(held=theory(possible, certain, constructs))])["boundary"]
    bands = row["bands"]
    for band, following in itertools.pairwise(bands):
        assert band["end"] == following["start"]
    left, right = bands[0]["start"], bands[-1]["end"]
    assert left < LOW
    assert right > HIGH
    for h95 in GRID:
        (name,) = [band["name"] for band in bands if band["start"] <= h95 < band["end"]]
        if certain is not None and h95 >= certain:
            assert name == "all are proven to fail"
        elif constructs and (possible is None or h95 < possible):
            assert name == "an explicit model passes"
        else:
            assert name == "open"


def test_bands_of_proven_failure_end_where_the_floor_falls_again():
    held = theory(6, before=((12, 24),))
    (row,) = boundary_tables([crossing(held=held)])["boundary"]
    names = [(band["name"], band["start"], band["end"]) for band in row["bands"]]
    left, right = names[0][1], names[-1][2]
    assert names == [
        ("an explicit model passes", left, 6),
        ("open", 6, 12),
        ("all are proven to fail", 12, 24),
        ("open", 24, right),
    ]
    assert right > HIGH


def test_nothing_is_drawn_of_theory_where_none_binds():
    (row,) = boundary_tables([crossing()])["boundary"]
    assert row["bands"] == []
    assert row["theory"] is None


def test_what_lies_outside_the_range_is_drawn_beyond_it_and_open_ends_reach_the_edge():
    rows = boundary_tables(KINDS)["boundary"]
    assert [row["shown_h95"] for row in rows[:3]] == [9, 9, 9]
    assert [(row["shown_low"] < LOW, row["shown_high"] > HIGH) for row in rows[:3]] == [
        (False, False), (True, False), (False, True),
    ]  # fmt: skip
    assert rows[3]["shown_h95"] > HIGH
    assert rows[4]["shown_h95"] < LOW
    assert rows[5]["shown_h95"] is rows[5]["kind"] is None


def test_diverged_runs_are_drawn_at_1_and_tiny_errors_at_the_lower_edge():
    points = (Point(3, math.log(1e-30), 0), Point(6, math.log(0.02), 0), Point(12, math.inf, 0))
    rows = boundary_tables([replace(crossing(), points=points)])["boundary_point"]
    assert [row["shown_error"] for row in rows] == pytest.approx([1e-4, 0.02, 1.0])
    assert [row["error"] for row in rows] == [pytest.approx(1e-30), pytest.approx(0.02), None]
    assert [row["diverged"] for row in rows] == [False, False, True]


def marks(path, kind):
    return [e for e in ElementTree.parse(path).iter() if e.get("aria-roledescription") == kind]


STUDY = [
    crossing("S4D", held=theory(12, 24)),
    never("TCN", held=theory(None, None, False)),
    crossing(HOSTILE),
    crossing("S4D", held=theory(), series="airy"),
    undecided("TCN", series="airy"),
    everywhere(HOSTILE, series="airy"),
]


def test_files_hold_a_map_and_the_runs_of_every_series(make_record, tmp_path):
    records = [make_record(model).model_copy(update={"series": {}}) for model in ("S4D", "TCN")]
    paths = write_charts(records, tmp_path, "svg", boundaries=STUDY)
    names = ["boundary_map-impulse", "boundary_map-airy", "boundary_errors-impulse", "boundary_errors-airy"]
    assert [path.stem for path in paths[:4]] == names
    assert len({path.name for path in paths}) == len(paths)
    assert len(marks(tmp_path / "boundary_map-impulse.svg", "point")) == 3
    assert len(marks(tmp_path / "boundary_map-airy.svg", "point")) == 2
    # Bands: three of the explicit, open and proven parts for S4D, one open one for TCN, none for the third.
    assert len(marks(tmp_path / "boundary_map-impulse.svg", "rect mark")) == 4
    assert len(marks(tmp_path / "boundary_errors-impulse.svg", "point")) == 10 + 5 + 10
    assert not any(path.stem.startswith("boundary") for path in write_charts(records, tmp_path, "svg"))


def test_the_page_opens_with_the_boundaries_and_only_where_a_study_seeks_them(make_record, tmp_path):
    records = [make_record(model) for model in ("S4D", HOSTILE)]
    path = write_html(records, tmp_path / "fails.html", title="fails", boundaries=STUDY)
    page = path.read_text(encoding="utf-8")
    assert page.index('<section id="boundaries">') < page.index('<section id="overview">')
    for words in (
        "Where models fail",
        "never fails up to 48",
        "alpha 8 [5, 11]",
        "class 12–24",
        "too few runs",
    ):
        assert words in page, words
    assert HOSTILE not in page
    data = json.loads(page.split('id="report-data">')[1].split("</script>")[0])
    for name, table in (("boundary_map", "boundary"), ("boundary_errors", "boundary_point")):
        assert data["charts"][name]["values"] == ["impulse", "airy"]
        assert len(data["charts"][name]["specs"]) == page.count(f'data-chart="{name}"') == 2
        assert {row["series"] for row in data["datasets"][table]} == {"impulse", "airy"}
    plain = write_html(records, tmp_path / "plain.html", title="plain").read_text(encoding="utf-8")
    assert "Where models fail" not in plain
    assert "boundary" not in json.loads(plain.split('id="report-data">')[1].split("</script>")[0])["datasets"]


@pytest.mark.parametrize("width", [*range(45, 100, 3), 120])
def test_the_table_fits_the_terminal_and_holds_every_boundary(width):
    series = ("exponential", "polynomial", "impulse", "airy")
    models = ("linear RNN", "ALiBi without content", "GRU")
    found = [
        crossing(model, 10.5, held=theory(12, 24), series=title)
        if model != "GRU"
        else never(model, series=title)
        for title in series
        for model in models
    ]
    text = shown(found, width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert text.count("10.5 [6, 12] =") == text.count("class 12–24") == 8
    assert text.count("never fails") == 4
    assert text.count("alpha 9.5") == (8 if width == 120 else 0)
    for title in series:
        assert f" {title} " in text
    assert "no theory: GRU (it has gates)" in text


def test_the_terminal_explains_the_signs_it_shows_and_no_others():
    text = " ".join(shown([crossing(held=theory(24, 48))], 120).split())
    assert "9 [6, 12] ↑" in text
    assert "↑ fails where a model of its class and size is known to pass" in text
    assert "⊥" not in text
    assert "class" not in shown([crossing()], 120)


def test_a_run_below_its_floor_is_told_beside_the_boundaries(make_bounded_record):
    bad = make_bounded_record(nmse=0.5, floor=0.6, floor_attained=0.7, below_floor=True)
    assert "please report it" in " ".join(shown([crossing()], 80, [bad]).split())
    assert "please report it" not in shown([crossing()], 80, [make_bounded_record()])


def test_boundaries_are_plain_json():
    rows = json.loads(json.dumps(boundary_rows([*KINDS, crossing(held=theory(12, 24))]), allow_nan=False))
    assert [row["kind"] for row in rows[-4:]] == ["never_fails", "fails_everywhere", "undecided", "crosses"]
    assert (rows[0]["h95"], rows[0]["low"], rows[0]["high"], rows[0]["alpha"]) == (9, 6, 12, 8)
    assert (rows[-1]["possible"], rows[-1]["certain"], rows[-1]["cause"]) == (12, 24, "explicit")
    assert (rows[-1]["proven"], rows[-1]["constructs"], rows[0]["proven"]) == ([[24, HIGH]], True, [])
