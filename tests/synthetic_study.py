"""A made-up study: three temperatures, two epochs and three classes, with numbers that a test can predict."""

import numpy as np

from minirobust.study.config import StudyConfig
from minirobust.study.store import Record, Study

TEMPERATURES = (0.25, 1.0, 4.0)
EPSILONS = (0.1, 0.2)
CLASSES = 3
AUDITED = ("clean", "noise", "FGSM", "PGD", "white box", "transfer", "Square", "worst case", "brute-force pixel")


def config(**changes):
    """MLP, two epochs, two pixels, ε = 0.1 and 0.2."""
    values = {"temperatures": TEMPERATURES, "epochs": 2, "epsilons": EPSILONS, "pixels": 2, "audit_samples": 6}
    values["audit_epsilons"] = (0.05, 0.1)
    return StudyConfig(**{"dataset": "mnist", "model": "mlp"} | values | changes)


def study(config, epochs=2, attacked=True, audited=True, temperatures=None):
    """All tasks of a configuration, or those of some temperatures, as far as the arguments say."""
    tasks = [(T, seed) for T, seed in config.tasks() if temperatures is None or T in temperatures]
    return Study(config, [record(config, *task, epochs, attacked, audited) for task in tasks])


def record(config, temperature, seed, epochs=2, attacked=True, audited=True):
    """One task, whose numbers change with its temperature's place by 0.1, with the seed by 0.01, and over epochs."""
    place = config.temperatures.index(temperature) / 10 + seed / 100
    environment = {
        "minirobust": "9.8.7",
        "python": "3.99",
        "backend": "<backend numpy>",
        "data": "c0ffee" * 10 + "beef",
    }
    made = Record(config, temperature, seed, environment)
    for epoch in range(epochs):
        made.append("epochs", measured(config, place, epoch))
        made.append("timing", {"training": 3.0, "evaluation": 1.0})
    if attacked:
        made.final = final(config, place)
        made.timing["final"] = np.array(5.0)
    if audited:
        made.audit = audit(place)
        made.audited = {f"sandwich/{name}": values for name, values in sandwich().items()}
        made.sharpened = sharpened()
        made.timing["audit"] = np.array(7.0)
    return made


def measured(config, place, epoch):
    """One epoch: regimes that add up to 1, robustness that falls with ε and differs from class to class."""
    by_class = np.arange(CLASSES) / 100
    return {
        "loss": 2.0 - epoch,
        "test_accuracy": 0.5 + place + epoch / 10,
        "train_accuracy": 0.6 + place + epoch / 10,
        "class_accuracy": 0.7 + place + epoch / 10 + by_class,
        "linear": 0.1 + place,
        "nonlinear": 0.3 - epoch / 10,
        "saturated": 0.6 - place + epoch / 10,
        "robustness": [0.4 - place - epsilon + epoch / 20 + by_class for epsilon in config.epsilons],
    }


def final(config, place):
    """Twelve attacked images of 4x4 pixels, ugly and two-pixel ones among them."""
    by_class = np.arange(CLASSES) / 100
    images = (np.arange(12 * 16).reshape(12, 4, 4, 1) % 256).astype("uint8")
    return {
        "label": np.arange(12) % CLASSES,
        "prediction": np.arange(12) % 2,
        "confidence": np.full(12, 0.7),
        "gradient": np.arange(12.0),
        "gradient_median": 10.0 ** -(3 + np.arange(CLASSES)) * (1 + 10 * place),
        "correlation": -0.9 + place + by_class,
        "p_value": np.array([0.0, 0.5 if place >= 0.2 else 1e-9, 1e-4]),
        "pixel_success": np.array([0.1 * n + place + by_class for n in range(1, config.pixels + 1)]),
        "pixel_success_of_correct": np.array([0.05 * n + place + by_class for n in range(1, config.pixels + 1)]),
        "pixel_count": np.full(12, 2),
        "ugly/index": np.arange(11, 1, -1),
        "ugly/image": images[11:1:-1],
        "two/index": np.roll(np.arange(12), 1),
        "two/pixels": np.stack([np.arange(12), 15 - np.arange(12)], axis=1),
        "two/before": np.linspace(0.5, 0.61, 12),
        "two/after": np.linspace(0.8, 0.91, 12),
        "two/prediction": (np.arange(12) + 1) % CLASSES,
        "two/shown": np.arange(11, 3, -1),
        "two/image": images[11:3:-1],
        "two/adversarial": 255 - images[11:3:-1],
    }


def audit(place):
    """What `AuditReport.to_dict` holds, with one check flagged, one passed and one not run."""
    rates = {name: 0.9 - index / 10 - place / 2 for index, name in enumerate(AUDITED)}
    checks = [(1, "gradient health", False), (4, "FGSM against PGD", True), (6, "transfer", None)]
    return {
        "epsilon": 0.1,
        "budget": "quick",
        "seed": 0,
        "samples": 6,
        "pixel_samples": 3,
        "masked": False,
        "verdict": f"FGSM is too weak here (check 4): robustness at ε = 0.1 is at most {rates['worst case']:.3f}",
        "checks": [
            {
                "number": number,
                "name": name,
                "condition": "gap > 0.10",
                "finding": "FGSM too weak here",
                "meaning": "The loss bends within ε.",
                "remedy": "Report PGD's figure.",
                "flagged": flagged,
                "text": f"figures of check {number}",
                "figures": {},
                "interval": None,
                "samples": 6,
            }
            for number, name, flagged in checks
        ],
        "robustness": {
            name: {"value": value, "low": value - 0.02, "high": value + 0.03} for name, value in rates.items()
        },
    }


def images(*places):
    """Of the six audited images, of classes 0, 1, 2, 0, 1, 2, those at these places."""
    return np.isin(np.arange(6), places)


def sandwich():
    """Of six images FGSM fools one and two at the two ε, the strongest attack two and four; two and none are proven."""
    return {
        "epsilon": np.array([0.05, 0.1]),
        "fgsm": np.array([images(5), images(4, 5)]),
        "fooled": np.array([images(4, 5), images(2, 3, 4, 5)]),
        "certified": np.array([images(0, 1), images()]),
    }


def sharpened():
    """As above, at each of three ratios; at the lowest FGSM fools none."""
    within = sandwich()
    found = {name: np.array([within[name]] * 3) for name in ("fgsm", "fooled", "certified")}
    found["fgsm"][0] = False
    return {"ratio": np.array([0.25, 1, 4]), "correct": np.array([images(0, 1, 2, 3, 4)] * 3)} | found
