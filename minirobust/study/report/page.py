"""`write_report`: one HTML page about one or several studies, which needs nothing but itself.

No script, no font, no picture is fetched: style and figures are inside.  What is claimed is judged in `claims`, what
is drawn in `figures`; this module puts both in order, with the audits, and says what was run and how to run it again.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minirobust.measures.regimes import temperature_label
from minirobust.saving import atomic
from minirobust.study.config import StudyConfig, words
from minirobust.study.report import figures
from minirobust.study.report.figures import NothingStored
from minirobust.study.report.markup import Html, element, entries, table
from minirobust.study.store import Record, Study

if TYPE_CHECKING:
    from minirobust.study.claims import Verdict

PAPER = (
    "Bečková, Pócoš & Farkaš: Computational Analysis of Robustness in Neural Network Classifiers, ICANN 2020, "
    "doi 10.1007/978-3-030-61609-0_6"
)
# A verdict's class in the style sheet and its sign, which tells it without colour.
SIGNS = {
    "holds": ("holds", "✓"),
    "does not hold": ("fails", "✗"),
    "survives": ("holds", "✓"),
    "rests on a weak attack": ("fails", "✗"),
    "cannot tell here": ("open", "?"),
}
# Of each figure: its heading, and what there is to see.
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
        "What stronger attacks leave of it is in Figure 11.",
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
        "class, for each class and temperature.",
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
}
WIDE = ("figure-08-gradients", "figure-09-pixel-attack")  # numbers in cells: a phone scrolls them rather than shrinks
ATTACKS = ("clean", "noise", "FGSM", "PGD", "transfer", "Square", "worst case", "brute-force pixel")


def write_report(studies: Sequence[Study], verdicts: Sequence[Verdict], path: Path) -> None:
    """Writes `page` to a file, which is replaced as a whole or not at all.

    Parameters
    ----------
    studies : sequence of Study
        Of different data sets; what is unfinished is shown as far as it is.
    verdicts : sequence of Verdict
        What `claims.judge` says of them.
    path : Path
        Ends in ``.html``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = page(studies, verdicts)
    with atomic.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(studies: Sequence[Study], verdicts: Sequence[Verdict]) -> str:
    """The report as HTML.

    Parameters
    ----------
    studies : sequence of Study
    verdicts : sequence of Verdict
        What `claims.judge` says of them, claim by claim.

    Returns
    -------
    str
    """
    title = f"Temperature and robustness: {', '.join(study.title for study in studies)}"
    style = resources.files("minirobust.study.report").joinpath("page.css").read_text(encoding="utf-8")
    sections = {
        "claims": ("The paper's claims, measured", _claims(verdicts)),
        "figures": ("Figures", _figures(studies)),
        "audit": ("Audit: can the robustness be trusted?", _audits(studies)),
        "run": ("What was run", _runs(studies)),
        "again": ("How to run it again", _commands(studies)),
    }
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Nothing is fetched, and nothing could be.
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        ),
        element("title", title),
        element("style", Html(style)),
    )
    links = [element("li", element("a", heading, href=f"#{name}")) for name, (heading, _) in sections.items()]
    body = element(
        "body",
        element("header", element("h1", title), element("p", f"The study of {PAPER}, run again.", class_="soft")),
        element("nav", element("ul", *links), aria_label="Contents"),
        element(
            "main",
            *(
                element("section", element("h2", heading), *content, id=name)
                for name, (heading, content) in sections.items()
            ),
        ),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _sign(verdict: str) -> Html:
    kind, sign = SIGNS[verdict]
    return element("span", f"{sign} {verdict}", class_=f"verdict {kind}")


# Claims


def _claims(verdicts: Sequence[Verdict]) -> list[Html]:
    claims = [list(group) for _, group in groupby(verdicts, lambda verdict: verdict.name)]
    if not claims:
        return [element("p", "No claim was judged.")]
    return [_at_a_glance(claims), *(_claim(claim) for claim in claims)]


def _at_a_glance(claims: Sequence[Sequence[Verdict]]) -> Html:
    """All verdicts in one table: claims by data sets."""
    datasets = list(dict.fromkeys(verdict.dataset for claim in claims for verdict in claim))
    rows = []
    for claim in claims:
        of = {verdict.dataset: verdict for verdict in claim}
        cells = [_in_short(of[dataset]) if dataset in of else Html("–") for dataset in datasets]
        rows.append([element("a", claim[0].name.replace("-", " "), href=f"#claim-{claim[0].name}"), *cells])
    return table(
        "All verdicts at a glance; in small print, what stronger attacks leave of them", ["claim", *datasets], rows
    )


def _in_short(verdict: Verdict) -> Html:
    survival = verdict.survives_verdict if verdict.verdict == "holds" else None
    return Html(_sign(verdict.verdict) + (element("small", f"{SIGNS[survival][1]} {survival}") if survival else ""))


def _claim(claim: Sequence[Verdict]) -> Html:
    heading = element("h3", claim[0].claim)
    section = element("p", f"Section {claim[0].section} of the paper", class_="soft")
    cards = element("ul", *map(_card, claim), class_="cards")
    return element("article", heading, section, cards, id=f"claim-{claim[0].name}")


def _card(verdict: Verdict) -> Html:
    head = element("p", element("strong", f"{verdict.dataset}: "), _sign(verdict.verdict))
    parts = [head, element("p", verdict.measured)]
    if verdict.survives is not None:
        sign = [_sign(verdict.survives_verdict), Html(" ")] if verdict.survives_verdict else []
        parts.append(element("p", element("strong", "Under stronger attacks: "), *sign, verdict.survives))
    if verdict.figures:
        parts.append(_numbers(verdict.figures))
    return element("li", *parts)


def _numbers(numbers: Mapping[str, float | None]) -> Html:
    rows = (
        element("tr", element("th", name, scope="row"), element("td", _number(value), class_="number"))
        for name, value in numbers.items()
    )
    return element("details", element("summary", "Numbers"), element("table", element("tbody", *rows)))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}".replace("-", "−")


