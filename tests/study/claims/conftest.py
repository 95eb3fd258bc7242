"""Studies made of chosen numbers, so that every claim holds or fails by construction."""

import numpy as np
import pytest

from minirobust.study import claims
from minirobust.study.config import StudyConfig
from minirobust.study.store import Record, Study

SEVEN = tuple(2.0**exponent for exponent in range(-3, 4))
EPSILONS = (0.05, 0.1, 0.2)


def standing(rates, labels):
    """Which samples are fooled if of each class the given share stands: the first ones of it."""
    fooled = np.ones(len(labels), bool)
    for c, rate in enumerate(rates):
        members = np.flatnonzero(labels == c)
        fooled[members[: round(rate * len(members))]] = False
    return fooled


def spread_out(values, shape):
    """One number, one for each temperature, or all of them, in the given shape (temperatures, ...)."""
    values = np.asarray(values, float)
    return np.broadcast_to(values.reshape(values.shape + (1,) * (len(shape) - values.ndim)), shape)


def build(
    *,
    dataset="mnist",
    model="mlp",
    temperatures=SEVEN,
    epochs=12,
    images=100,
    classes=10,
    accuracy=0.9,
    robustness=0.5,
    series=None,
    final=None,
    audits=None,
    sandwich=None,
    done=None,
    begun=None,
    seed=0,
    **config,
):
    """A study of one seed.

    `accuracy` and `robustness` (at the main ε of 0.1) are (temperatures,) or (temperatures, classes), `series` and
    `final` override whole datasets by name. `audits` gives what is left under attacks, and `sandwich` the same at every
    ε: {ε: (FGSM, strongest attack)} or {ε: (FGSM, strongest attack, proven)}. `done` are the temperatures that are
    finished and `begun` those that are at their first epoch.
    """
    config = StudyConfig(
        dataset=dataset,
        model=model,
        temperatures=temperatures,
        epochs=epochs,
        seeds=(seed,),
        **({"epsilons": EPSILONS} | config),
    )
    T, E = len(temperatures), epochs
    labels = np.arange(images * classes) % classes
    right = spread_out(accuracy, (T, classes))
    robust = spread_out(robustness, (T, classes))
    epochs_of = {
        "loss": np.ones((T, E)),
        "train_accuracy": np.repeat(right.mean(axis=1)[:, None], E, axis=1),
        "test_accuracy": np.repeat(right.mean(axis=1)[:, None], E, axis=1),
        "class_accuracy": np.repeat(right[:, None], E, axis=1),
        "linear": np.full((T, E), 0.3),
        "nonlinear": np.full((T, E), 0.3),
        "saturated": np.full((T, E), 0.4),
        "slope_mean": np.full((T, E), 0.1),
        "slope_share": np.full((T, E), 0.1),
        "robustness": np.stack([np.repeat((robust**f)[:, None], E, axis=1) for f in (0.8, 1, 1.2)], axis=2),
    }
    for name, values in (series or {}).items():
        epochs_of[name] = spread_out(values, epochs_of[name].shape)
    records = []
    for row, temperature in enumerate(temperatures):
        if done is not None and temperature not in done:
            if temperature in (begun or ()):
                records.append(Record(config, temperature, seed, {}, {k: v[row][:1] for k, v in epochs_of.items()}))
            continue
        record = Record(config, temperature, seed, {}, {name: values[row] for name, values in epochs_of.items()})
        wrong = standing(right[row], labels)
        record.final = {
            "label": labels,
            "prediction": np.where(wrong, (labels + 1) % classes, labels),
            "gradient": np.where(wrong, 1.0, 0.1),
            "gradient_median": np.full(classes, 0.1),
            "correlation": np.full(classes, -0.8),
            "p_value": np.full(classes, 1e-9),
            "pixel_count": np.zeros(len(labels), int),
            "pixel_success": np.full((config.pixels, classes), 0.2),
            "pixel_success_of_correct": np.full((config.pixels, classes), 0.1),
            "ugly/index": np.arange(10),
        }
        record.final |= {name: values[row] for name, values in (final or {}).items() if values[row] is not None}
        if audits:
            record.audited = {
                f"fooled/{name}": standing(spread_out(left, (T, classes))[row], labels) for name, left in audits.items()
            }
            record.audited["pixel_samples"] = np.arange(len(labels))
        if sandwich:
            record.audited["sandwich/epsilon"] = np.array(list(sandwich))
            for place, name in enumerate(("fgsm", "fooled", "certified")):
                left = [rates[place] for rates in sandwich.values() if place < len(rates)]
                masks = [standing(spread_out(rates, (T, classes))[row], labels) for rates in left]
                if masks:
                    record.audited[f"sandwich/{name}"] = ~np.array(masks) if name == "certified" else np.array(masks)
        records.append(record)
    return Study(config, records)


def of_seeds(*studies):
    """One study of several seeds, from a study of each."""
    config = studies[0].config.but(seeds=list(range(len(studies))))
    for seed, study in enumerate(studies):
        for record in study.records:
            record.config, record.seed = config, seed
    return Study(config, [record for study in studies for record in study.records])


@pytest.fixture
def make():
    """`build`: see there."""
    return build


@pytest.fixture
def seeds():
    """`of_seeds`: see there."""
    return of_seeds


@pytest.fixture
def judged(monkeypatch):
    """The verdict on one claim by its name, of the first data set that it is about."""
    known = {claim.name: claim for claim in claims.CLAIMS}

    def judged(name, *studies):
        monkeypatch.setattr(claims, "CLAIMS", (known[name],))
        return claims.judge(studies)[0]

    return judged
