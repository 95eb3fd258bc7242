"""The report's figures: the heading of each, what it shows, its pictures, and which claims and tables belong to it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from minirobust.study.report import figures
from minirobust.study.report.markup import Html, element
from minirobust.study.report.selection import NothingStored
from minirobust.study.store import Study


class Caption(NamedTuple):
    """What the report says about a figure.

    Attributes
    ----------
    heading, text : str
    tables : tuple of str
        The tables of `minirobust.study.tidy` that hold its numbers.
    claims : tuple of str
        The names of the claims that it shows.
    """

    heading: str
    text: str
    tables: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """The figure's name in a sentence, such as "Figure 5"."""
        return self.heading.partition(":")[0]


AGAINST_FGSM = (
    "robustness-falls",
    "low-temperature-at-every-epsilon",
    "trade-off",
    "classes-differ",
    "class-order-fgsm",
    "convolutional-less-robust",
)
AGAINST_PIXELS = (
    "pixel-falls-at-low-temperature",
    "pixel-fashion-excepted",
    "two-methods-agree",
    "classes-differ-pixel",
    "class-order-pixel",
    "convolutional-classes-alike",
)
CAPTIONS = {
    "figure-02-sigmoids": Caption(
        "Figure 2: the sigmoids",
        "f(net) at every temperature. Small dots mark the end of the linear regime (± r1), large dots the beginning of "
        "the saturated regime (± r2). The lower T, the steeper the sigmoid and the sooner it saturates.",
    ),
    "figure-03-learning-curves": Caption(
        "Figure 3: learning curves",
        "Accuracy on the test set after every epoch, at selected temperatures. With several seeds, a curve is their "
        "median, in a band from the lowest to the highest.",
        ("epochs",),
        (
            "best-accuracy",
            "extreme-temperatures",
            "hardest-to-start",
            "beyond-the-range",
            "high-temperature-slow",
            "gradients-vanish",
            "gradients-concentrate",
        ),
    ),
    "figure-04-regimes": Caption(
        "Figure 4: operation in the three regimes",
        "The shares of the last hidden layer's net values in each regime. Every temperature has a column, in which "
        "training runs from left to right. Epochs that are not trained yet are blank.",
        ("epochs",),
        (
            "linear-falls",
            "saturated-rises",
            "saturation-grows",
            "others-shrink",
            "nonlinear-above-linear",
            "smoothest-on-mnist",
            "regimes-alike",
            "robustness-follows-saturation",
        ),
    ),
    "figure-05-robustness": Caption(
        "Figure 5: robustness during training",
        "Network robustness against FGSM, in the columns of Figure 4. The line is robustness without an attack. "
        "Figures 11 and 12 show what stronger attacks leave of it.",
        ("network_robustness", "robustness"),
        ("robustness-alike", "robustness-follows-saturation", *AGAINST_FGSM),
    ),
    "figure-06-epsilons": Caption(
        "Figure 6: robustness at several ε",
        "Network robustness against FGSM at every ε, in the columns of Figure 4.",
        ("network_robustness", "robustness"),
        ("falls-with-epsilon", "low-temperature-at-every-epsilon"),
    ),
    "figure-07-ugly-images": Caption(
        "Figure 7: images of largest input gradient",
        "The ten test images on which the loss depends most, with the true class → the predicted class.",
        ("images",),
        ("largest-gradients-ugly", "largest-gradients-dark", "largest-gradients-wrong"),
    ),
    "figure-08-gradients": Caption(
        "Figure 8: input gradients and confidence",
        "G is the mean of |∂L/∂x| over an image. The maps show its median and its correlation with the confidence in "
        "the true class, for each class and temperature. Blue is negative.",
        ("gradients", "images"),
        (
            "mean-gradient-by-few",
            "gradient-ranges",
            "gradient-at-extremes",
            "gradient-by-class",
            "gradient-and-confidence",
            "class-3-excepted",
            "correlation-alike",
            "gradient-predicts-errors",
            "gradients-of-digits",
        ),
    ),
    "figure-09-pixel-attack": Caption(
        "Figure 9: the pixel attack",
        "The share of images that are misclassified after up to n pixels change, for each class and temperature. "
        "Images that were misclassified before the attack are included.",
        ("pixels",),
        ("one-pixel", "more-pixels", *AGAINST_PIXELS),
    ),
    "figure-10-two-pixels": Caption(
        "Figure 10: two pixels",
        "Images and their two-pixel adversarials, with the predicted class and its confidence. Circles mark the two "
        "pixels.",
        ("two_pixels",),
        ("two-pixels-confident", "border-pixels"),
    ),
    "figure-11-audit": Caption(
        "Figure 11: robustness under every attack (not in the paper)",
        "The shaded area is robustness against FGSM that other attacks remove. Bars are 95 % intervals over test "
        "images. With several seeds, points are medians and bars reach from the lowest to the highest seed.",
        ("audit", "checks"),
        (*AGAINST_FGSM, *AGAINST_PIXELS),
    ),
    "figure-12-sandwich": Caption(
        "Figure 12: bounds of robustness (not in the paper)",
        "Robustness lies in the shaded area, between what is proven (▲) and what the strongest attack leaves (▼) on "
        "the same images. Dots are what FGSM alone leaves. Bars are as in Figure 11.",
        ("audit",),
        AGAINST_FGSM,
    ),
    "figure-13-sharpening": Caption(
        "Figure 13: another temperature after training (not in the paper)",
        "The weights stay the same, and the temperature of every sigmoid is multiplied by one factor. A lower "
        "temperature makes FGSM fail. Whether the network has become more robust is shown by the strongest attack and "
        "by what is proven.",
        ("sharpened",),
        ("robustness-falls",),
    ),
}
# Their text would be too small to read if a phone shrank them, so they scroll.
WIDE = ("figure-08-gradients", "figure-09-pixel-attack", "figure-13-sharpening")
WIDEST = "figure-13-sharpening"  # two of it do not fit side by side


