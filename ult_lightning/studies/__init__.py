"""The experiments of the theory: a claim, its axes, its points, its figure."""

from ult_lightning.studies import _block_size as _block_size  # registers itself
from ult_lightning.studies import _certified_tickets as _certified_tickets
from ult_lightning.studies import _constructed_on_images as _constructed_on_images
from ult_lightning.studies import _depth as _depth
from ult_lightning.studies._study_runner import STUDIES, UNREACHED, Study, run_study, study_axes, study_options

__all__ = ["STUDIES", "UNREACHED", "Study", "run_study", "study_axes", "study_options"]
