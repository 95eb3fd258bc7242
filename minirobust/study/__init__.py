"""The study: a network for every temperature, trained, measured after every epoch, attacked, and kept."""

from minirobust.study.config import PRESETS, StudyConfig
from minirobust.study.tidy import load

__all__ = ["PRESETS", "StudyConfig", "load"]