def figures_of(studies: Sequence[Study], tables: Mapping[str, str], claims: Sequence[str]) -> list[Html]:
    """Return every figure, with a picture for each data set, so that a phone shows them one by one.

    Parameters
    ----------
    studies : sequence of Study
    tables : mapping of str to str
        Where the CSV files of the tidy tables are, relative to the page.
    claims : sequence of str
        The names of the claims on the page.
    """
    contents = element(
        "ul", *(element("li", link_to(name)) for name in CAPTIONS), class_="inline", aria_label="All figures"
    )
    return [contents, *(_figure(name, studies, tables, claims) for name in CAPTIONS)]


def _figure(name: str, studies: Sequence[Study], tables: Mapping[str, str], claims: Sequence[str]) -> Html:
    caption = CAPTIONS[name]
    # All temperatures are in one picture of the sigmoids.
    groups = [list(studies)] if name == "figure-02-sigmoids" else [[study] for study in studies]
    pictures = element(
        "div",
        *(_picture(name, caption.heading, group) for group in groups),
        class_=f"pictures{' rows' * (name == WIDEST)}",
    )
    links = [
        (
            "Claims: ",
            [element("a", words(claim), href=f"#claim-{claim}") for claim in caption.claims if claim in claims],
        ),
        ("Numbers: ", links_to_tables(caption.tables, tables)),
    ]
    below = [element("p", label, commas(found), class_="soft") for label, found in links if found]
    return element(
        "article", element("h3", caption.heading), element("p", caption.text, class_="soft"), pictures, *below, id=name
    )


def _picture(name: str, heading: str, studies: Sequence[Study]) -> Html:
    titles = ", ".join(study.title for study in studies)
    try:
        drawn = figures.render(figures.drawn(name, studies), "svg")
    except NothingStored as reason:
        return element("p", f"{titles}: not drawn yet: {reason}.")
    data = base64.b64encode(drawn).decode("ascii")
    picture = element("img", src=f"data:image/svg+xml;base64,{data}", alt=f"{heading}; {titles}")
    if name in WIDE:
        picture = element(
            "div", picture, class_="scroll", tabindex="0", role="region", aria_label=f"{heading}; {titles}"
        )
    return element("figure", picture)


def shown_in(claim: str, tables: Mapping[str, str]) -> list[Html]:
    """Return a paragraph with links to the figures of a claim and to their numbers; nothing if it has no figure."""
    found = [name for name, caption in CAPTIONS.items() if claim in caption.claims]
    if not found:
        return []
    needed = dict.fromkeys(table for name in found for table in CAPTIONS[name].tables)
    numbers = links_to_tables(list(needed), tables)
    parts = [
        "Shown in ",
        commas([link_to(name) for name in found]),
        *(["; numbers: ", commas(numbers)] if numbers else []),
    ]
    return [element("p", *parts, ".", class_="soft")]


def link_to(figure: str) -> Html:
    """Return a link to a figure on the page."""
    return element("a", CAPTIONS[figure].number, href=f"#{figure}")


def links_to_tables(names: Sequence[str], tables: Mapping[str, str]) -> list[Html]:
    """Return links to the CSV files that exist."""
    return [element("a", tables[name].rpartition("/")[2], href=tables[name]) for name in names if name in tables]


def commas(parts: Sequence[Html]) -> Html:
    """Return elements in one line, with commas between them."""
    return Html(", ".join(parts))


def words(claim: str) -> str:
    """Return the name of a claim as words."""
    return claim.replace("-", " ")
