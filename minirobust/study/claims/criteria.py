"""Every criterion of the study, beside the sentence of the paper that it judges.

The paper reports what was observed, not what would have refuted it, so the criteria are our choice. They were fixed on
2026-11-27, after a first run with one seed and before the runs with several. Results must not change them.

*Threshold.* A figure lies beyond a threshold if its whole 95 % interval does. If only part of the interval does, the
case is undecided. The interval covers other test images, and other seeds where a study has several (see
`statistics.over_seeds`).

*Quantifier.* It follows the paper's wording. "all", "any", "regardless", "consistently" and "implies" require every
case, and so does a sentence that names its cases, such as both ends. "almost all" requires 95 %, "in many cases" a
tenth, and "even", "up to" and "exception" one case. "most" requires more than half, and so does a sentence without such
a word, as in "networks are". Cases that are not measured yet, or are undecided, stay open.

*Who counts.* Networks that learned nothing are left out, except where learning itself is the subject. So are
comparisons in which nothing is left to compare.

*Stronger attacks.* A claim about robustness is judged again on the audited images, with the strongest attack, at every
ε of the audit at which some robustness is left. It survives if it holds at all of them and, for a trend, if the
strongest attack keeps half of the difference that FGSM shows between the ends. It reverses if a trend has the opposite
sign at some ε below the main one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from minirobust.study.claims.verdict import Case, Direction, Quantifier, Ruling, beyond, quantified

FIXED = "2026-11-27"

# Who counts
LEARNED = 2  # times chance
LEAST_TEMPERATURES = 5  # for a trend
LEAST_IMAGES = 50  # of a class, for a figure of that class: the 95 % interval of a rate is then at most ± 0.13
LEAST_WRONG = 10  # images, and as many right, for an area under the ROC curve
LEAST_EPOCHS = 10  # for a correlation over training
ENOUGH_TO_MISS = 100  # images: if none of them shows something, at most 3 % of all do (the rule of three)
NOISE = 0.2  # of the variance over classes: above it, few images alone can make two orders differ
# What is large enough to matter
EFFECT = 0.05  # of robustness, between two networks
LEFT = 0.05  # of robustness: if no network keeps more, there is nothing to compare
KEPT = 0.5  # of what FGSM shows between the ends, under the strongest attack
MOVED = 0.01  # of the net values: a smaller share is invisible in Figure 4
DRASTIC = 0.5  # of the net values
STEEP = 0.5  # of the summed slope in its steepest tenth: five times that tenth's share
RISE = 0.01  # of robustness, with ε: the attack was misled, as in the audit
FURTHER = 0.001  # of the images are fooled by one more pixel
FEW = 0.1  # of the sum of G in a hundredth of the images: ten times their share
ORDER = 0.7  # of Spearman's ρ over temperatures
ALIKE = 0.6  # of Spearman's ρ over classes
TOGETHER = 0.5  # of Spearman's ρ over training
STRONG = -0.5  # of Pearson's r, after Cohen (1988)
CERTAIN, SIGNIFICANT = 0.001, 0.05  # levels of p; the first is the paper's
# Parts of definitions
OWN_FINAL = 0.95  # of the network's own final accuracy: it has converged
TOP = 0.01  # of the images, those of largest G
MARGIN = 1 / 7  # of an image's side: 4 of 28 pixels, which MNIST leaves free around every digit
CONFIDENT = 0.9
PERIODS = 10  # of training, so that runs of different lengths can be compared
MANY = 0.1  # of the images: the same tenth as for cases

# What the paper prints, to half of the last digit
REACHED = {"mnist": 0.975, "fashion-mnist": 0.895, "svhn": 0.915, "cifar10": 0.645}  # 0.98, 0.90, 0.92, 0.65
TEST_IMAGES = {"mnist": 10_000, "fashion-mnist": 10_000, "svhn": 26_032, "cifar10": 10_000}
RANGES = {"mlp": (1 / 64, 16.0), "cnn": (1 / 8, 8.0)}
G_RANGE = {"mnist": 0.0002, "fashion-mnist": 0.2, "svhn": 0.04, "cifar10": 0.15}  # the second "SVHN" is CIFAR-10
G_WITHIN = {"mnist": 0.00025, "fashion-mnist": 0.25, "svhn": 0.045, "cifar10": 0.155}
G_HALF = {name: end / 2 for name, end in G_RANGE.items()}  # a printed range is more than half used

DATASETS = ("mnist", "fashion-mnist", "svhn", "cifar10")
ALL, NOT_FASHION = (*DATASETS, None), ("mnist", "svhn", "cifar10", None)  # None: a data set that is not in the paper
FGSM, PIXELS = "robustness against FGSM", "robustness against pixels"
OPPOSITE: Mapping[Direction, Direction] = {"rises": "falls", "falls": "rises"}
PerDataset = float | Mapping[str, float]


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, and how it is judged.

    Attributes
    ----------
    name, section, sentence : str
        A short name, where the sentence stands, and its words.
    measure, quantity, other : str
        What is compared: names of `measures.MEASURES` and `sources.SOURCES`.
    direction, threshold, order, quantifier
        When a case meets the claim, and how many cases must.
    datasets : tuple of str or None
    learning, compares, denies : bool
    audit : str or None
        Which part of an audit tells whether the claim survives stronger attacks.
    """

    name: str
    section: str
    sentence: str  # in the paper's words
    measure: str  # one of `measures.MEASURES`: which cases are compared, and how
    quantity: str  # one of `sources.SOURCES`; empty if the measure takes none
    direction: Direction
    threshold: PerDataset
    quantifier: Quantifier = "all"  # how many cases must lie beyond the threshold
    order: PerDataset | None = None  # the threshold of a second condition, such as a trend's ρ: see the measure
    other: str = ""  # a second quantity
    datasets: tuple[str | None, ...] = ALL  # that the sentence is about
    learning: bool = False  # whether networks that learned nothing count, since learning is the subject
    compares: bool = False  # whether it is about several data sets at once
    audit: Literal["every ε", "main ε", "pixels", "never"] | None = None  # "never": audits do not measure it
    denies: bool = False  # whether the sentence denies the comparison

    def rulings(self, cases: Sequence[Case], dataset: str | None) -> list[Ruling]:
        """Return which cases lie beyond the threshold and meet the second condition."""
        found = [beyond(case.estimate, _of(self.threshold, dataset), self.direction) for case in cases]
        if self.order is None:
            return found
        ordered: Direction = self.direction if self.direction in ("rises", "falls") else "above"
        orders = [beyond(case.order, _of(self.order, dataset), ordered) for case in cases]
        return [quantified(both, "all") for both in zip(found, orders, strict=True)]

    def judge(self, cases: Sequence[Case], dataset: str | None) -> Ruling:
        """Return whether enough cases meet the claim."""
        found = quantified(self.rulings(cases, dataset), self.quantifier)
        opposite: dict[Ruling, Ruling] = {"holds": "does not hold", "does not hold": "holds"}
        return opposite.get(found, found) if self.denies else found

    def criterion(self, dataset: str | None) -> str:
        """Return the criterion in words."""
        what = ", ".join(filter(None, (self.measure, self.quantity, self.other)))
        how = f"{'not: ' if self.denies else ''}{self.direction}"
        if dataset is None and isinstance(self.threshold, Mapping):
            return f"{what}: {how} what the paper prints; {self.quantifier}"
        order = "" if self.order is None else f", in order beyond {_of(self.order, dataset):g}"
        by = " by more than" if self.direction in ("rises", "falls") else ""
        return f"{what}: {how}{by} {_of(self.threshold, dataset):g}{order}; {self.quantifier}"


