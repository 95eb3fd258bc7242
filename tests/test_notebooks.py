"""Tables in a notebook: they contain the object's numbers, and hostile text is escaped."""

import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import minirobust as mr
from minirobust.tables import html_table


class Cells(HTMLParser):
    """The text of every cell, row by row, and the tags and attributes in use."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.tags, self.caption, self.inside = [], set(), "", None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        assert {name for name, _ in attributes} <= {"style"}
        self.inside = tag
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "td":
            self.rows[-1][-1] += data
        else:
            self.caption += data


@pytest.fixture
def network():
    return mr.Network([mr.Flatten(), mr.Dense(5), mr.TemperatureSigmoid(0.5), mr.Dense(3)], (4, 4, 1), dtype="float64")


@pytest.fixture
def samples(rng):
    return rng.random((12, 4, 4, 1)), rng.integers(0, 3, 12)


def test_network_has_an_html_table(network):
    page = Cells(network._repr_html_())
    assert page.rows[0] == ["layer", "output shape", "parameters"]
    assert page.rows[3] == ["1 Dense(5)", "(5,)", "85"]  # 16 · 5 + 5
    assert page.rows[-1] == ["total", "", f"{network.parameters.size}"]
    assert "float64" in page.caption


def test_history_has_an_html_table(network, samples):
    history = mr.fit(network, mr.SGD(network), samples, epochs=3, progress=False)
    page = Cells(history._repr_html_())
    assert [row[:2] for row in page.rows[1:]] == [[f"{e.epoch}", f"{e.loss:.4f}"] for e in history]
    assert isinstance(history, list)


def test_attack_has_an_html_table(network, samples):
    result = mr.attacks.fgsm(network, *samples, 0.3)
    header, numbers = Cells(result._repr_html_()).rows
    shown = dict(zip(header, numbers, strict=True))
    assert shown["images"] == "12"
    assert shown["fooled"] == f"{result.fooled.mean():.1%}"
    assert shown["right before"] == f"{result.clean_correct.mean():.1%}"
    assert shown["queries"] == f"{result.queries}"


def test_pixel_attack_has_an_html_table(network, samples):
    result = mr.attacks.pixel(network, *samples, pixels=2)
    header, numbers = Cells(result._repr_html_()).rows
    shown = dict(zip(header, numbers, strict=True))
    assert [shown[f"fooled by {n}"] for n in (1, 2)] == [f"{row.mean():.1%}" for row in result.fooled_at]
    assert "epsilon" not in result._repr_html_()


def test_gradient_report_has_an_html_table(network, samples):
    report = mr.gradcheck(network, samples[0])
    page = Cells(report._repr_html_())
    assert [row[0] for row in page.rows[1:]] == [tensor.name for tensor in report.tensors]
    assert [row[-1] for row in page.rows[1:]] == [f"{tensor.error:.2g}" for tensor in report.tensors]
    assert "every gradient is right" in page.caption


def test_trace_has_an_html_table(network, samples):
    with mr.trace(network) as record:
        network.predict(samples[0])
    page = Cells(record._repr_html_())
    assert [row[0] for row in page.rows[1:]] == [row.label for row in record.rows]
    assert [row[5] for row in page.rows[1:]] == [f"{row.mean:.3g}" for row in record.rows]
    network.parameters[0] = np.nan
    with mr.trace(network) as record, pytest.raises(mr.NonFiniteError):
        network.predict(samples[0])
    assert "is the first with NaN or infinity" in record._repr_html_()


def test_audit_has_an_html_table(network, samples):
    report = mr.audit(network, *samples, 0.1, [network], "quick")
    page = Cells(report._repr_html_())
    rates = {row[0]: row[1] for row in page.rows if len(row) == 4}
    assert all(rates[name] == f"{rate.value:.3f}" for name, rate in report.robustness.items())
    assert [row[0] for row in page.rows if len(row) == 5][1:] == [f"{check.number}" for check in report.checks]
    assert report.verdict in page.caption


def test_text_is_escaped_and_control_characters_are_shown():
    hostile = '<script src="http://127.0.0.1/x.js">&\x1b[2J'
    page = html_table([(hostile, "1")], caption=hostile)
    assert Cells(page).tags == {"table", "caption", "tr", "td"}
    assert Cells(page).rows == [[hostile.replace("\x1b", "\\x1b"), "1"]]
    assert html.escape(hostile[:7]) in page


def test_a_page_is_small_and_sets_no_colour(network):
    page = network._repr_html_()
    assert len(page) < 3_000
    assert not re.search(r"http|color|background|#|url\(|class=|<style|<link|<script", page)
