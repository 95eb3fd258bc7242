"""`check_fields`: check a task's file, so that no reader encounters a missing or malformed field.

`store` describes what each field means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minirobust.study.config import StudyConfig

# A letter for each axis: E epochs, e the ε, c classes, n pixels, N test images, M images fooled with two pixels,
# S those that are shown, U ugly images, H W C height, width and channels, a images for single-pixel attacks,
# s the ε of the audit, A audited images, r ratios of temperatures, k images attacked at these.
AXES = {
    "epochs/loss": "E",
    "epochs/train_accuracy": "E",
    "epochs/test_accuracy": "E",
    "epochs/class_accuracy": "Ec",
    "epochs/linear": "E",
    "epochs/nonlinear": "E",
    "epochs/saturated": "E",
    "epochs/slope_mean": "E",
    "epochs/slope_share": "E",
    "epochs/robustness": "Eec",
    "epochs/gradient_median": "Ec",
    "epochs/gradient_mean": "E",
    "epochs/confidence": "Ec",
    "timing/training": "E",
    "timing/evaluation": "E",
    "timing/final": "",
    "timing/audit": "",
    "final/label": "N",
    "final/prediction": "N",
    "final/brightness": "N",
    "final/confidence": "N",
    "final/gradient": "N",
    "final/gradient_median": "c",
    "final/correlation": "c",
    "final/p_value": "c",
    "final/fgvm_robustness": "ec",
    "final/pixel_success": "nc",
    "final/pixel_success_of_correct": "nc",
    "final/pixel_count": "N",
    "final/ugly/index": "U",
    "final/ugly/image": "UHWC",
    "final/two/index": "M",
    "final/two/pixels": "M2",
    "final/two/before": "M",
    "final/two/after": "M",
    "final/two/prediction": "M",
    "final/two/shown": "S",
    "final/two/image": "SHWC",
    "final/two/adversarial": "SHWC",
    "audit/pixel_samples": "a",
    "audit/sandwich/epsilon": "s",
    "audit/sandwich/fgsm": "sA",
    "audit/sandwich/fooled": "sA",
    "audit/sandwich/certified": "sA",
    "sharpened/ratio": "r",
    "sharpened/correct": "rk",
    "sharpened/fgsm": "rsk",
    "sharpened/fooled": "rsk",
    "sharpened/certified": "rsk",
}
# The axes that an index points into: its values are whole numbers from 0 to the product of these axes minus 1.
INDICES = {
    "final/label": "c",
    "final/prediction": "c",
    "final/ugly/index": "N",
    "final/two/index": "N",
    "final/two/pixels": "HW",
    "final/two/prediction": "c",
    "final/two/shown": "M",
    "audit/pixel_samples": "N",
}
# Files of older versions lack these, and some networks have no certificate.
OPTIONAL = (
    "final/brightness",
    "final/fgvm_robustness",
    *(name for name in AXES if "sandwich/" in name or "sharpened/" in name),
)
CHECK = {
    "number": int,
    "name": str,
    "condition": str,
    "finding": str,
    "meaning": str,
    "remedy": str,
    "flagged": bool | None,
    "text": str,
}


class FieldError(ValueError):
    """Raised for a field that is missing or invalid."""


def check_fields(config: StudyConfig, arrays: Mapping[str, np.ndarray], audit: Any) -> None:
    """Raise FieldError unless a task's results are consistent and complete for its progress so far.

    Parameters
    ----------
    config : StudyConfig
    arrays : mapping of str to ndarray
        The arrays by their names in the file.
    audit : dict or None
    """
    missing = [name for name in _required(arrays, audit) if name not in arrays]
    if missing:
        raise FieldError(f"expected the field {missing[0]}, found none")
    sizes = {"e": len(config.epsilons), "n": config.pixels, "2": 2}
    sizes |= {"s": len(config.audit_epsilons), "r": len(config.sharpen_ratios)}
    for name, axes in AXES.items():
        if name in arrays:
            _check_shape(name, arrays[name], axes, sizes)
    if not 1 <= sizes["E"] <= config.epochs:
        raise FieldError(f"expected epochs/loss of 1 to {config.epochs} epochs, got {sizes['E']}")
    for name, axes in INDICES.items():
        if name in arrays:
            _check_indices(name, arrays[name], math.prod(sizes[axis] for axis in axes))
    for name, array in arrays.items():
        if name.startswith("audit/fooled/") and (array.ndim != 1 or array.dtype != bool):
            raise FieldError(f"expected {name} to be a list of True and False, got {array.dtype} of {array.shape}")
    if audit is not None:
        _check_audit(audit)


def _required(arrays: Mapping[str, np.ndarray], audit: Any) -> Iterator[str]:
    """Yield the names that a file must have, given the progress of its task."""
    attacked = audit is not None or any(name.startswith("final/") for name in arrays)
    two = any(name.startswith("final/two/") for name in arrays)
    for name in AXES:
        group = name.partition("/")[0]
        if name in OPTIONAL or name in ("timing/final", "timing/audit"):
            continue
        if name.startswith("final/two/"):
            wanted = two
        else:
            wanted = {"final": attacked, "audit": audit is not None}.get(group, True)
        if wanted:
            yield name


def _check_shape(name: str, array: np.ndarray, axes: str, sizes: dict[str, int]) -> None:
    """Compare a shape with the known sizes, and record those that are not known yet."""
    fits = array.ndim == len(axes) and all(
        sizes.setdefault(axis, size) == size for axis, size in zip(axes, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in "biuf":
        shape = ", ".join(str(sizes.get(axis, axis)) for axis in axes)
        raise FieldError(f"expected {name} to be numbers of shape ({shape}), got {array.dtype} of {array.shape}")


def _check_indices(name: str, array: np.ndarray, end: int) -> None:
    if array.dtype.kind not in "iu" or (array.size and not 0 <= array.min() <= array.max() < end):
        raise FieldError(f"expected {name} to be whole numbers from 0 to {end - 1}, got others")


def _check_audit(audit: Any) -> None:
    _expect(audit, {"verdict": str, "samples": int, "robustness": dict, "checks": list}, "audit")
    for attack, rate in audit["robustness"].items():
        _expect(rate, dict.fromkeys(("value", "low", "high"), int | float), f"audit/robustness/{attack}")
    for place, check in enumerate(audit["checks"]):
        _expect(check, CHECK, f"audit/checks/{place}")


def _expect(value: Any, kinds: Mapping[str, Any], where: str) -> None:
    """Raise FieldError unless a value from JSON is an object with fields of these types."""
    if not isinstance(value, dict):
        raise FieldError(f"expected {where} to be an object, got {type(value).__name__}")
    for name, kind in kinds.items():
        if name not in value:
            raise FieldError(f"expected the field {where}/{name}, found none")
        if not isinstance(value[name], kind) or (kind is int and isinstance(value[name], bool)):
            raise FieldError(f"expected {where}/{name} to be {_named(kind)}, got {type(value[name]).__name__}")


def _named(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
