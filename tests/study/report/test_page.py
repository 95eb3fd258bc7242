"""The report: one valid, self-contained page that shows the stored results."""

import base64
import re
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from synthetic_study import config, study

from minirobust.study import tidy
from minirobust.study.claims import CLAIMS, Verdict
from minirobust.study.config import PRESETS
from minirobust.study.report import captions, figures, runs
from minirobust.study.report import page as report
from minirobust.study.report.figures import FIGURES
from minirobust.study.store import Study

WRITTEN = date(2026, 11, 27)
HOSTILE = "<script>alert('x & \"y\"')</script>"


def verdict(name="robustness-falls", **fields):
    """A verdict; what is not said has a value of no consequence."""
    rest = {
        "claim": "The lower T, the more robust.",
        "section": "4.1",
        "criterion": "trend: falls by more than 0.05",
        "dataset": "MNIST",
        "verdict": "holds",
        "measured": "Spearman's ρ is −0.87 over 11 temperatures.",
        "figures": {},
        "survives": None,
        "survives_verdict": None,
    }
    return Verdict(name, **rest | fields)


class Page(HTMLParser):
    """A page's elements in order, with their attributes and text; complains of tags that do not close each other."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), f"<{tag}> has an attribute twice"
        element = SimpleNamespace(tag=tag, inside=tuple(e.tag for e in self.open), text="", **{"is": dict(attributes)})
        self.elements.append(element)
        if tag not in ("img", "meta", "br", "input"):
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        for element in self.open:
            element.text += data

    def all(self, tag):
        return [element for element in self.elements if element.tag == tag]

    def attributes(self, name):
        return [vars(element)["is"][name] for element in self.elements if name in vars(element)["is"]]

    def table(self, caption):
        """The cells of the table under a caption that begins so, row by row."""
        texts, inside = [], False
        for element in self.elements:
            if element.tag == "table":
                inside = False
            if element.tag == "caption":
                inside = element.text.startswith(caption)
            elif inside and element.tag == "tr":
                texts.append([])
            elif inside and element.tag in ("th", "td"):
                texts[-1].append(" ".join(element.text.split()))
        return texts


def decoded(source):
    """The picture in a data URI."""
    return base64.b64decode(source.partition("base64,")[2]).decode()


@pytest.fixture(scope="module")
def two():
    """A finished study and one that has just begun."""
    begun = study(config(dataset="svhn"), epochs=1, temperatures=(1.0,), attacked=False, audited=False)
    return [study(config()), begun]


@pytest.fixture(scope="module")
def text(two):
    """Return a page with empty pictures; test_figures.py tests the figures themselves."""
    verdicts = [
        verdict("accuracy", claim="Accuracy is 0.98.", figures={"best": 0.98, "missing": None, "p": -1.5e-12}),
        verdict(
            "accuracy", claim="Accuracy is 0.98.", dataset="SVHN", verdict="cannot tell here", measured="9 images."
        ),
        verdict(survives="Under PGD ρ is 0.95.", survives_verdict="rests on a weak attack"),
        verdict(dataset="SVHN", verdict="cannot tell here", survives="No audit.", survives_verdict="cannot tell here"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "render", lambda figure, form: b"<svg/>")
        return report.page(two, verdicts, WRITTEN)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_page_is_complete_and_has_language_title_and_viewport(text, page):
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert [element.text for element in page.all("title")] == ["Temperature and robustness: MNIST, SVHN"]
    assert "width=device-width, initial-scale=1" in page.attributes("content")
    assert [element.tag for element in page.elements if not element.inside] == ["html"]
    assert len(page.all("h1")) == 1


def test_headings_never_skip_a_level(page):
    levels = [int(element.tag[1]) for element in page.elements if re.fullmatch(r"h\d", element.tag)]
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_links_lead_to_places_on_the_page_and_no_name_comes_twice(page):
    places = page.attributes("id")
    assert len(set(places)) == len(places)
    links = page.attributes("href")
    assert links
    assert all(link[1:] in places for link in links if link.startswith("#"))
    assert [link for link in links if link[0] != "#"] == ["https://doi.org/10.1007/978-3-030-61609-0_6"]


def test_nothing_is_fetched(text, page):
    assert not [element for element in page.elements if element.tag in ("link", "script", "iframe", "object", "base")]
    assert all(source.startswith("data:image/") for source in page.attributes("src"))
    (style,) = page.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.attributes("content")


def test_every_picture_has_a_text_and_every_table_its_headings(page):
    pictures = page.all("img")
    alternatives = page.attributes("alt")
    assert len(alternatives) == len(pictures) == len(set(alternatives))
    assert all("MNIST" in text or "SVHN" in text for text in alternatives)
    assert all(vars(element)["is"].get("scope") in ("row", "col") for element in page.all("th"))
    scrolling = [vars(element)["is"] for element in page.elements if vars(element)["is"].get("class") == "scroll"]
    assert scrolling
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in scrolling)


def test_every_figure_is_there_or_says_why_not(page):
    headings = [element.text for element in page.all("h3") if element.text.startswith("Figure ")]
    assert [int(heading.split()[1].rstrip(":")) for heading in headings] == list(range(2, 14))
    assert list(captions.CAPTIONS) == list(FIGURES)
    assert len(page.all("img")) == 1 + 4 * 2 + 7  # sigmoids; epochs of both studies; the rest of the finished one
    missing = [element.text for element in page.all("p") if "not drawn yet" in element.text]
    assert len(missing) == 7
    assert all(line.startswith("SVHN: ") for line in missing)


def test_each_claim_stands_once_with_a_verdict_for_each_data_set(page):
    claims = [element for element in page.all("article") if "claim-" in vars(element)["is"].get("id", "")]
    assert [vars(element)["is"]["id"] for element in claims] == ["claim-accuracy", "claim-robustness-falls"]
    first, second = (" ".join(element.text.split()) for element in claims)
    assert first.count("Accuracy is 0.98.") == 1
    assert "MNIST: ✓ holds Spearman's ρ is −0.87 over 11 temperatures." in first
    assert "SVHN: ? cannot tell here 9 images." in first
    assert "best 0.98 missing – p −1.5e−12" in first
    assert "MNIST: ✓ holds" in second
    assert "Under stronger attacks: ✗ rests on a weak attack Under PGD ρ is 0.95." in second
    assert "SVHN: ? cannot tell here" in second
    assert "Under stronger attacks: ? cannot tell here No audit." in second
    assert page.table("How many claims") == [
        ["data set", "✓ holds", "✗ does not hold", "? cannot tell here", "of those that hold, under stronger attacks"],
        ["MNIST", "2", "0", "0", "1: rests on a weak attack"],
        ["SVHN", "0", "0", "2", ""],
    ]
    assert page.table("All verdicts") == [
        ["claim", "MNIST", "SVHN"],
        ["accuracy", "✓ holds", "? cannot tell here"],
        ["robustness falls", "✓ holds ✗ rests on a weak attack", "? cannot tell here"],
    ]


def test_the_criterion_stands_beside_the_sentence_or_beside_each_verdict_where_they_differ(page, unrendered):
    second = page.all("article")[1]
    assert second.text.count("Asked: trend: falls by more than 0.05.") == 1
    verdicts = [verdict("a", dataset=name, criterion=f"above {bar}") for name, bar in (("MNIST", 0.9), ("SVHN", 0.8))]
    text = Page(report.page([], verdicts, WRITTEN)).all("article")[0].text
    assert "Asked: above 0.9." in text
    assert "Asked: above 0.8." in text


@pytest.fixture
def unrendered(monkeypatch):
    """Spares the time that pictures take, where a test looks at none."""
    monkeypatch.setattr(figures, "drawn", lambda name, studies: None)
    monkeypatch.setattr(figures, "render", lambda figure, form: b"<svg/>")


def test_a_claim_that_is_not_about_a_data_set_leaves_a_dash_there(two, unrendered):
    verdicts = [verdict("a", dataset="MNIST"), verdict("b", dataset="all")]
    table = Page(report.page(two, verdicts, WRITTEN)).table("All verdicts")
    assert table == [["claim", "MNIST", "data sets compared"], ["a", "✓ holds", "–"], ["b", "–", "✓ holds"]]


def test_a_radio_button_for_each_data_set_hides_the_verdicts_on_the_others(page):
    choices = [vars(element)["is"]["id"] for element in page.all("input")]
    assert choices == ["show-every", "show-0", "show-1"]
    assert [element.text.strip() for element in page.all("label")] == ["every data set", "MNIST", "SVHN"]
    (style,) = page.all("style")
    about = {}
    for element in page.elements:
        classes = vars(element)["is"].get("class", "").split()
        if "about" in classes:
            about.setdefault(element.tag, []).append([name for name in classes if name.startswith("about-")])
    for index, name in enumerate(["MNIST", "SVHN"]):
        assert f"#claims:has(#show-{index}:checked) .about:not(.about-{index}) {{ display: none; }}" in style.text
        cards = [element for element in page.all("li") if f"about-{index}" in vars(element)["is"].get("class", "")]
        assert [card.text.split(":")[0] for card in cards] == [name, name]
    assert about["li"] == [["about-0"], ["about-1"]] * 2
    assert about["article"] == about["tr"] == [["about-0", "about-1"]] * 2
    assert about["th"] == [["about-0"], ["about-1"]]
    assert about["td"] == [["about-0"], ["about-1"]] * 2


def test_claims_lead_to_their_figures_and_figures_to_their_claims(two, unrendered):
    tables = {"network_robustness": "tables/network_robustness.csv", "audit": "tables/audit.csv.gz"}
    page = Page(report.page(two, [verdict(), verdict("something-else")], WRITTEN, tables))
    claim, other = (element for element in page.all("article") if "claim-" in vars(element)["is"].get("id", ""))
    assert "Shown in Figure 5, Figure 11, Figure 12, Figure 13; numbers: " in claim.text
    assert "numbers: network_robustness.csv, audit.csv.gz." in claim.text
    assert "Shown in" not in other.text
    figure = next(e for e in page.all("article") if vars(e)["is"].get("id") == "figure-05-robustness")
    assert "Claims: robustness falls\n" in figure.text
    assert "Numbers: network_robustness.csv\n" in figure.text
    links = page.attributes("href")
    assert links.count("#claim-robustness-falls") == 5  # four figures and the table of all verdicts
    assert links.count("#figure-05-robustness") == 2  # the claim and the list of figures


def test_every_claim_has_a_figure_and_every_table_is_behind_one():
    shown = {claim for caption in captions.CAPTIONS.values() for claim in caption.claims}
    assert shown == {claim.name for claim in CLAIMS}
    behind = {table for caption in captions.CAPTIONS.values() for table in caption.tables}
    assert behind == set(tidy.KINDS) - {"classes"}


def test_links_lead_to_the_tables_that_are_in_the_folder(two, tmp_path, unrendered):
    (tmp_path / "my tables").mkdir()
    for name in ("epochs.csv", "audit.csv.gz", "else.csv"):
        (tmp_path / "my tables" / name).touch()
    (tmp_path / "pages").mkdir()
    report.write_report(two, [], tmp_path / "pages" / "report.html", tmp_path / "my tables")
    links = Page((tmp_path / "pages" / "report.html").read_text()).attributes("href")
    found = {link for link in links if link.startswith("..")}
    assert found == {"../my%20tables/epochs.csv", "../my%20tables/audit.csv.gz"}


def test_the_page_says_when_and_by_which_code_it_was_made(unrendered):
    made = study(config())
    for day, record in zip(("2026-11-03", "2026-11-25", "2026-11-25"), made.records, strict=True):
        record.environment |= {"date": day, "commit": "abc123", "numpy": "2.4"}
    text = " ".join(" ".join(element.text.split()) for element in Page(report.page([made], [], WRITTEN)).all("p"))
    assert "Written on 27 November 2026 by minirobust " in text
    assert (
        "The networks were trained by minirobust 9.8.7 (commit abc123) with Python 3.99 and NumPy 2.4, "
        "begun between 3 November 2026 and 25 November 2026."
    ) in text
    for record in made.records:
        del record.environment["date"], record.environment["commit"]
    text = report.page([made], [], WRITTEN)
    assert "minirobust 9.8.7 (commit not recorded) with Python 3.99 and NumPy 2.4.</p>" in text


def test_a_study_in_which_little_was_learned_is_one_paragraph(unrendered):
    dull = study(config(dataset="svhn"))
    for one in dull.records[:2]:
        one.epochs["class_accuracy"][-1] = 1 / 3
    verdicts = [verdict(), verdict(dataset="SVHN", verdict="cannot tell here")]
    page = Page(report.page([study(config()), dull], verdicts, WRITTEN))
    (header,) = page.all("header")
    assert (
        "SVHN is left out of the claims, figures and audits. At 2 of 3 temperatures the networks learned nothing: "
        "their accuracy is less than 2 times chance. The best network, at T = 4, reaches 0.80."
    ) in header.text
    sections = {vars(element)["is"]["id"]: element.text for element in page.all("section")}
    assert not any("SVHN" in sections[name] for name in ("claims", "figures", "audit"))
    assert "SVHN" in sections["run"]


def test_the_audit_gives_each_rate_with_its_interval(page):
    head, *rows = page.table("MNIST: robustness at ε = 0.1 with 95 % intervals, 6 test images")
    attacks = ["clean", "noise", "FGSM", "PGD", "transfer", "Square", "worst case", "brute-force pixel"]
    assert head == ["network", *attacks]
    assert [row[0] for row in rows] == ["T = 1/4", "T = 1", "T = 4"]
    # 0.9 less 0.1 for each attack before it and 0.05 for each temperature, from -0.02 to +0.03.
    assert rows[0][1] == "0.900 0.880 to 0.930"
    assert rows[1][head.index("FGSM")] == "0.650 0.630 to 0.680"
    assert rows[2][head.index("worst case")] == "0.100 0.080 to 0.130"


def test_the_audit_says_which_checks_flagged_and_what_that_means(page):
    head, *rows = page.table("MNIST: checks of the gradient")
    assert head == ["network", "1 gradient health", "4 FGSM against PGD", "6 transfer"]
    assert rows[1] == ["T = 1", "✓ pass", "⚑ flagged figures of check 4", "– not run"]
    entries = [element.text.strip() for element in page.elements if element.tag in ("dt", "dd")]
    verdict = entries[entries.index("T = 4") + 1]
    assert verdict == "FGSM is too weak here (check 4): robustness at ε = 0.1 is at most 0.100."
    meaning = entries[entries.index("Check 4, FGSM against PGD: FGSM too weak here") + 1]
    assert meaning == (
        "Flagged if: gap > 0.10. Here: T = 1/4, T = 1, T = 4. The loss bends within ε. Report PGD's figure."
    )
    assert "No network of this data set has been audited yet." in [element.text.strip() for element in page.all("p")]


def test_runs_are_listed_with_times_and_checksums(page):
    _, *finished = page.table("MNIST: the networks")
    assert finished[1] == ["T = 1", "2 of 2", "0.700", "6.0 s", "2.0 s", "5.0 s", "7.0 s"]
    _, *begun = page.table("SVHN: the networks")
    assert begun == [["T = 1", "1 of 2", "0.600", "3.0 s", "1.0 s", "–", "–"]]
    paragraphs = [element.text.strip() for element in page.all("p")]
    assert "3 of 3 networks are trained to the end, 3 are audited." in paragraphs
    assert "0 of 3 networks are trained to the end, 0 are audited." in paragraphs
    assert "c0ffee" * 10 + "beef" in [element.text.strip() for element in page.all("dd")]
    configurations = [element.text for element in page.all("pre")]
    assert config().to_toml().strip() + "\n" in [text.rstrip("\n") + "\n" for text in configurations]


def test_seeds_are_named_where_there_are_several(unrendered):
    _, *rows = Page(report.page([study(config(seeds=(0, 1)))], [], WRITTEN)).table("MNIST: the networks")
    assert [row[0] for row in rows][2:4] == ["T = 4, seed 0", "T = 1/4, seed 1"]


@pytest.mark.parametrize(
    ("changed", "command"),
    [
        (PRESETS["fashion-mnist"], "minirobust study run fashion-mnist --output results/fashion-mnist"),
        (
            PRESETS["svhn"].but(dataset="/home/me/my s.h5", seeds=(0, 1)),
            "minirobust study run svhn --dataset 'my s.h5' --seeds 0,1 --output results/my-s",
        ),
        (
            PRESETS["cifar10"].but(dataset="/data/cifar10-25k.h5"),
            "minirobust study run cifar10 --dataset cifar10-25k.h5 --output results/cifar10-25k",
        ),
        (
            PRESETS["quick"].but(temperatures=(0.25, 1.0), audit_budget="full"),
            "minirobust study run quick --temperatures 0.25,1.0 --audit-budget full --output results/digits",
        ),
    ],
)
def test_the_commands_give_the_same_configuration_again(changed, command, unrendered):
    pre = Page(report.page([Study(changed, [])], [], WRITTEN)).all("pre")[-1].text.strip().splitlines()
    folder = command.split()[-1]
    assert pre == [command, f"minirobust study figures {folder}", f"minirobust report {folder}"]


def test_hostile_names_are_escaped(monkeypatch):
    one = "figure-03-learning-curves"  # whose titles are made like those of the others
    monkeypatch.setattr(captions, "CAPTIONS", {one: captions.CAPTIONS[one]})
    hostile = study(config(dataset=f"somewhere/{HOSTILE.replace('/', '')}.h5"))
    hostile.records[0].environment["python"] = HOSTILE
    hostile.records[0].audit["verdict"] = HOSTILE
    hostile.records[0].audit["checks"][1] |= {"name": HOSTILE, "text": HOSTILE, "meaning": HOSTILE}
    said = Verdict("a", HOSTILE, HOSTILE, HOSTILE, HOSTILE, "holds", HOSTILE, {HOSTILE: 1.0}, HOSTILE, "survives")
    text = report.page([hostile], [said], WRITTEN)
    assert "<script" not in text
    page = Page(text)
    assert not page.all("script")
    assert not any("<script" in decoded(source) for source in page.attributes("src"))
    shown = " ".join(element.text for element in page.all("main"))
    assert shown.count(HOSTILE) >= 10


@pytest.mark.parametrize("studies", [[], [Study(config(), [])]])
def test_page_without_studies_is_valid(studies, unrendered):
    page = Page(report.page(studies, [], WRITTEN))
    assert "No claim was judged." in [element.text.strip() for element in page.all("p")]


def test_page_does_not_reveal_the_path_of_a_data_set(unrendered):
    text = report.page([study(config(dataset="/home/me/data/mine.h5"))], [], WRITTEN)
    assert 'dataset = "mine.h5"' in text
    assert "/home/me" not in text


def test_the_page_is_written_whole_with_its_verdicts(tmp_path, two, unrendered):
    path = tmp_path / "report.html"
    path.write_text("old")
    report.write_report(two, [verdict(measured="the judge was here")], path)
    assert "the judge was here" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full_disk(self, *arguments, **options):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="no space"):
        report.write_report([], [], path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (4.21, "4.2 s"),
        (59.97, "1 min 00 s"),
        (200.4, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7530, "2 h 05 min"),
    ],
)
def test_times_are_written_in_readable_units(seconds, text):
    assert runs.duration(seconds) == text
