"""From the tensors of a ticket file to the parts of a ticket: one reader per file format, chosen by the number in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from ult_lightning.tickets._file import Arrays
from ult_lightning.tickets._mask import Mask
from ult_lightning.tickets._spec import Json, MotherSpec, wrong
from ult_lightning.tickets._subnetwork import Subnetwork

Parts = dict[str, Any]
Reader = Callable[[Mapping[str, Json], Arrays], Parts]

_META = {"spec", "shapes", "fingerprint", "provenance"}
_GROUPS = ("statistics", "constants", "weights")


def write(subnetwork: Subnetwork, groups: Mapping[str, Mapping[str, NDArray[Any]]]) -> Arrays:
    """The tensors of a file of the newest format: the packed mask, then `group/name` for everything else."""
    planes = {name: plane.packed() for name, plane in subnetwork.planes.items()}
    everything: dict[str, Mapping[str, NDArray[Any]]] = {"scales": subnetwork.scales, "planes": planes, **groups}
    tensors: Arrays = {"mask": subnetwork.mask.packed()}
    for group, arrays in everything.items():
        tensors |= {f"{group}/{name}": array for name, array in arrays.items()}
    return tensors


def _format_1(meta: Mapping[str, Json], tensors: Arrays) -> Parts:
    """A mask and nothing beside it (version 0.1)."""
    return _parts(meta, tensors, extras=())


def _format_2(meta: Mapping[str, Json], tensors: Arrays) -> Parts:
    """The extras of a subnetwork as `scales/<parameter>` and `planes/<plane>`."""
    return _parts(meta, tensors, extras=("scales", "planes"))


READERS: dict[int, Reader] = {1: _format_1, 2: _format_2}
"""By format: from description and tensors to the arguments of `Ticket`; raise TicketError where they do not fit."""


def _parts(meta: Mapping[str, Json], tensors: Arrays, *, extras: tuple[str, ...]) -> Parts:
    if set(meta) != _META:
        raise wrong("metadata", sorted(meta), f"the keys {', '.join(sorted(_META))}")
    if "mask" not in tensors:
        raise wrong("tensors", sorted(tensors), "a mask among them")
    groups: dict[str, dict[str, NDArray[Any]]] = {group: {} for group in (*extras, *_GROUPS)}
    for key, array in tensors.items():
        group, _, name = key.partition("/")
        if group in groups and name:
            groups[group][name] = array
        elif key != "mask":
            raise wrong("tensors", key, f"mask, {', '.join(f'{group}/...' for group in groups)} only")
    shapes = _shapes(meta["shapes"])
    planes = {name: Mask.unpack(packed, shapes) for name, packed in groups.get("planes", {}).items()}
    return {
        "spec": MotherSpec.from_dict(meta["spec"]),
        "subnetwork": Subnetwork(Mask.unpack(tensors["mask"], shapes), groups.get("scales", {}), planes),
        "fingerprint": meta["fingerprint"],
        "provenance": meta["provenance"],
        "statistics": groups["statistics"],
        "constants": groups["constants"],
        "weights": groups["weights"] or None,
    }


def _shapes(listed: Json) -> dict[str, tuple[int, ...]]:
    try:
        shapes = {str(name): tuple(shape) for name, shape in listed}
    except (TypeError, ValueError) as cause:
        raise wrong("shapes", listed, "a list of parameter names with their shapes") from cause
    sides = [side for shape in shapes.values() for side in shape]
    if len(shapes) != len(listed) or any(type(side) is not int or side < 1 for side in sides):
        raise wrong("shapes", listed, "each parameter once, with whole sides of at least 1")
    return shapes


def listed(shapes: Mapping[str, tuple[int, ...]]) -> list[list[Json]]:
    """The shapes as JSON: a list, since JSON sorts the keys of a mapping."""
    return [[name, list(shape)] for name, shape in shapes.items()]
