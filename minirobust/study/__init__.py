"""The study: one network per temperature, which is trained, measured after every epoch, attacked, and saved."""

from minirobust.study.config import PRESETS, StudyConfig
from minirobust.study.tidy import load

__all__ = ["PRESETS", "StudyConfig", "load"]
