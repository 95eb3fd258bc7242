"""The report's figures: of each its heading, what there is to see, and the picture."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from minirobust.study.report import figures
from minirobust.study.report.markup import Html, element
from minirobust.study.report.selection import NothingStored
from minirobust.study.store import Study

CAPTIONS = {
    "figure-02-sigmoids": (
        "Figure 2: the sigmoids",
        "f(net) at every temperature, with dots where the linear regime ends (small, ± r1) and the saturated one "
        "begins (large, ± r2). The lower T, the steeper the sigmoid and the sooner it saturates.",
    ),
    "figure-03-learning-curves": (
        "Figure 3: learning curves",
        "Accuracy on the test set after every epoch, at selected temperatures.",
    ),
    "figure-04-regimes": (
        "Figure 4: operation in the three regimes",
        "Shares of the last hidden layer's net values in each regime. Every temperature has a column, in which "
        "training runs from left to right; blank is not trained yet.",
    ),
    "figure-05-robustness": (
        "Figure 5: robustness during training",
        "Network robustness against FGSM, in the columns of Figure 4; the line is robustness without an attack. "
        "What stronger attacks leave of it is in Figures 11 and 12.",
    ),
    "figure-06-epsilons": (
        "Figure 6: robustness at several ε",
        "As Figure 5, for every ε: the larger the change that is allowed, the less is left.",
    ),
    "figure-07-ugly-images": (
        "Figure 7: images of largest input gradient",
        "The ten test images that the loss reacts to most: the true class → what the network takes the image for.",
    ),
    "figure-08-gradients": (
        "Figure 8: input gradients and confidence",
        "G is the mean of |∂L/∂x| over an image. Its median, and its correlation with the confidence in the true "
        "class, for each class and temperature: blue is negative.",
    ),
    "figure-09-pixel-attack": (
        "Figure 9: the pixel attack",
        "Share of images that are wrong after a change of up to n pixels, for each class and temperature; those that "
        "were wrong before are counted in.",
    ),
    "figure-10-two-pixels": (
        "Figure 10: two pixels",
        "Images and their two-pixel adversarials, each with the class that the network sees and its confidence. The "
        "changed pixels are circled.",
    ),
    "figure-11-audit": (
        "Figure 11: what the audit leaves (not in the paper)",
        "Robustness under every attack, with 95 % intervals. The shaded area is robustness that FGSM reports and that "
        "other attacks take away.",
    ),
    "figure-12-sandwich": (
        "Figure 12: what is proven, and what the strongest attack leaves (not in the paper)",
        "Robustness lies in the shaded area, between what is proven (▲) and what the strongest attack leaves (▼), on "
        "the same images. The dots are what FGSM alone leaves.",
    ),
    "figure-13-sharpening": (
        "Figure 13: another temperature after training (not in the paper)",
        "The weights stay, and the temperature of every sigmoid is multiplied. A lower temperature makes FGSM fail; "
        "what the strongest attack leaves and what is proven say whether the network has become more robust.",
    ),
}
WIDE = ("figure-08-gradients", "figure-09-pixel-attack")  # numbers in cells: a phone scrolls them rather than shrinks


def figures_of(studies: Sequence[Study]) -> list[Html]:
    """Return every figure; each data set in a picture of its own, which a phone shows one by one."""
    parts = []
    for name, (heading, text) in CAPTIONS.items():
        # All temperatures are in one picture of the sigmoids.
        groups = [list(studies)] if name == "figure-02-sigmoids" else [[study] for study in studies]
        pictures = [_picture(name, heading, group) for group in groups]
        parts.append(
            element(
                "article",
                element("h3", heading),
                element("p", text, class_="soft"),
                element("div", *pictures, class_="pictures"),
            )
        )
    return parts


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
