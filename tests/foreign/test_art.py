"""`to_art` without ART; with it, `tests/peers/test_attack_libraries.py` runs its attacks."""

import sys

import pytest

import minirobust as mr


def test_a_missing_art_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "art.estimators.classification", None)
    message = r"^foreign.to_art: ART cannot be imported \(.*\): pip install torch adversarial-robustness-toolbox$"
    with pytest.raises(ImportError, match=message):
        mr.foreign.to_art(mr.models.mlp(1.0))