# Figures


def _figures(studies: Sequence[Study]) -> list[Html]:
    """Every figure; each data set in a picture of its own, which a phone shows one by one."""
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


# Audits


def _audits(studies: Sequence[Study]) -> list[Html]:
    introduction = element(
        "p",
        "A network looks robust when it is, and also when an attack cannot see: when its gradient is zero, wrong or "
        "leads nowhere. Each network was therefore attacked in several ways, with a gradient and without, and checked "
        "for signs of that. The worst case, per image the worst of all attacks within ε, is the figure to go by.",
    )
    return [introduction, *(part for study in studies for part in _audit(study))]


def _audit(study: Study) -> list[Html]:
    """The rates, checks and verdicts of one study's audits."""
    audited = [(record, record.audit) for record in study.records if record.audit]
    heading = element("h3", study.title)
    if not audited:
        return [heading, element("p", "No network of this data set is audited yet.")]
    attacks = [name for name in ATTACKS if any(name in audit["robustness"] for _, audit in audited)]
    rates = [
        [_task(study, record), *(_rate(audit["robustness"].get(name)) for name in attacks)] for record, audit in audited
    ]
    checks = {check["number"]: check for _, audit in audited for check in audit["checks"]}
    outcomes = [[_task(study, record), *(_outcome(check) for check in audit["checks"])] for record, audit in audited]
    samples = audited[0][1]["samples"]
    verdicts = {_task(study, record): _sentence(audit["verdict"]) for record, audit in audited}
    return [
        heading,
        table(
            f"{study.title}: robustness at ε = {study.config.epsilon:g} with 95 % intervals, {samples:,} test images",
            ["network", *attacks],
            rates,
        ),
        element("h4", f"{study.title}: verdicts"),
        entries(verdicts),
        table(
            f"{study.title}: checks of the gradient",
            ["network", *(f"{number} {check['name']}" for number, check in checks.items())],
            outcomes,
        ),
        *_meanings(study, audited),
    ]


def _task(study: Study, record: Record) -> str:
    """A network's name: its temperature, and its seed where there are several."""
    seed = f", seed {record.seed}" if len(study.config.seeds) > 1 else ""
    return f"T = {temperature_label(record.temperature)}{seed}"


