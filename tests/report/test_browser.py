"""The page as a reader meets it: in a real headless Chromium, without a network."""

import re

import pytest
from windows import DESKTOP, PHONE

from recollect.report import write_html

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(records, tmp_path_factory):
    return write_html(records, tmp_path_factory.mktemp("report") / "report.html", title="quick", pending=2)


@pytest.fixture(scope="module")
def recall_report(recall_records, tmp_path_factory):
    return write_html(recall_records, tmp_path_factory.mktemp("recall") / "report.html", title="recall")


@pytest.fixture(scope="module")
def bounded_report(bounded_records, tmp_path_factory):
    return write_html(bounded_records, tmp_path_factory.mktemp("bounded") / "report.html", title="bounded")


@pytest.fixture
def open_page(browser, report):
    """Open the report; everything it complains of and asks the network for is kept on the page."""
    contexts = []

    def opened(viewport=DESKTOP, scheme="light", path=report):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.complaints, page.requested = [], []
        page.on("console", lambda message: page.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('.chart')]"
            ".every(chart => chart.querySelector('svg.marks') || !chart.offsetParent)"
        )
        page.wait_for_selector("#runs-table tbody tr button.open")
        return page

    yield opened
    for context in contexts:
        context.close()


def column(page, heading):
    """Texts of one column of the runs on the current page of the table."""
    return page.evaluate(
        """heading => {
            const heads = [...document.querySelectorAll('#runs-table thead th')];
            const place = heads.findIndex(head => head.innerText.trim() === heading);
            const rows = [...document.querySelectorAll('#runs-table tbody tr')];
            return rows.map(row => row.cells[place].innerText);
        }""",
        heading,
    )


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


def test_charts_appear_without_an_error_or_a_request(open_page):
    page = open_page()
    assert page.locator(".chart svg.marks").count() == 9
    assert page.locator("#overview svg [aria-roledescription='rect mark']").count() >= 60
    assert page.complaints == []
    assert [url for url in page.requested if not url.startswith(("file:", "blob:", "data:"))] == []
    assert sum(url.startswith("file:") for url in page.requested) == 1


def test_a_hostile_name_is_shown_and_never_run(open_page):
    page = open_page()
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.locator(".dt-search input").press_sequentially("alert(1)")
    page.wait_for_function("document.querySelector('.dt-info').innerText.includes('filtered')")
    assert set(column(page, "model")) == {"<script>alert(1)</script>"}
    page.locator("#runs-table button.open").first.click()
    assert "mine.layers:<script>alert(1)</script>" in page.locator("pre.config").inner_text()
    labels = page.locator("#alpha svg.marks .role-legend-label text").all_text_contents()
    assert "<script>alert(1)</script>" in labels
    assert dialogs == []


def test_a_click_on_a_heading_sorts_numbers_as_numbers(open_page):
    page = open_page()
    heading = page.locator("#runs-table thead th").get_by_text("NMSE", exact=True)
    before = column(page, "NMSE")
    heading.click()
    page.wait_for_selector("#runs-table th[aria-sort=ascending]")
    rising = [float(text) for text in column(page, "NMSE")]
    assert rising == sorted(rising)
    assert rising != [float(text) for text in before]
    heading.click()
    page.wait_for_selector("#runs-table th[aria-sort=descending]")
    falling = [float(text) for text in column(page, "NMSE") if text]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > rising[-1]


def test_a_filter_keeps_only_its_rows(open_page, records):
    page = open_page()
    page.locator("#runs-table tfoot input[placeholder='model']").press_sequentially("GRU")
    page.wait_for_function("document.querySelector('.dt-info').innerText.includes('filtered')")
    assert set(column(page, "model")) == {"GRU"}
    kept = sum(record.model == "GRU" for record in records)
    assert f"of {kept} entries" in page.locator(".dt-info").inner_text()


def test_a_run_unfolds_to_its_config_and_folds_again(open_page, records):
    page = open_page()
    opener = page.locator("#runs-table button.open").nth(3)
    record = next(record for record in records if record.id.startswith(opener.inner_text()))
    opener.click()
    text = page.locator("pre.config").inner_text()
    assert record.id in text
    assert '"batch_size": 32' in text
    opener.click()
    assert page.locator("pre.config").count() == 0


def test_hovering_over_a_point_shows_its_numbers(open_page):
    page = open_page()
    page.locator("#alpha svg [aria-roledescription=point][aria-label*='polynomial(alpha=0.6)']").first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert {"NMSE", "interval", "over seeds"} <= set(re.split(r"[\n\t]", tooltip.inner_text()))


