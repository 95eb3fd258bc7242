"""Claims about the pixel attack (sections 3.3, 4.2 and 5), and what trying every single pixel leaves of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minirobust.study.claims.evidence import Sweep, count, is_fashion, is_not_fashion, span, sweep
from minirobust.study.claims.robustness import order, order_survives
from minirobust.study.claims.statistics import UNDECIDED, monotone, spearman, trend_of_rates
from minirobust.study.claims.stronger import standings, survival, trend_survives, with_survival
from minirobust.study.claims.verdict import CannotTellError, Finding, Ruling, Survival, claim
from minirobust.study.store import Record, Study

MANY = 0.05  # of the images, from which on we speak of many cases
NEWLY = 6  # images that only one more pixel fools: in the sign test 2 / 2^6 = 0.03
CONFIDENT = 0.9
ENOUGH_TO_MISS = 100  # images: if none of them shows something, at most 3 % of all do (the rule of three)
MARGIN = 1 / 7  # of an image's side: 4 of 28 pixels, which MNIST leaves free around every digit


@claim("one-pixel", "3.3", "In many cases one pixel is enough to fool the network.", about_robustness=True)
def one_pixel(study: Study) -> Finding:
    """Holds if at more than half of the temperatures one pixel fools at least 5 % of the initially correct images."""
    compared = sweep(study, extent="most")
    success = np.nanmean(compared.final("pixel_success_of_correct")[:, 0], axis=1)
    many, n = int((success >= MANY).sum()), len(success)
    measured = (
        f"One pixel fools {span(success, '.1%')} of the initially correct images, and at least {MANY:.0%} "
        f"at {many} of {count(n, 'temperature')}.{compared.note}"
    )
    ruling: Ruling = "holds" if many > n / 2 else "does not hold"
    figures = {"least": success.min(), "most": success.max(), "temperatures": n, "many": many}
    return with_survival(Finding(ruling, measured, figures), lambda: _every_pixel(compared))


def _every_pixel(compared: Sweep) -> tuple[str, Survival]:
    audited = [record for record in compared.records if "fooled/brute-force pixel" in record.audited]
    if not audited:
        raise CannotTellError("No network is audited.")
    ranked, brute = [], []
    for record in audited:
        tried = record.audited["pixel_samples"]
        right = (record.final["prediction"] == record.final["label"])[tried]
        ranked.append(float((record.final["pixel_count"][tried] == 1)[right].mean()))
        brute.append(float(record.audited["fooled/brute-force pixel"][right].mean()))
    text = (
        f"Trying every pixel can only fool more: {span(brute, '.1%')} of the audited images that were right "
        f"beforehand, where the pixel of largest gradient fools {span(ranked, '.1%')}."
    )
    return text, "survives"


@claim("more-pixels", "4.2", "The more pixels are changed, the more images the attack fools.")
def more_pixels(study: Study) -> Finding:
    """Holds if at every temperature each further pixel fools at least 6 images more: in the sign test p = 0.03.

    It can never fool fewer, because what fewer pixels do is tried first.
    """
    compared = sweep(study, extent="most")
    most = study.config.pixels
    if most < 2:
        raise CannotTellError("The study changes one pixel only.")
    more = np.array(
        [[(record.final["pixel_count"] == n).sum() for n in range(2, most + 1)] for record in compared.records]
    )
    success = np.nanmean(compared.final("pixel_success"), axis=2)
    listed = ", ".join(f"{span(success[:, n], '.1%')} with {n + 1}" for n in range(most))
    measured = (
        f"Over {count(len(success), 'temperature')} the attack succeeds on {listed}; each further pixel fools "
        f"at least {more.min():,} more images. It cannot fool fewer, by the way it is built.{compared.note}"
    )
    ruling: Ruling = "holds" if more.min() >= NEWLY else "does not hold"
    if ruling != "holds" and more.min() > 0:
        ruling = "cannot tell here"
        measured += " So few may be chance: this takes more test images."
    return Finding(ruling, measured, {"least newly fooled": more.min()})


@claim(
    "pixel-falls-at-low-temperature",
    "4.2",
    "The lower the temperature, the less often the pixel attack succeeds.",
    about_robustness=True,
    applies=is_not_fashion,
    of="a data set other than Fashion-MNIST",
)
def pixel_falls_at_low_temperature(study: Study) -> Finding:
    """The success with the most pixels, images wrong beforehand included, must rise with T."""
    compared = sweep(study)
    return with_survival(_success(compared), lambda: trend_survives(compared, -1, pixel=True))


@claim(
    "pixel-fashion-excepted",
    "4.2",
    "On Fashion-MNIST the pixel attack does not succeed less often at lower temperatures.",
    about_robustness=True,
    applies=is_fashion,
    of="Fashion-MNIST",
)
def pixel_fashion_excepted(study: Study) -> Finding:
    """The opposite of the claim about the other data sets, by the same criterion."""
    compared = sweep(study)
    opposite: dict[Ruling, Ruling] = {"holds": "does not hold", "does not hold": "holds"}
    found = _success(compared)
    return with_survival(
        replace(found, verdict=opposite.get(found.verdict, found.verdict)), lambda: _exception_survives(compared)
    )


def _success(compared: Sweep) -> Finding:
    """Whether the success rises with T, and the same over images that were right beforehand."""
    most = compared.study.config.pixels
    found = trend_of_rates(
        compared, compared.final("pixel_success")[:, -1], 1, f"Success of the attack with up to {count(most, 'pixel')}"
    )
    right = np.nanmean(compared.final("pixel_success_of_correct")[:, -1], axis=1)
    beside = spearman(compared.temperatures, right)
    text = f" Over images that were right beforehand it goes from {right[0]:.3f} to {right[-1]:.3f}, {beside}."
    return replace(found, measured=found.measured + text, figures={**found.figures, "rho of correct": beside.rho})


def _exception_survives(compared: Sweep) -> tuple[str, Survival]:
    text, _ = trend_survives(compared, -1, pixel=True)
    rows = standings(compared, "brute-force pixel")
    ruling = monotone(spearman([row.temperature for row in rows], [row.value for row in rows]), -1)
    left: dict[Ruling, Survival] = {"holds": "rests on a weak attack", "does not hold": "survives"}
    return text, left.get(ruling, "cannot tell here")


@claim(
    "two-methods-agree",
    "5",
    "Robustness against the pixel attack is much like that against FGSM from temperature to temperature.",
    about_robustness=True,
    applies=is_not_fashion,
    of="a data set other than Fashion-MNIST",
)
def two_methods_agree(study: Study) -> Finding:
    """Over the temperatures the two must rise together: see `statistics.monotone`."""
    compared = sweep(study)
    fgsm = np.nanmean(compared.robustness(), axis=1)
    pixel = 1 - np.nanmean(compared.final("pixel_success")[:, -1], axis=1)
    found = spearman(fgsm, pixel)
    ruling = monotone(found, 1)
    measured = f"Spearman's correlation of the two is {found} over {found.n} temperatures.{compared.note}"
    if ruling == "cannot tell here":
        measured += UNDECIDED
    finding = Finding(ruling, measured, {"rho": found.rho, "p": found.p})
    return with_survival(finding, lambda: _methods_survive(compared))


def _methods_survive(compared: Sweep) -> tuple[str, Survival]:
    names = ("FGSM", "ranked pixel", "worst case", "brute-force pixel")
    fgsm, ranked, worst, brute = ([row.value for row in standings(compared, name)] for name in names)
    if not len(worst) == len(brute) == len(compared.rows):
        raise CannotTellError(f"{len(worst)} of {count(len(compared.rows), 'temperature')} are audited.")
    before, after = spearman(fgsm, ranked), spearman(worst, brute)
    text = (
        f"On the audited images the correlation is {before} for FGSM and the paper's attack with one pixel, and "
        f"{after} for the worst case of all attacks of the audit and every single pixel tried."
    )
    return text, survival(monotone(before, 1), monotone(after, 1))


@claim("two-pixels-confident", "4.2", "Changing two pixels can make a network misclassify with high confidence.")
def two_pixels_confident(study: Study) -> Finding:
    """Holds if at least one image that two pixels fooled is then misclassified with a confidence of 0.9 or more."""
    compared = sweep(study, extent="any")
    after = [record.final["two/after"] for record in _fooled_by_two(compared)]
    confidence = np.concatenate(after)
    high = int((confidence >= CONFIDENT).sum())
    measured = (
        f"Of {count(len(confidence), 'image')} that two pixels and no fewer fooled, in {count(len(after), 'network')}, "
        f"{high:,} are misclassified with a confidence of {CONFIDENT:g} or more; the largest is "
        f"{confidence.max():.3f}.{compared.note}"
    )
    figures = {"fooled": len(confidence), "confident": high, "largest": confidence.max()}
    return _exists(measured, figures, high, len(confidence), compared)


@claim("border-pixels", "4.2", "Even pixels at the border of the image make successful adversarials.")
def border_pixels(study: Study) -> Finding:
    """Holds if two pixels that both lie in the margin, a seventh of the side (4 of 28), fooled at least one image."""
    compared = sweep(study, extent="any")
    total = both = 0
    for record in _fooled_by_two(compared):
        height, width = record.final["two/image"].shape[1:3]
        row, column = np.divmod(record.final["two/pixels"], width)
        inside = _inside(row, height) & _inside(column, width)
        both += int((~inside).all(axis=1).sum())
        total += len(inside)
    measured = (
        f"Of {count(total, 'image')} that two pixels and no fewer fooled, {both:,} had both in the margin, the outer "
        f"seventh of the image on each side (4 of 28 pixels).{compared.note}"
    )
    return _exists(measured, {"fooled": total, "both in the margin": both}, both, total, compared)


def _exists(measured: str, figures: dict[str, float], cases: int, of: int, compared: Sweep) -> Finding:
    """One case bears out that there are some; that there is none can be said of many images, when all is finished."""
    if cases:
        return Finding("holds", measured, figures)
    if of < ENOUGH_TO_MISS or compared.unfinished:
        missing = f" That there is none takes {ENOUGH_TO_MISS} images, of all temperatures."
        return Finding("cannot tell here", measured + missing, figures)
    return Finding("does not hold", measured, figures)


def _inside(position: np.ndarray, side: int) -> np.ndarray:
    margin = int(MARGIN * side)
    return (position >= margin) & (position < side - margin)


def _fooled_by_two(compared: Sweep) -> list[Record]:
    """The networks that two pixels and no fewer fooled on some image."""
    if compared.study.config.pixels < 2:
        raise CannotTellError("The study changes one pixel only.")
    found = [record for record in compared.records if "two/after" in record.final]
    if not found:
        raise CannotTellError(f"No image fell to exactly two pixels.{compared.note}")
    return found


@claim(
    "class-order-pixel",
    "4.2",
    "The classes' order by robustness against the pixel attack is much the same at all temperatures.",
    about_robustness=True,
)
def class_order_pixel(study: Study) -> Finding:
    """See `robustness.order`."""
    compared = sweep(study)
    found = order(1 - compared.final("pixel_success")[:, -1], compared.images, compared.note)
    return with_survival(found, lambda: order_survives(compared, "ranked pixel", "brute-force pixel"))


CLAIMS = (
    one_pixel,
    more_pixels,
    pixel_falls_at_low_temperature,
    pixel_fashion_excepted,
    two_methods_agree,
    two_pixels_confident,
    border_pixels,
    class_order_pixel,
)
