"""Which image is in which part: pure functions of labels and a key."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from ult_lightning.data._data_error import data_fault

Index = NDArray[np.int64]


def random_stream(*key: object) -> np.random.Philox:
    """The stream of a key, whose raw words NumPy keeps stable across releases."""
    name = "/".join(map(str, key))
    return np.random.Philox(key=int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little"))


def random_words(n: int, *key: object) -> NDArray[np.uint64]:
    """`n` random 64-bit words of the key's stream."""
    return np.asarray(random_stream(*key).random_raw(n), dtype=np.uint64).reshape(n)


def random_order(n: int, *key: object) -> Index:
    """A random permutation of 0 .. n-1, the same for the same key on every machine."""
    order: Index = np.argsort(random_words(n, *key), kind="stable").astype(np.int64)
    return order


def apportion(counts: Index, size: int, low: Index, high: Index) -> Index:
    """Shares of `size` in proportion to `counts`, each in [low, high], by largest remainders; exact sum.

    Raises ValueError where no such shares exist.
    """
    if not low.sum() <= size <= high.sum():
        raise ValueError(f"size {size} is not between {low.sum()} and {high.sum()}")
    wanted = size * counts / max(counts.sum(), 1)
    shares: Index = np.clip(np.floor(wanted).astype(np.int64), low, high)
    while shares.sum() != size:
        step = 1 if shares.sum() < size else -1
        free = shares < high if step > 0 else shares > low
        need = np.where(free, step * (wanted - shares), -np.inf)
        shares[int(np.argmax(need))] += step
    return shares


def stratified(labels: Index, size: int, *key: object, spare: bool = False) -> Index:
    """`size` positions, sorted, drawn by `key` with every class in its share and at least one of each.

    With `spare`, one image of each class is left over as well, and a class with a single image is left over entirely.
    `labels` (n,) are any integers.

    Raises DataError: too small or too large a size for that.
    """
    classes, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    high = counts - int(spare)
    low = np.minimum(high, 1)
    try:
        shares = apportion(counts, size, low, high)
    except ValueError:
        wanted = f"{low.sum()} to {high.sum()} of {len(labels)} images of {len(classes)} classes"
        mend = "so that every part holds each class" if spare else "so that each class is there"
        raise data_fault("size", size, wanted, mend) from None
    shuffled = random_order(len(labels), *key)
    by_class = shuffled[np.argsort(inverse[shuffled], kind="stable")]
    starts = np.cumsum(counts) - counts
    place = np.arange(len(labels)) - np.repeat(starts, counts)
    return np.sort(by_class[place < np.repeat(shares, counts)])


def without(n: int, taken: Index) -> Index:
    """The positions 0 .. n-1 that are not in `taken`, in order."""
    left = np.ones(n, dtype=bool)
    left[taken] = False
    return np.flatnonzero(left).astype(np.int64)


def train_test(labels: Index) -> tuple[Index, Index]:
    """The fixed stratified 80/20 split of a set that comes without an official one (no seed changes it)."""
    test = stratified(labels, _share(labels, round(0.2 * len(labels))), "official test", spare=True)
    return without(len(labels), test), test


def train_valid(
    labels: Index,
    *,
    seed: int,
    train_limit: int | None = None,
    valid_limit: int | None = None,
) -> tuple[Index, Index]:
    """Training and validation part of a training split, both stratified by `seed`.

    Validation is taken first: `valid_limit` images, by default a tenth of `labels` and, where there is a `train_limit`,
    no more than that or 1,000. The rest is for training, at most `train_limit` of it.

    Raises DataError: the limits leave a class without an image.
    """
    tenth = round(0.1 * len(labels))
    usual = tenth if train_limit is None else min(tenth, train_limit, 1000)
    n_valid = _share(labels, usual)
    if valid_limit is not None and valid_limit != _share(labels, valid_limit):
        wanted = f"{_share(labels, 0)} to {_share(labels, len(labels))} of {len(labels)} training images"
        raise data_fault("valid_limit", valid_limit, wanted, "so that training and validation both hold every class")
    n_valid = n_valid if valid_limit is None else valid_limit
    valid = stratified(labels, n_valid, "valid", seed, spare=True)
    train = without(len(labels), valid)
    return train[limited(labels[train], train_limit, "train", seed=seed)], valid


def limited(labels: Index, limit: int | None, part: str, *, seed: int) -> Index:
    """At most `limit` positions of a part ("train" or "valid"), stratified by `seed`; all of them without a limit.

    Raises DataError: fewer than one image per class.
    """
    if limit is None or limit >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    classes = len(np.unique(labels))
    if limit < classes:
        wanted = f"at least one image for each of {classes} classes"
        raise data_fault(f"{part}_limit", limit, wanted, "raise it or keep fewer classes")
    return stratified(labels, limit, part, seed)


def _share(labels: Index, size: int) -> int:
    """The size nearest to `size` that takes one image of every class that has two, and leaves one of each.

    Raises DataError: every class has a single image.
    """
    counts = np.unique(labels, return_counts=True)[1]
    if int(counts.max()) < 2:
        got, wanted = f"{len(labels)} images, each of its own class", "at least two images of a class"
        raise data_fault("task", got, wanted, "add images")
    return min(max(size, int((counts > 1).sum())), int((counts - 1).sum()))