def test_the_task_menu_redraws_the_charts_below_it(open_page):
    page = open_page()
    title = "document.querySelector('[data-chart=learned_memory] svg').outerHTML"
    before = page.evaluate(title)
    page.locator("#task").select_option("airy(alpha=18)")
    page.wait_for_function(f"before => {title} !== before", arg=before)
    assert page.complaints == []


def cells(page):
    """Texts of the heat map."""
    return page.locator("#overview svg.marks .mark-text.role-mark text").all_text_contents()


def test_the_map_shows_error_floor_and_excess_by_mouse_and_by_keyboard(open_page, bounded_report):
    page = open_page(path=bounded_report)
    axes = page.locator("#overview svg.marks .role-axis-label text")
    names = axes.all_text_contents()
    assert any("★" in text for text in cells(page))
    page.locator("[data-maps] label", has_text="floor").click()
    page.wait_for_selector("#overview svg.marks >> text='proven floor (NMSE)'")
    assert {"–", "0.420", "1e-11", "0"} <= set(cells(page))
    assert page.locator("[data-caption=heat_map_floor]").is_visible()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#overview svg.marks >> text='error above the floor (NMSE)'")
    assert {"–", "0.031", "0.010"} <= set(cells(page))
    assert page.locator("[data-caption]:visible").count() == 1
    assert axes.all_text_contents() == names
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#overview svg.marks >> text='NMSE'")
    assert any("★" in text for text in cells(page))
    assert page.locator("[data-caption]:visible").count() == 0
    assert page.complaints == []


def test_the_audit_follows_the_task_menu(open_page, bounded_report):
    page = open_page(path=bounded_report)
    rows = page.locator("[data-audit] tbody tr")
    page.locator("#task").select_option("impulse(alpha=21)")
    assert rows.count() == 5
    s4d = rows.filter(has_text="S4D").locator("th, td").all_text_contents()
    assert s4d == ["S4D", "0.451", "0.448", "0.002", "0.001", "0.42", "0.504", "0.031", "on its floor"]
    page.locator("#task").select_option("impulse(alpha=9)")
    assert "0.199" in rows.filter(has_text="S4D").inner_text()
    assert page.complaints == []


def test_a_page_with_floors_fits_a_phone(open_page, bounded_report):
    page = open_page(PHONE, path=bounded_report)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.complaints == []


def test_a_recall_page_fits_a_phone(open_page, recall_report):
    page = open_page(PHONE, path=recall_report)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_charts_of_recall_appear_and_those_without_data_for_a_task_are_hidden(open_page, recall_report):
    page = open_page(path=recall_report)
    assert page.locator("#overview svg.marks").count() == 3
    shown = "[...document.querySelectorAll('#inside [data-block]')].map(b => b.offsetParent !== null)"
    for task in page.locator("#task option").all_inner_texts():
        page.locator("#task").select_option(task)
        page.wait_for_function(f"{shown}.some(Boolean)")
    assert page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_page_without_scrolling_sideways(open_page, scheme):
    page = open_page(PHONE, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    edges = page.evaluate(
        """[...document.querySelectorAll('.chart:not([data-chart=heat_map]) svg')]
            .map(chart => chart.getBoundingClientRect().right)"""
    )
    assert max(edges) <= PHONE["width"]
    assert page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_background(open_page, scheme):
    page = open_page(scheme=scheme)
    card = luminance(page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor"))
    assert card < 0.05 if scheme == "dark" else card > 0.9
    chart_text = page.evaluate(
        """[...document.querySelectorAll('#alpha svg text, #inside svg text')]
            .map(t => t.getAttribute('fill')).filter(Boolean)"""
    )
    page_text = page.evaluate(
        """[...document.querySelectorAll('h2, .caption, #runs-table td, .summary td')]
            .map(t => getComputedStyle(t).color)"""
    )
    assert len(chart_text) > 50
    for colour in {*chart_text, *page_text}:
        light, dark = sorted((card + 0.05, luminance(colour) + 0.05), reverse=True)
        assert light / dark >= 4.5, colour


def test_the_charts_follow_a_change_of_the_colour_scheme(open_page):
    page = open_page()
    title = "document.querySelector('#alpha svg .role-title-text text').getAttribute('fill')"
    light = page.evaluate(title)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"light => {title} !== light", arg=light)
    assert luminance(page.evaluate(title)) > 0.5 > luminance(light)
