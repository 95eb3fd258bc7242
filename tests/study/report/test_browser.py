"""The report in a browser without JavaScript: it fits a phone, the navigation stays visible, and the filter works."""

from datetime import date

import pytest
from synthetic_study import config, study

from minirobust.study.claims import CLAIMS, Verdict
from minirobust.study.report import figures
from minirobust.study.report import page as report

# Foreground and background colours in the style sheet, as the browser resolves them, and their contrast after WCAG.
LEAST_CONTRAST = """() => {
    const style = getComputedStyle(document.documentElement);
    const luminance = name => {
        const hex = style.getPropertyValue(name).trim();
        const [r, g, b] = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
            .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const inks = ["--ink", "--soft", "--link", "--holds", "--fails", "--open"].map(luminance);
    const papers = ["--paper", "--card"].map(luminance);
    return Math.min(...inks.flatMap(ink => papers.map(paper => contrast(ink, paper))));
}"""


def verdicts():
    """Yield a verdict on every claim and data set."""
    for claim in CLAIMS:
        datasets = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
        titles = ["all"] if claim.compares else [datasets[name] for name in claim.datasets if name in datasets]
        for title in titles:
            parts = claim.name, claim.sentence, claim.section, claim.criterion("mnist"), title
            left = ("One line.\nAnd another.", "survives") if claim.audit else (None, None)
            yield Verdict(*parts, "holds", "What was measured. " * 10, {"a figure": 0.5}, *left)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a report on two studies, with a stand-in for the pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "drawn", lambda name, studies: None)
        patch.setattr(figures, "render", lambda figure, form: b'<svg width="900" height="300"/>')
        studies = [study(config()), study(config(dataset="fashion-mnist", seeds=(0, 1)))]
        path = tmp_path_factory.mktemp("report") / "report.html"
        path.write_text(report.page(studies, list(verdicts()), date(2026, 11, 27)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def tab(request, browser, address):
    width, scheme = getattr(request, "param", (1280, "light"))
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, java_script_enabled=False
    )
    tab = context.new_page()
    tab.goto(address)
    yield tab
    context.close()


@pytest.mark.parametrize("tab", [(390, "light"), (390, "dark"), (1280, "dark")], indirect=True)
def test_the_page_does_not_scroll_sideways_and_its_colours_have_contrast(tab):
    width = tab.viewport_size["width"]
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate(LEAST_CONTRAST) >= 4.5


@pytest.mark.parametrize("tab", [(390, "light"), (1280, "light")], indirect=True)
def test_the_navigation_stays_in_sight_and_hides_no_heading(tab, address):
    tab.goto(f"{address}#figure-12-sandwich")
    navigation = tab.locator("nav").bounding_box()
    heading = tab.locator("#figure-12-sandwich h3").bounding_box()
    assert navigation["y"] == 0
    assert heading["y"] >= navigation["height"]
    for link in tab.locator("nav a").all():
        box = link.bounding_box()
        assert box["x"] + box["width"] <= tab.viewport_size["width"]


def test_the_filter_leaves_one_data_set(tab):
    cards = tab.locator(".cards > li:visible")
    everything = cards.count()
    tab.get_by_label("Fashion-MNIST", exact=True).check()
    assert 0 < cards.count() < everything
    assert all(text.startswith("Fashion-MNIST: ") for text in cards.all_inner_texts())
    heads = tab.locator("table").nth(1).locator("thead th:visible")
    assert heads.all_inner_texts() == ["claim", "Fashion-MNIST"]
    assert tab.locator("#claim-largest-gradients-dark").is_visible()  # of Fashion-MNIST alone
    assert tab.locator("#claim-regimes-alike").is_hidden()  # compares data sets
    tab.get_by_label("every data set").check()
    assert cards.count() == everything
