"""`StudyConfig`: everything that determines the results of a study, and presets for the published one.

Nothing is run here, and only TOML is read.
"""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from numbers import Real
from typing import Any, Literal

from minirobust import models
from minirobust.backend import BACKENDS
from minirobust.data import CATALOGUE
from minirobust.masking import BUDGETS
from minirobust.measures import regimes
from minirobust.validation import check_dtype, check_seed, number, positive_int

MODELS = {"mlp": models.mlp, "cnn": models.cnn}
DATASETS = tuple(CATALOGUE)


@dataclass(frozen=True)
class StudyConfig:
    """What is trained and how it is measured; each field is checked when the object is created.

    Attributes
    ----------
    dataset : str
        One of `DATASETS`, or the path of a file in the project's HDF5 layout, ending in ``.h5``.
    model : {"mlp", "cnn"}
    temperatures : tuple of float
        One network is trained for each temperature and seed.  They are sorted in ascending order.
    epochs : int
    seeds : tuple of int, default (0,)
        Seeds of weights, shuffling and attacks, also sorted in ascending order.
    batch_size : int, default 64
    learning_rate : float, default 1e-3
        Learning rate of Adam.
    epsilon : float, default 0.1
        The main ε of FGSM and of the audit, in (0, 1].
    epsilons : tuple of float
        Every ε at which robustness is measured after each epoch, in ascending order, including the main one.
    delta1, delta2 : float, default 0.05 and 0.0005
        Thresholds of the regimes: see `regimes.bounds`.
    pixels : int, default 3
        Maximum number of pixels that the pixel attack changes.
    train_samples : int, default 10,000
        Number of training images on which training accuracy is measured.
    audit_samples : int, default 1,000
        Number of test images in the audit, starting with the first.
    audit_epsilons : tuple of float
        Every ε of the audit: those below the main one, and the main one.
    audit_budget : {"quick", "standard", "full"}
    sharpen_ratios : tuple of float
        Ratios of the temperature after training to that in training; each network is attacked again at each of them.
    sharpen_samples : int, default 200
        Number of test images in these attacks, starting with the first.
    backend : {"auto", "cupy", "numba", "numpy"}, default "numpy"
    dtype : {"float32", "float64"}, default "float32"

    Raises
    ------
    ValueError
        If a field is out of range, or a temperature leaves no nonlinear regime; the message gives the choices.
    """

    dataset: str
    model: str
    temperatures: tuple[float, ...]
    epochs: int
    seeds: tuple[int, ...] = (0,)
    batch_size: int = 64
    learning_rate: float = 1e-3
    epsilon: float = 0.1
    epsilons: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2, 0.3)
    delta1: float = 0.05
    delta2: float = 0.0005
    pixels: int = 3
    train_samples: int = 10_000
    audit_samples: int = 1_000
    audit_epsilons: tuple[float, ...] = (0.01, 0.02, 0.03, 0.05, 0.1)
    audit_budget: Literal["quick", "standard", "full"] = "standard"
    sharpen_ratios: tuple[float, ...] = (1 / 64, 1 / 16, 1 / 4, 1.0, 4.0, 16.0, 64.0)
    sharpen_samples: int = 200
    backend: str = "numpy"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS and not str(self.dataset).endswith(".h5"):
            raise ValueError(
                f"study: expected dataset to be {', '.join(DATASETS)} or the path of an .h5 file, got {self.dataset!r}"
            )
        self._choose("model", MODELS)
        self._choose("audit_budget", BUDGETS)
        self._choose("backend", ("auto", *BACKENDS))
        check_dtype(self.dtype)
        for name in ("epochs", "batch_size", "pixels", "train_samples", "audit_samples", "sharpen_samples"):
            positive_int("study", name, getattr(self, name))
        for name in ("learning_rate", "delta1", "delta2"):
            number("study", name, getattr(self, name), low=0)
        temperatures = [number("study", "temperature", T, low=0) for T in self._several("temperatures")]
        self._keep("temperatures", sorted(temperatures))
        ratios = [number("study", "sharpen_ratios", ratio, low=0) for ratio in self._several("sharpen_ratios")]
        self._keep("sharpen_ratios", sorted(ratios))
        self._keep("seeds", sorted(check_seed(seed) for seed in self._several("seeds")))
        self._keep("epsilons", [_epsilon(epsilon) for epsilon in self._several("epsilons")])
        if list(self.epsilons) != sorted(self.epsilons) or _epsilon(self.epsilon) not in self.epsilons:
            raise ValueError(
                f"study: expected epsilons in ascending order, the main epsilon {self.epsilon:g} among them, "
                f"got {', '.join(f'{epsilon:g}' for epsilon in self.epsilons)}"
            )
        own = {_epsilon(epsilon) for epsilon in self._several("audit_epsilons")}
        self._keep("audit_epsilons", sorted({each for each in own if each < self.epsilon} | {float(self.epsilon)}))
        for T in self.temperatures:
            regimes.bounds(T, self.delta1, self.delta2)

    def _choose(self, name: str, choices: Sequence[str] | Mapping[str, Any]) -> None:
        if getattr(self, name) not in choices:
            raise ValueError(f"study: expected {name} to be {' or '.join(choices)}, got {getattr(self, name)!r}")

    def _several(self, name: str) -> Sequence[Any]:
        """Return the values of a field, after checking that there are some and that they differ."""
        values = getattr(self, name)
        if not isinstance(values, tuple | list) or not values or len(set(values)) < len(values):
            raise ValueError(f"study: expected {name} to be one or more different values, got {values!r}")
        return values

    def _keep(self, name: str, values: Sequence[Any]) -> None:
        object.__setattr__(self, name, tuple(values))  # the only way to replace lists by tuples in a frozen object

    def but(self, **changes: Any) -> StudyConfig:
        """Return this configuration with some fields changed, after checking them."""
        return StudyConfig.from_dict(self.to_dict() | changes)

    @property
    def main(self) -> int:
        """The index of the main ε in `epsilons`."""
        return self.epsilons.index(self.epsilon)

    def tasks(self) -> list[tuple[float, int]]:
        """Return every (temperature, seed), seed by seed."""
        return [(T, seed) for seed in self.seeds for T in self.temperatures]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as numbers, strings and lists for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def to_toml(self) -> str:
        """Return the fields as TOML, which `from_toml` can read."""
        # JSON numbers, strings and lists are also TOML, except that TOML requires the delete character to be escaped.
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in self.to_dict().items()]
        return "\n".join(lines).replace("\x7f", "\\u007f") + "\n"

    @classmethod
    def from_toml(cls, text: str) -> StudyConfig:
        """Return the configuration that a TOML text describes; missing fields have their defaults.

        Raises
        ------
        ValueError
            If the text is not TOML, has an unknown field or a wrong value, or lacks a field without a default.
        """
        return cls.from_dict(tomllib.loads(text))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudyConfig:
        """Return the configuration with these fields; see `from_toml`."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"study: expected the fields {', '.join(known)}, got {unknown[0]}")
        missing = [name for name in ("dataset", "model", "temperatures", "epochs") if name not in values]
        if missing:
            raise ValueError(f"study: expected the field {missing[0]}, got {', '.join(values) or 'none'}")
        return cls(**values)


def parse(name: str, text: str) -> Any:
    """Parse the value of a field on a command line, for example ``1/64,1,16``, ``0.1`` or ``digits``.

    Parameters
    ----------
    name : str
        Name of a field of `StudyConfig`.
    text : str

    Returns
    -------
    object
        A value of the field's type.

    Raises
    ------
    ValueError
        If there is no such field, or the field is a number and the text is not.
    """
    kinds = {field.name: str(field.type) for field in fields(StudyConfig)}
    if name not in kinds:
        raise ValueError(f"study: expected one of the fields {', '.join(kinds)}, got {name}")
    kind = kinds[name]
    if "int" not in kind and "float" not in kind:
        return text
    number = int if "int" in kind else lambda part: float(Fraction(part))
    try:
        values = [number(part) for part in text.split(",")]
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"study: expected {name} to be {'numbers' if 'tuple' in kind else 'a number'}, got {text!r}"
        ) from None
    if "tuple" not in kind and len(values) > 1:
        raise ValueError(f"study: expected {name} to be one number, got {text!r}")
    return values if "tuple" in kind else values[0]


def _epsilon(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value <= 1:
        raise ValueError(f"study: expected epsilon in (0, 1], got {value!r}")
    return float(value)


def _powers_of_two(least: int, greatest: int) -> tuple[float, ...]:
    return tuple(2.0**exponent for exponent in range(least, greatest + 1))


_MLP = StudyConfig("mnist", "mlp", temperatures=_powers_of_two(-6, 4), epochs=100)
_CNN = StudyConfig(
    "cifar10",
    "cnn",
    temperatures=_powers_of_two(-3, 3),
    epochs=50,
    pixels=2,
    epsilons=(0.01, 0.025, 0.1),
    train_samples=5_000,
)

# The published study's values (sections 2 and 3), and a study that takes only minutes.
PRESETS = {
    "mnist": _MLP,
    "fashion-mnist": _MLP.but(dataset="fashion-mnist"),
    "svhn": _CNN.but(dataset="svhn"),
    "cifar10": _CNN,
    "quick": _MLP.but(
        dataset="digits",
        temperatures=(1 / 64, 1.0, 16.0),
        epochs=5,
        audit_samples=200,
        audit_epsilons=(0.02, 0.1),
        audit_budget="quick",
        sharpen_ratios=(1 / 64, 1.0, 64.0),
        sharpen_samples=100,
    ),
}


def words(config: StudyConfig) -> str:
    """Return the arguments of ``minirobust study run`` that give this configuration: the inverse of `parse`.

    They are the closest preset, and an option for each field that differs from it.  If several presets are equally
    close, the one whose name is part of the data set's name is used.

    Parameters
    ----------
    config : StudyConfig

    Returns
    -------
    str
    """
    differing = {
        name: [field for field, value in config.to_dict().items() if value != preset.to_dict()[field]]
        for name, preset in PRESETS.items()
    }
    preset = min(differing, key=lambda name: (len(differing[name]), name not in config.dataset))
    return " ".join(
        [preset, *(f"--{name.replace('_', '-')} {_text(getattr(config, name))}" for name in differing[preset])]
    )


def _text(value: Any) -> str:
    """Return a field's value as an argument for a shell."""
    values = value if isinstance(value, tuple) else (value,)
    return shlex.quote(",".join(map(str, values)))
