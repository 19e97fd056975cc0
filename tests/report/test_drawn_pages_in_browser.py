"""The pages of a diagnosis and of a probe as a reader meets them: in Chromium, without a network."""

import re

import pytest
from drawn_documents import HOSTILE, SENTENCES, diagnosis_document, probe_document_made
from windows import DESKTOP, PHONE

from recollect.report.diagnosis import write_diagnosis
from recollect.report.probe import write_probe

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {
        "diagnosis": write_diagnosis(diagnosis_document(), folder / "diagnosis.html"),
        "probe": write_probe(probe_document_made(2, 1), folder / "probe.html"),
    }


@pytest.fixture
def open_page(browser, pages):
    """Open a page; everything it complains of and asks the network for is kept on it."""
    contexts = []

    def opened(kind, viewport=DESKTOP, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.complaints, page.requested, page.dialogs = [], [], []
        page.on("console", lambda message: page.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(pages[kind].as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('.chart')].every(chart => chart.querySelector('svg.marks'))"
        )
        return page

    yield opened
    for context in contexts:
        context.close()


def luminance(colour):
    """Relative luminance (WCAG 2) of `rgb(r, g, b)` or `#rrggbb`."""
    if colour.startswith("#"):
        channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    else:
        channels = [float(number) for number in re.findall(r"[\d.]+", colour)[:3]]
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in channels)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.fixture(params=["diagnosis", "probe"])
def kind(request):
    return request.param


def test_charts_appear_without_an_error_or_a_request(open_page, kind):
    page = open_page(kind)
    assert page.locator(".chart svg.marks").count() >= 4
    assert page.complaints == []
    assert page.dialogs == []
    assert [url for url in page.requested if not url.startswith(("file:", "blob:", "data:"))] == []
    assert sum(url.startswith("file:") for url in page.requested) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_page_without_scrolling_sideways(open_page, kind, scheme):
    page = open_page(kind, PHONE, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    edges = page.evaluate(
        "[...document.querySelectorAll('.chart svg')].map(chart => chart.getBoundingClientRect().right)"
    )
    assert max(edges) <= PHONE["width"]
    assert page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_background(open_page, kind, scheme):
    page = open_page(kind, scheme=scheme)
    card = luminance(page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor"))
    assert card < 0.05 if scheme == "dark" else card > 0.9
    chart_text = page.evaluate(
        "[...document.querySelectorAll('.chart svg text')].map(t => t.getAttribute('fill')).filter(Boolean)"
    )
    page_text = page.evaluate(
        "[...document.querySelectorAll('h2, figcaption, .summary td, #answer p')]"
        ".map(t => getComputedStyle(t).color)"
    )
    assert len(chart_text) > 30
    for colour in {*chart_text, *page_text}:
        light, dark = sorted((card + 0.05, luminance(colour) + 0.05), reverse=True)
        assert light / dark >= 4.5, colour


def test_hovering_over_a_lag_shows_its_numbers(open_page, kind):
    page = open_page(kind)
    chart = page.locator(".chart svg.marks").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert {"lag", "value", "lower", "upper"} <= set(re.split(r"[\n\t]", tooltip.inner_text()))


def test_a_dark_page_is_printed_dark_on_white(open_page, kind):
    page = open_page(kind, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    fills = page.evaluate(
        "[...document.querySelectorAll('.chart svg text, #answer p, h2')].map(t =>"
        " t instanceof SVGElement ? getComputedStyle(t).fill : getComputedStyle(t).color)"
    )
    assert max(luminance(colour) for colour in fills) < 0.2


def test_every_chart_is_said_in_words(open_page, kind):
    page = open_page(kind)
    labels = page.evaluate(
        "[...document.querySelectorAll('.chart svg.marks')]"
        ".map(chart => chart.closest('[aria-label]')?.getAttribute('aria-label'))"
    )
    assert all(label and len(label) > 20 for label in labels), labels


def test_a_hostile_name_is_shown_as_text(open_page):
    for kind in ("diagnosis", "probe"):
        page = open_page(kind)
        assert HOSTILE in page.locator("h1").inner_text()
        assert page.locator("#answer p").all_inner_texts() == SENTENCES
        assert page.dialogs == []
