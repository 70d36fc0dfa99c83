"""The bytes of a ticket file: safetensors, with one canonical JSON text that describes and seals it.

Formats: 1 (version 0.1) holds a mask and nothing beside it, 2 the extras of a subnetwork too, as `scales/<parameter>`
and `planes/<plane>`. Every format has its line in `_EXTRAS`, and one reader reads them all.

Layout: 8 bytes header length, JSON header, tensor data (the safetensors format). The header's metadata has the one key
"ult", whose text begins with the SHA-256 digest of the whole file, taken while those 64 digits are zeros. So every bit
of the file is covered: flip any, and `unseal` refuses. Nothing in a file is ever executed.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import canonical_json, fault
from ult_lightning.base._hashing import ZEROS, is_sealed, sealed
from ult_lightning.tickets._mask import Mask
from ult_lightning.tickets._mother_spec import Json, MotherSpec, TicketError, wrong
from ult_lightning.tickets._subnetwork import Subnetwork

FORMAT = 2
"""The format that is written; every earlier one stays readable."""

_EXTRAS: dict[int, tuple[str, ...]] = {1: (), 2: ("scales", "planes")}
_META = {"spec", "shapes", "fingerprint", "provenance"}
_GROUPS = ("statistics", "constants", "weights")

Arrays = dict[str, NDArray[Any]]

_SEAL = rb'"ult":"{\"digest\":\"'  # unescaped quotes before and after ult: it cannot occur inside a JSON string
_HEADER_END = 100_000_000  # the limit of the safetensors format
_SNIFF = 4096
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes them"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "an image"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, so `git lfs pull` may bring the file itself"),
    *((b"\x80" + bytes([protocol]), "a Python pickle, as torch.save once wrote them") for protocol in range(2, 6)),
)


def seal(meta: Mapping[str, Json], tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """The file of a description and its tensors; the same bytes for the same content.

    `meta` takes no "digest" and no "format": both are put in here.
    """
    from safetensors.numpy import save

    text = canonical_json({**meta, "format": FORMAT, "digest": ZEROS})
    content = save({name: _plain(array) for name, array in tensors.items()}, metadata={"ult": text})
    return sealed(content, _SEAL)


def unseal(content: bytes, where: str) -> tuple[dict[str, Json], Arrays]:
    """The description (with the format's number, without digest) and the tensors of a file that `seal` made.

    `where` names the file in messages. Raises TicketError, one sentence for each of: empty, truncated, not a ticket, a
    future format, damaged.
    """
    header, begin = check_header(content, len(content), where)
    meta = _description(header, where)
    end = begin + max((_extent(entry) for name, entry in header.items() if name != "__metadata__"), default=0)
    if len(content) < end:
        raise _truncated(where, len(content), end)
    if not is_sealed(content, begin, _SEAL):
        raise damaged(where)
    return {key: value for key, value in meta.items() if key != "digest"}, _tensors(content, where)


def read(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file that looks like a ticket; a foreign one is refused before its data are read.

    Raises TicketError: no such file, a folder, no permission, and what `check_header` raises.
    """
    file = Path(path)
    try:
        if file.exists() and not file.is_file():
            raise TicketError(f"{file} is a folder or device, not a ticket file; name the file itself.")
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            head = stream.read(_SNIFF)
            if len(head) >= 8:
                head += stream.read(max(0, min(_header_end(head), _HEADER_END) - len(head)))
            check_header(head, size, str(file))
            return head + stream.read()
    except (FileNotFoundError, NotADirectoryError):
        mend = "check the path, or look for the id in the store"
        raise fault("ticket", str(file), "a file that is there", mend, error=TicketError) from None
    except OSError as cause:
        reason = cause.strerror or type(cause).__name__
        raise TicketError(f"{file} cannot be read: {reason}; check its permissions and the disk.") from cause


def check_header(head: bytes, size: int, where: str) -> tuple[dict[str, Json], int]:
    """The JSON header of a ticket, and where the data begin; `head` holds the header at least, of `size` bytes.

    Raises TicketError: empty, truncated, foreign, damaged.
    """
    if size == 0:
        raise TicketError(f"{where} is empty: the ticket was never written; copy it again or search anew.")
    if size < 9:
        raise TicketError(f"{where} holds {size} bytes only: a truncated ticket, or none at all; copy it again.")
    ours = _SEAL in head[: 8 + 64 + len(_SEAL)]
    end = _header_end(head)
    if not ours and (head[8:9] != b"{" or end > _HEADER_END):
        _refuse_foreign(head, where)
    if ours and end > _HEADER_END:
        raise damaged(where)
    if size < end and (ours or head[8:].startswith(b'{"__metadata__"')):
        raise _truncated(where, size, end)
    try:
        header = json.loads(head[8:end].decode("utf-8"), object_pairs_hook=_unique)
        if not isinstance(header, dict):
            raise ValueError
    except (ValueError, RecursionError):
        if ours:
            raise damaged(where) from None
        _refuse_foreign(head, where)
    metadata = header.get("__metadata__")
    if not ours and not (isinstance(metadata, dict) and "ult" in metadata):
        _refuse(where, "a safetensors file of something else")
    return header, end


def damaged(where: str) -> TicketError:
    """The sentence for a file whose digest is wrong."""
    return TicketError(
        f"{where} is damaged: its digest does not fit its content, so some bits have changed since it was "
        "written; copy it again or search anew."
    )


def tampered(where: str, reason: str) -> TicketError:
    """The sentence for a file whose digest is right and whose content cannot be."""
    return TicketError(f"{where} was tampered with: its digest fits, but {reason.rstrip('. ')}.")


def _description(header: dict[str, Json], where: str) -> dict[str, Json]:
    try:
        meta = json.loads(header["__metadata__"]["ult"], object_pairs_hook=_unique)
        version = meta["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise damaged(where) from None
    if isinstance(version, int) and version > FORMAT:
        mend = "a newer ult_lightning wrote it, so upgrade yours (or the file is damaged)"
        raise fault(where, f"ticket format {version}", f"at most format {FORMAT}", mend, error=TicketError)
    if version is True or version not in tuple(_EXTRAS):
        raise damaged(where)
    return dict(meta)


def _tensors(content: bytes, where: str) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(content))
    except (SafetensorError, ValueError, TypeError, KeyError) as cause:
        raise tampered(where, f"safetensors cannot read it ({cause})") from cause


def _header_end(head: bytes | bytearray) -> int:
    return 8 + int.from_bytes(head[:8], "little")


def _extent(entry: Json) -> int:
    """Where a tensor's data end, from the begin of the data; 0 where the entry does not say (caught by the digest)."""
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    whole = isinstance(offsets, list) and len(offsets) == 2 and all(type(o) is int for o in offsets)
    return max(offsets) if whole and offsets is not None else 0


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Little-endian and contiguous, as the file has it."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _truncated(where: str, size: int, wanted: int) -> TicketError:
    return TicketError(
        f"{where} is truncated: it ends after {size:,} bytes, its header announces {wanted:,}; copy it again."
    )


def _refuse_foreign(head: bytes, where: str) -> NoReturn:
    for start, kind in _FOREIGN:
        if head.startswith(start):
            _refuse(where, kind)
    try:
        readable = codecs.getincrementaldecoder("utf-8")().decode(head[:64])  # the last letter may be cut
    except UnicodeDecodeError:
        readable = ""
    text = bool(readable) and all(letter.isprintable() or letter.isspace() for letter in readable)
    _refuse(where, "a text file" if text else "a file of an unknown kind")


def _refuse(where: str, kind: str) -> NoReturn:
    raise TicketError(
        f"{where} is not a ticket but {kind}; nothing in it was run; name a file that `ult search` wrote."
    )


def tensors_of(subnetwork: Subnetwork, groups: Mapping[str, Mapping[str, NDArray[Any]]]) -> Arrays:
    """The tensors of a file of the newest format: the packed mask, then `group/name` for everything else."""
    planes = {name: plane.packed() for name, plane in subnetwork.planes.items()}
    everything: dict[str, Mapping[str, NDArray[Any]]] = {"scales": subnetwork.scales, "planes": planes, **groups}
    tensors: Arrays = {"mask": subnetwork.mask.packed()}
    for group, arrays in everything.items():
        tensors |= {f"{group}/{name}": array for name, array in arrays.items()}
    return tensors


def parts_of(meta: Mapping[str, Json], tensors: Arrays, format: int) -> dict[str, Any]:
    """From description and tensors to the arguments of `Ticket`; raises TicketError where they do not fit."""
    extras = _EXTRAS[format]
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
