"""The experiments of the theory: a claim, its axes, its points, its figure."""

from ult_lightning.studies import _images as _images  # registers itself
from ult_lightning.studies import _laws as _laws
from ult_lightning.studies import _tickets as _tickets
from ult_lightning.studies._study import STUDIES, UNREACHED, Axes, Study, run_study, study_axes, study_options

__all__ = ["STUDIES", "UNREACHED", "Axes", "Study", "run_study", "study_axes", "study_options"]
