"""How reports name and draw arms and studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ult_lightning.base import provided


@dataclass(frozen=True)
class ArmLook:
    """How reports name and draw an arm: a few words, "#rrggbb" on white and on black paper, a matplotlib marker.

    `trains`: whether it trains a network's weights, so that frozen networks are measured against it.
    """

    words: str
    light: str
    dark: str
    marker: str
    trains: bool = False


def arm_looks() -> Mapping[str, ArmLook]:
    """The looks of all known arms, in the order in which reports list them."""
    looks: Mapping[str, ArmLook] = provided("arm_looks")()
    return looks


@dataclass(frozen=True)
class StudyAxes:
    """How a study is drawn: one panel per metric of `panels`, which maps it to the label of its y axis.

    `cloud`: single points instead of medians over seeds with a band. `diagonal`: a line y = x, with this label. `law`:
    what formulas are called in the legend.
    """

    x: str
    panels: Mapping[str, str]
    log_x: bool = False
    log_y: bool = True
    share_y: bool = False
    cloud: bool = False
    diagonal: str | None = None
    law: str = "closed form"
