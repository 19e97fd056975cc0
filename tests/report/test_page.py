import json
import re
from html.parser import HTMLParser

import pytest

from recollect.report import write_html

HOSTILE = "<script>alert(1)</script>"


class Elements(HTMLParser):
    """All start tags with their attributes, and the text of every element but scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.text, self._open = [], [], "", ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open == "script":
            self.scripts.append((self.tags[-1][1], data))
        elif self._open != "style":
            self.text += data


@pytest.fixture(scope="module")
def page(records, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write_html(records, path, title=f"Study {HOSTILE}", pending=2).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def elements(page):
    return Elements(page)


def embedded(elements, name):
    return next(json.loads(text) for attributes, text in elements.scripts if attributes.get("id") == name)


def test_nothing_is_loaded_from_a_network(page, elements):
    loading = {"script", "link", "img", "iframe", "source", "object", "embed", "video", "audio"}
    for tag, attributes in elements.tags:
        if tag in loading:
            source = attributes.get("src") or attributes.get("href") or "data:"
            assert source.startswith("data:"), (tag, source)
    styles = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert not re.search(r"@import|url\(", styles)


def test_a_hostile_name_is_text_everywhere(page, elements):
    assert HOSTILE in elements.text
    assert not any(text.strip() == "alert(1)" for _, text in elements.scripts)
    assert HOSTILE not in page
    assert HOSTILE in {row["model"] for row in embedded(elements, "report-data")["datasets"]["summary"]}


def test_the_page_says_what_was_done_and_what_was_not(elements):
    for words in (
        "2 pending",
        "T = 32",
        "What was not tested",
        "arXiv:2506.05678",
        "arXiv:2501.12352",
        "2.13.0",
    ):
        assert words in elements.text, words


def test_every_run_can_be_unfolded_to_its_full_config(elements, records):
    details = embedded(elements, "run-details")
    values = details["values"]
    for run, record in zip(details["runs"], records, strict=True):
        assert {key: values[place] for key, place in run["config"].items()} == record.config
        assert values[run["environment"]] == record.environment
        assert values[run["error"]] == record.error


def test_configs_are_stored_by_their_distinct_parts(elements, records):
    values = embedded(elements, "run-details")["values"]
    assert len(values) == len({json.dumps(value) for value in values}) < len(records) / 4


def test_the_page_can_be_read_on_a_phone_and_in_the_dark(page, elements):
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in elements.tags
    assert "prefers-color-scheme: dark" in page


def test_the_page_stays_small(page):
    # Vega and DataTables are 1.9 MB: either of them twice would not fit.
    assert len(page) < 2_500_000


@pytest.fixture(scope="module")
def recall_page(recall_records, tmp_path_factory):
    path = tmp_path_factory.mktemp("recall") / "report.html"
    return Elements(write_html(recall_records, path, title="recall").read_text(encoding="utf-8"))


def test_a_chart_is_shown_only_where_there_is_data_for_it(elements, recall_page):
    functional = set(embedded(elements, "report-data")["charts"])
    recall = set(embedded(recall_page, "report-data")["charts"])
    assert {"error_by_alpha", "learned_memory", "missed_by_lag", "error_by_position"} <= functional - recall
    assert {"accuracy_by_state", "group_scores", "steps_to_solve"} <= recall - functional
    assert {"heat_map", "loss_curves"} <= functional & recall


def test_every_holder_of_a_chart_has_its_specification(elements, recall_page):
    for page in (elements, recall_page):
        charts = embedded(page, "report-data")["charts"]
        holders = [attributes for _, attributes in page.tags if "data-chart" in attributes]
        assert {holder["data-chart"] for holder in holders} == set(charts)
        for holder in holders:
            assert int(holder["data-spec"]) < len(charts[holder["data-chart"]]["specs"])


def test_a_recall_page_speaks_of_accuracy_and_guessing_and_never_of_nmse(recall_page):
    for words in ("Accuracy over the asked positions", "solves 1 of 2", "At guessing", "guess", "mean"):
        assert words in recall_page.text, words
    assert "untrained layers" in recall_page.text
    assert "NMSE ± SE" not in recall_page.text


def test_a_page_without_records_says_so(tmp_path):
    page = write_html([], tmp_path / "empty.html", title="Nothing yet", pending=60).read_text(
        encoding="utf-8"
    )
    assert "60 pending" in page
