"""Files whose JSON header holds the SHA-256 digest of the whole file, taken while its 64 digits are zeros."""

from __future__ import annotations

import hashlib

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
