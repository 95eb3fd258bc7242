"""The study: a network for every temperature, trained, measured after every epoch, attacked, and kept."""

from minirobust.study.config import PRESETS, StudyConfig

__all__ = ["PRESETS", "StudyConfig"]
