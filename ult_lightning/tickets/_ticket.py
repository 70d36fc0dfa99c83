"""A ticket: a mother, the subnetwork that was found in it, and where it comes from."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ult_lightning.base import UltError, canonical_json, digest, provided, write_bytes
from ult_lightning.base._hashing import json_mapping
from ult_lightning.base._store import check_id
from ult_lightning.tickets import _file
from ult_lightning.tickets._mask import Mask
from ult_lightning.tickets._mother_spec import Json, MotherSpec, TicketError, wrong
from ult_lightning.tickets._subnetwork import Floats, Subnetwork

if TYPE_CHECKING:
    from torch import nn

Module = Callable[[], Any]  # the factory of an nn.Module

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_GROUPS = ("statistics", "constants", "weights")


@dataclass(frozen=True, eq=False, repr=False)
class Ticket:
    """A subnetwork of a random network: a seed and bits.

    `subnetwork`: what is kept of the mother; a bare `Mask` stands for one without extras. `statistics`: the norm buffers
    by name, float32, empty where the norm has none. `fingerprint`: SHA-256 of the mother's parameters, 64 hexadecimal digits. `provenance`: JSON, by custom with the keys id, made_by, method,
    config, sources, validation, seconds, environment, created. `constants`: parameters that no random
    stream can draw, float32, kept in the file. `weights`: all parameters of the mother, float32, for archives;
    None where the spec is enough. `module`: the factory of a mother that is not ours; never written to a file.

    Arrays are copied and read-only. Two tickets are equal where spec, subnetwork, statistics, constants, fingerprint,
    provenance and embedded weights are. Raises TicketError for parts that do not fit together.
    """

    spec: MotherSpec
    subnetwork: Subnetwork
    statistics: dict[str, Floats]
    fingerprint: str
    provenance: dict[str, Json] = field(default_factory=dict)
    constants: dict[str, Floats] = field(default_factory=dict)
    weights: dict[str, Floats] | None = None
    module: Module | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.spec, MotherSpec):
            raise wrong("spec", self.spec, "a MotherSpec")
        if isinstance(self.subnetwork, Mask):
            object.__setattr__(self, "subnetwork", Subnetwork(self.subnetwork))
        if not isinstance(self.subnetwork, Subnetwork):
            raise wrong("subnetwork", self.subnetwork, "a Subnetwork or a Mask")
        if self.mask.kept == 0:
            raise wrong("mask", self.mask, "a mask that keeps at least one parameter")
        if not isinstance(self.fingerprint, str) or not _FINGERPRINT.fullmatch(self.fingerprint):
            raise wrong("fingerprint", self.fingerprint, "64 hexadecimal digits, the SHA-256 of the mother")
        object.__setattr__(self, "provenance", json_mapping("provenance", self.provenance, TicketError))
        if "id" in self.provenance:
            check_id(self.provenance["id"], "ticket", TicketError)
        for group in _GROUPS:
            arrays = getattr(self, group)
            if group != "weights" or arrays is not None:
                object.__setattr__(self, group, _floats(group, arrays))
        self._check_shapes()

    @property
    def id(self) -> str:
        """The id its maker gave it, else the first 16 digits of its content digest."""
        given: str = self.provenance.get("id", "")
        return given or self.content_digest[:16]

    @property
    def mask(self) -> Mask:
        return self.subnetwork.mask

    @property
    def density(self) -> float:
        return self.mask.density

    @property
    def densities(self) -> dict[str, float]:
        return self.mask.densities

    @property
    def content_digest(self) -> str:
        """SHA-256 over what the ticket is (spec, subnetwork, statistics, constants, fingerprint), not who made it."""
        extras = {
            "scales": _hashes(self.subnetwork.scales),
            "planes": {n: hashlib.sha256(p.packed().tobytes()).hexdigest() for n, p in self.subnetwork.planes.items()},
        }
        return digest(
            {
                **{name: extra for name, extra in extras.items() if extra},
                "spec": self.spec.to_dict(),
                "shapes": _file.listed(self.mask.shapes),
                "mask": hashlib.sha256(self.mask.packed().tobytes()).hexdigest(),
                "fingerprint": self.fingerprint,
                "statistics": _hashes(self.statistics),
                "constants": _hashes(self.constants),
            }
        )

    def to_bytes(self, *, weights: bool = False) -> bytes:
        """The ticket file as bytes; with `weights`, the mother's weights are embedded (4 bytes per parameter).

        Weights that the ticket carries already always stay in it.
        """
        ticket = self
        if weights and self.weights is None:
            ticket = replace(self, weights=provided("mother_weights")(self, self.module))
        tensors = _file.tensors_of(ticket.subnetwork, {group: getattr(ticket, group) or {} for group in _GROUPS})
        meta = {
            "spec": ticket.spec.to_dict(),
            "shapes": _file.listed(ticket.mask.shapes),
            "fingerprint": ticket.fingerprint,
            "provenance": ticket.provenance,
        }
        return _file.seal(meta, tensors)

    def save(self, path: str | os.PathLike[str], *, weights: bool = False) -> Path:
        """Write the ticket file, whole or not at all, and return its path; `weights` as in `to_bytes`.

        Raises UltError for a full, read-only or forbidden disk.
        """
        write_bytes(path, self.to_bytes(weights=weights))
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, module: Module | None = None, verify: bool = True) -> Ticket:
        """Read a ticket file.

        `module`: the factory of the mother, for one that is not known by name; `network()` remembers it. `verify`: draw
        the mother again and compare its fingerprint with the file's (embedded weights: theirs).

        Raises TicketError: not there, empty, truncated, not a ticket, a future format, damaged, tampered with, or
        another mother. Nothing in a file is ever executed.
        """
        return cls.from_bytes(_file.read(path), where=os.fspath(path), module=module, verify=verify)

    @classmethod
    def from_bytes(
        cls, content: bytes, *, where: str = "ticket", module: Module | None = None, verify: bool = True
    ) -> Ticket:
        """The ticket of `to_bytes`, with the checks of `load`; `where` names it in messages."""
        meta, tensors = _file.unseal(content, where)
        try:
            ticket = cls(module=module, **_file.parts_of(meta, tensors, meta.pop("format")))
        except TicketError as cause:
            raise _file.tampered(where, str(cause)) from cause
        config = ticket.provenance.get("config")
        made_for = config.get("mother") if isinstance(config, Mapping) else None
        if made_for is not None and canonical_json(made_for) != canonical_json(ticket.spec.to_dict()):
            raise _file.tampered(where, "its provenance tells of another mother than its spec")
        if verify:
            ticket.verify(where)
        return ticket

    def verify(self, where: str = "ticket") -> None:
        """Draw the mother again; raises TicketError that names both fingerprints where that is another."""
        try:
            drawn = provided("mother_fingerprint")(self, self.module)
        except UltError as cause:
            raise TicketError(f"{where}: its mother cannot be drawn again: {cause}") from cause
        except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as cause:
            if self.module is not None:  # the user's own factory: its traceback says more
                raise
            reason = " ".join(str(cause).split())
            raise TicketError(f"{where}: its mother cannot be drawn again from its spec ({reason}).") from cause
        if drawn != self.fingerprint:
            mend = "it was tampered with, or made by a version that drew other weights"
            if self.module:
                mend = "give the module factory that it was made with"
            names = f"the mother drawn here has the fingerprint {drawn}, but the ticket names {self.fingerprint}"
            raise TicketError(f"{where}: {names}; {mend}.")

    def network(self, *, module: Module | None = None) -> nn.Module:
        """The frozen subnetwork, (b, 3, 32, 32) -> (b, d) float; raises TicketError where it cannot be built.

        `module`: as in `load`, whose factory is the default.
        """
        built: nn.Module = provided("network_builder")(self, module=module or self.module)
        return built

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ticket):
            return NotImplemented
        one, two = ((t.content_digest, t.provenance, _hashes(t.weights)) for t in (self, other))
        return one == two

    def __hash__(self) -> int:
        return hash(self.content_digest)

    def __repr__(self) -> str:
        made = f", by {self.provenance['method']}" if isinstance(self.provenance.get("method"), str) else ""
        return f"Ticket({self.id}: {self.spec.net}, density {self.density:.4g} of {self.mask.total:,} parameters{made})"

    def _check_shapes(self) -> None:
        for group in ("constants", "weights"):
            for name, array in (getattr(self, group) or {}).items():
                if array.shape != self.mask.shapes.get(name, array.shape):
                    wanted = f"the shape {self.mask.shapes[name]} that the mask has"
                    raise wrong(f"{group} of {name}", array.shape, wanted)
        for name, array in self.statistics.items():
            if name.endswith("running_var") and (array < 0).any():
                raise wrong(f"statistics of {name}", "a negative variance", "variances of at least 0")
        missing = [name for name in self.mask if self.weights is not None and name not in self.weights]
        if missing:
            raise wrong("weights", sorted(self.weights or ()), f"every parameter of the mask, {missing[0]} too")


def _hashes(arrays: Mapping[str, Floats] | None) -> dict[str, Json] | None:
    if arrays is None:
        return None
    return {name: [list(a.shape), hashlib.sha256(a.tobytes()).hexdigest()] for name, a in arrays.items()}


def _floats(group: str, arrays: object) -> dict[str, Floats]:
    if not isinstance(arrays, Mapping):
        raise wrong(group, arrays, "a mapping of names to float32 arrays")
    floats = {}
    for name in sorted(arrays, key=str):
        array = np.asarray(arrays[name])
        if not isinstance(name, str) or not name:
            raise wrong(group, name, "names as keys")
        if array.dtype.kind != "f" or array.dtype.itemsize != 4:
            raise wrong(f"{group} of {name}", f"dtype {array.dtype}", "float32")
        if not np.isfinite(array).all():
            raise wrong(f"{group} of {name}", "a value that is not finite", "finite numbers")
        floats[name] = np.array(array, dtype=np.float32, order="C")
        floats[name].setflags(write=False)
    return floats
