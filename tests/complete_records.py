"""A task's record with a value in every field, for tests that look at few of them."""

import numpy as np

from minirobust.study.fields import AXES
from minirobust.study.store import GROUPS, Record

ENVIRONMENT = {"backend": "<backend numpy: NumPy>", "data": "abc"}
YES_OR_NO = ("/correct", "/fgsm", "/fooled", "/certified")
RATE = {"value": 0.5, "low": 0.4, "high": 0.6}
AUDIT = {"verdict": "no sign of masking", "samples": 4, "robustness": {"FGSM": RATE}, "checks": []}


def complete(config, T, seed, epochs, attacked=False, audited=False, **given):
    """Return a record of zeros; `given` has other values, under the names of the file with _ for /."""
    sizes = {"E": epochs, "e": len(config.epsilons), "c": 10, "n": config.pixels, "N": 6, "M": 2, "2": 2, "S": 1}
    sizes |= {
        "U": 3,
        "H": 4,
        "W": 4,
        "C": 1,
        "a": 4,
        "s": len(config.audit_epsilons),
        "A": 6,
        "r": len(config.sharpen_ratios),
        "k": 5,
    }
    record = Record(config, T, seed, ENVIRONMENT)
    present = {"epochs": True, "timing": True, "final": attacked, "audit": audited, "sharpened": audited}
    whole = ("label", "prediction", "count", "index", "pixels", "shown", "samples")
    for group, prefix in GROUPS.items():
        for name, axes in AXES.items():
            if name.startswith(prefix) and present[prefix[:-1]]:
                dtype = int if name.endswith(whole) else bool if name.endswith(YES_OR_NO) else float
                array = np.zeros([sizes[axis] for axis in axes], dtype)
                getattr(record, group)[name.removeprefix(prefix)] = given.pop(name.replace("/", "_"), array)
    assert not given
    if audited:
        record.audited["fooled/brute-force pixel"] = np.array([True, False, False, True])
        record.audit = AUDIT
    return record