def _of(value: PerDataset, dataset: str | None) -> float:
    return value if isinstance(value, int | float) else value[str(dataset)]


# fmt: off
CLAIMS = (
    # Learning
    Claim("best-accuracy", "4", "We managed to train all our models with up to 98%, 90%, 92% and 65% testing accuracy",
          "best network", "test accuracy", "above", REACHED, "some", datasets=DATASETS, learning=True),
    Claim("extreme-temperatures", "4", "models with extreme temperatures (too high or too low) were the most difficult",
          "both ends minus middle", "test accuracy averaged over the epochs", "falls", 0, learning=True),
    Claim("hardest-to-start", "4", "the hardest task for a given network is to start the learning procedure",
          "both ends minus middle", "epochs before the network has learned", "rises", 0, learning=True),
    Claim("beyond-the-range", "3.1", "beyond these ranges in many cases led to significant drop of network performance",
          "temperatures outside minus worst inside", "accuracy", "falls", 0, "many", learning=True),
    Claim("high-temperature-slow", "5", "greater temperatures converging more slowly",
          "trend over T", "first epoch with 95 % of the own final accuracy", "rises", 0, order=ORDER),
    Claim("gradients-vanish", "4", "Large values of T yield too small gradients",
          "highest end minus middle", "mean slope after the first epoch", "falls", 0),
    Claim("gradients-concentrate", "4", "too small T leads to zero gradients except net ≈ 0 where they are enormous",
          "lowest end", "share of the summed slope in its steepest tenth", "above", STEEP),
    # Regimes
    Claim("linear-falls", "4.1", "Linearity drastically drops with decreasing temperature.",
          "trend over T", "linear share", "rises", DRASTIC, order=ORDER),
    Claim("saturated-rises", "4.1", "In these areas high level of saturation is detected.",
          "trend over T", "saturated share", "falls", DRASTIC, order=ORDER),
    Claim("saturation-grows", "4.1", "For most values of T ... more time in the saturation mode",
          "every temperature", "change of the saturated share", "above", MOVED, "most"),
    Claim("others-shrink", "4.1", "For most values of T ... less time in the linear and non-linear modes",
          "every temperature", "larger change of linear and nonlinear share", "below", -MOVED, "most"),
    Claim("nonlinear-above-linear", "4.1", "albeit the baseline for the latter is significantly higher",
          "every temperature", "nonlinear minus linear share after the first epoch", "above", MOVED, "most"),
    Claim("smoothest-on-mnist", "4.1", "In case of MNIST, these transitions are quite smooth",
          "rougher than MNIST", "saturated share", "above", 0, compares=True),
    Claim("regimes-alike", "4.1", "quite consistent for all four datasets, reveal the dynamics of gradual transitions",
          "data sets in pairs", "course of the three shares", "above", ORDER, compares=True),
    # Robustness against FGSM
    Claim("robustness-falls", "4.1", "more robust when using lower sigmoid temperatures and less robust for high",
          "trend over T", FGSM, "falls", EFFECT, order=ORDER, audit="every ε"),
    Claim("robustness-alike", "4.1", "The same pattern is visible in all cases.",
          "data sets in pairs", "course of robustness", "above", ORDER, compares=True, audit="never"),
    Claim("robustness-follows-saturation", "4.1", "(for any T) tends to correlate with that of the saturation modes",
          "every temperature", "ρ of robustness and saturated share over training", "above", TOGETHER, audit="never"),
    Claim("falls-with-epsilon", "4.1", "consistently see that the higher ε we use, the more successful the attack is",
          "least ε minus greatest", FGSM, "above", 0, order=-RISE),
    Claim("low-temperature-at-every-epsilon", "4.1", "networks trained with lower temperatures are more robust",
          "trend over T at every ε", FGSM, "falls", EFFECT, order=ORDER, audit="every ε"),
    Claim("trade-off", "abstract", "a trade-off between accuracy and robustness of the networks",
          "correlation over T", "accuracy", "below", -ORDER, other=FGSM, audit="every ε"),
    Claim("classes-differ", "5", "Another important finding are the inter-class differences in robustness",
          "every temperature", "p-value of equal classes against FGSM", "below", CERTAIN, "most", audit="every ε"),
    Claim("class-order-fgsm", "5", "but the similarity of robustness for different temperatures",
          "order of classes over T", FGSM, "above", ALIKE, audit="every ε"),
    Claim("convolutional-less-robust", "4.1", "much less robust ..., regardless the temperature and network accuracy",
          "fully connected minus convolutional", FGSM, "above", EFFECT, order=0, compares=True, audit="every ε"),
    # Input gradients
    Claim("mean-gradient-by-few", "4.1", "some inputs had much higher gradient magnitudes than others",
          "every temperature", "share of the sum of G in its largest hundredth", "above", FEW, "most"),
    Claim("largest-gradients-ugly", "4.1", "they were not \"pretty\". Some of them are cropped incorrectly",
          "by eye", "", "above", 0),
    Claim("largest-gradients-dark", "4.1", "or too dark (F-MNIST dataset)",
          "T = 1", "brightness of the images of largest G minus that of all", "below", 0, datasets=("fashion-mnist",)),
    Claim("largest-gradients-wrong", "4.1", "These images are more susceptible to misclassification.",
          "T = 1", "p-value that images of largest G are wrong as often as others", "below", SIGNIFICANT),
    Claim("gradient-ranges", "4.1", "in range [0, 0.0002] for MNIST, [0, 0.2] for Fashion-MNIST, [0, 0.04] for SVHN",
          "largest median of G", "", "below", G_WITHIN, order=G_HALF, datasets=DATASETS),
    Claim("gradient-at-extremes", "4.1", "higher gradients when it is trained with too big or too small temperatures",
          "both ends minus middle", "median of G", "rises", 0, datasets=NOT_FASHION),
    Claim("gradient-by-class", "4.1", "Fashion-MNIST, where gradients depend more on input class than T",
          "classes minus temperatures", "", "above", 0, datasets=("fashion-mnist",)),
    Claim("gradient-and-confidence", "4.1", "strong and negative), significant at p < .001 in almost all cases",
          "every class and temperature", "", "below", CERTAIN, "almost all"),
    Claim("class-3-excepted", "4.1", "exception being the class 3 in CIFAR10 dataset",
          "class 3 at every temperature", "", "above", CERTAIN, "some", datasets=("cifar10",)),
    Claim("correlation-alike", "4.1", "similar in all datasets (strong and negative)",
          "every data set", "", "below", STRONG, compares=True),
    Claim("gradient-predicts-errors", "4.1", "greater gradients are more likely to be classified incorrectly",
          "every temperature", "AUROC of G for errors", "above", 0.5, "most"),
    Claim("gradients-of-digits", "5", "some similarities even between MNIST and SVHN dataset classes",
          "data sets in pairs", "order of classes by G", "above", ALIKE, datasets=("mnist", "svhn"), compares=True),
    # The pixel attack
    Claim("one-pixel", "3.3", "in many cases even one pixel can do the trick",
          "every temperature", "share of images that one pixel fools", "above", MANY, "most"),
    Claim("more-pixels", "3.3", "Naturally, the higher n implies the bigger chance to misclassify the input",
          "every temperature", "share of images that only a further pixel fools", "above", FURTHER),
    Claim("pixel-falls-at-low-temperature", "4.2", "The lower the temperature, the less likely it is to generate",
          "trend over T", PIXELS, "falls", EFFECT, order=ORDER, datasets=NOT_FASHION, audit="pixels"),
    Claim("pixel-fashion-excepted", "4.2", "less robust is the network, except for F-MNIST dataset",
          "trend over T", PIXELS, "falls", EFFECT, order=ORDER, datasets=("fashion-mnist",), audit="pixels",
          denies=True),
    Claim("two-methods-agree", "4.2", "reveal high similarity between pixel attack and FGSM robustness",
          "correlation over T", PIXELS, "above", ORDER, other=FGSM, datasets=NOT_FASHION, audit="main ε"),
    Claim("two-pixels-confident", "4.2", "even two pixels may cause misclassification with a high confidence score",
          "images that two pixels fool", "confident", "above", 0, "some"),
    Claim("border-pixels", "4.2", "even the perturbed pixels at the boundaries (outside the digits) can evoke",
          "images that two pixels fool", "at the border", "above", 0, "some"),
    Claim("classes-differ-pixel", "4.2", "in MNIST and F-MNIST, different classes yield different robustness",
          "every temperature", "p-value of equal classes against pixels", "below", CERTAIN, "most",
          datasets=DATASETS[:2], audit="pixels"),
    Claim("class-order-pixel", "4.2", "Relative robustness remains the same for all temperatures.",
          "order of classes over T", PIXELS, "above", ALIKE, audit="pixels"),
    Claim("convolutional-classes-alike", "4.2", "while in SVHN and CIFAR10 dataset, they are more equal",
          "fully connected minus convolutional", "spread of classes against pixels", "above", 0, "most", compares=True,
          audit="pixels"),
)
# fmt: on