def _rate(rate: Mapping[str, float] | None) -> Html:
    if rate is None:
        return Html("–")
    interval = element("small", f"{rate['low']:.3f} to {rate['high']:.3f}")
    return Html(element("span", f"{rate['value']:.3f}", class_="number") + interval)


def _outcome(check: Mapping[str, Any]) -> Html:
    if check["flagged"] is None:
        return element("span", "– not run")
    if not check["flagged"]:
        return element("span", "✓ pass", class_="verdict holds")
    return Html(element("span", "⚑ flagged", class_="verdict fails") + element("small", check["text"]))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _meanings(study: Study, audited: Sequence[tuple[Record, Mapping[str, Any]]]) -> list[Html]:
    """What every check that was flagged somewhere means, and at which temperatures it was."""
    flagged: dict[int, list[tuple[Record, Mapping[str, Any]]]] = {}
    for record, audit in audited:
        for check in audit["checks"]:
            if check["flagged"]:
                flagged.setdefault(check["number"], []).append((record, check))
    if not flagged:
        return [element("p", "No check is flagged.")]
    meanings = {}
    for number, found in sorted(flagged.items()):
        check = found[0][1]
        where = ", ".join(_task(study, record) for record, _ in found)
        name = f"Check {number}, {check['name']}: {check['finding']}"
        meanings[name] = f"Flagged if: {check['condition']}. Here: {where}. {check['meaning']} {check['remedy']}"
    return [element("h4", f"{study.title}: what the flags mean"), entries(meanings)]


# What was run, and how


def _runs(studies: Sequence[Study]) -> list[Html]:
    return [part for study in studies for part in _run(study)]


def _run(study: Study) -> list[Html]:
    tasks = study.config.tasks()
    done = sum(record.epoch == study.config.epochs for record in study.records)
    audited = sum(record.audit is not None for record in study.records)
    state = f"{done} of {len(tasks)} networks are trained to the end, {audited} are audited."
    environment: dict[str, dict[str, None]] = {}
    for record in study.records:
        for name, value in record.environment.items():
            environment.setdefault(name, {})[value] = None
    names = {"data": "SHA-256 of images and labels"}
    return [
        element("h3", study.title),
        element("p", state),
        table(
            f"{study.title}: the networks",
            ["network", "epochs", "test accuracy", "training", "evaluation", "final attacks", "audit"],
            [_progress(study, record) for record in study.records],
        ),
        entries({names.get(name, name): ", ".join(values) for name, values in environment.items()}),
        element("h4", f"{study.title}: configuration"),
        element("pre", _portable(study.config).to_toml().strip()),
    ]


def _progress(study: Study, record: Record) -> list[str]:
    timing = record.timing
    accuracy = f"{record.epochs['test_accuracy'][-1]:.3f}" if record.epoch else "–"
    return [
        _task(study, record),
        f"{record.epoch} of {study.config.epochs}",
        accuracy,
        *(
            duration(float(timing[name].sum())) if name in timing else "–"
            for name in ("training", "evaluation", "final", "audit")
        ),
    ]


def duration(seconds: float) -> str:
    """Seconds as people say them: ``4.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _commands(studies: Sequence[Study]) -> list[Html]:
    folders = [f"results/{_slug(study)}" for study in studies]
    runs = [
        f"minirobust study run {words(_portable(study.config))} --output {folder}"
        for study, folder in zip(studies, folders, strict=True)
    ]
    every = " ".join(folders)
    text = "\n".join([*runs, f"minirobust study figures {every}", f"minirobust report {every}"])
    return [
        element("p", "The first commands train, measure, attack and audit; one that was stopped goes on where it was."),
        element("pre", element("code", text)),
    ]


def _portable(config: StudyConfig) -> StudyConfig:
    """With a data set's file by its name alone: where it lies on this machine is nobody's business."""
    return config.but(dataset=Path(config.dataset).name)


def _slug(study: Study) -> str:
    """A name for a study's folder."""
    return "".join(c if c.isalnum() else "-" for c in Path(study.config.dataset).stem)
