"""One text, and so one hash, per value; and files whose JSON header holds the SHA-256 digest of the whole file, taken while
its 64 digits are zeros.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ult_lightning.base._errors import UltError, fault


def canonical_json(obj: object) -> str:
    """The one JSON text of a value: keys sorted, no spaces, ASCII, tuples as lists, floats by repr.

    Raises ValueError on NaN and infinity, TypeError on anything JSON has no word for and on keys that are
    not text (JSON would quietly make 1 and "1" the same key).

    >>> canonical_json({"b": (1, 2.0), "a": None})
    '{"a":null,"b":[1,2.0]}'
    """
    return json.dumps(_plain(obj), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(obj: object) -> str:
    """SHA-256 of `canonical_json(obj)`, 64 hexadecimal characters."""
    return hashlib.sha256(canonical_json(obj).encode("ascii")).hexdigest()


def json_mapping(argument: str, got: object, error: type[UltError] = UltError) -> dict[str, Any]:
    """A deep copy of a mapping of JSON values, tuples as lists; raises `error` for anything else."""
    if not isinstance(got, Mapping):
        raise fault(argument, got, "a mapping of JSON values", error=error)
    try:
        copy: dict[str, Any] = json.loads(canonical_json(got))
    except (TypeError, ValueError, RecursionError) as cause:
        raise fault(argument, got, "a mapping of JSON values", f"JSON refuses it, {cause}", error=error) from cause
    return copy


def _plain(obj: object) -> object:
    if isinstance(obj, Mapping):
        for key in obj:
            if not isinstance(key, str):
                raise TypeError(f"canonical JSON has text keys only, got {key!r}")
        return {str(key): _plain(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [_plain(value) for value in obj]
    return obj


ZEROS = "0" * 64
"""What stands for the digest while it is taken."""


def sealed(content: bytes, mark: bytes) -> bytes:
    """A file with its digest in place of the zeros that follow `mark`."""
    start = content.index(mark) + len(mark)
    assert content[start : start + 64] == ZEROS.encode()
    return content[:start] + hashlib.sha256(content).hexdigest().encode() + content[start + 64 :]


def is_sealed(content: bytes, end: int, mark: bytes) -> bool:
    """Whether `mark` occurs once in the first `end` bytes, and the digest behind it fits the content."""
    header = content[:end]
    if header.count(mark) != 1:
        return False
    start = header.index(mark) + len(mark)
    digest = hashlib.sha256(content[:start])
    digest.update(ZEROS.encode())
    digest.update(memoryview(content)[start + 64 :])
    return content[start : start + 64] == digest.hexdigest().encode()
