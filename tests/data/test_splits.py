from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ult_lightning.data import DataError
from ult_lightning.data._splits import (
    apportion,
    random_order,
    random_words,
    stratified,
    train_test,
    train_valid,
    without,
)

LABELS = st.lists(st.integers(2, 40), min_size=2, max_size=6).flatmap(
    lambda counts: st.permutations([label for label, n in enumerate(counts) for _ in range(n)])
).map(lambda labels: np.asarray(labels, dtype=np.int64))  # fmt: skip


def test_the_random_words_are_pinned() -> None:
    """Raw Philox output is stable across NumPy releases: this guards every split and every stream."""
    assert random_words(2, "a", 0).tolist() == [6754166561668120172, 5627369909142184883]
    assert random_order(6, "a", 0).tolist() == np.argsort(random_words(6, "a", 0)).tolist()


def test_keys_do_not_run_into_each_other() -> None:
    assert random_words(4, "a", 1).tolist() != random_words(4, "a", 2).tolist()
    assert random_words(0, "a").shape == (0,)


@given(LABELS, st.integers(0, 3), st.data())
def test_validation_and_training_are_disjoint_stratified_and_exact(
    labels: np.ndarray,
    seed: int,
    data: st.DataObject,
) -> None:
    classes, counts = np.unique(labels, return_counts=True)
    n_valid = data.draw(st.integers(len(classes), int((counts - 1).sum())))
    n_train = data.draw(st.integers(len(classes), len(labels) - n_valid))
    train, valid = train_valid(labels, seed=seed, train_limit=n_train, valid_limit=n_valid)
    assert len(train) == n_train
    assert len(valid) == n_valid
    assert not set(train.tolist()) & set(valid.tolist())
    for part in (train, valid):
        assert len(set(part.tolist())) == len(part)
        assert set(labels[part].tolist()) == set(classes.tolist())
    again = train_valid(labels, seed=seed, train_limit=n_train, valid_limit=n_valid)
    assert all(np.array_equal(one, two) for one, two in zip((train, valid), again, strict=True))


@given(LABELS, st.data())
def test_classes_get_their_share(labels: np.ndarray, data: st.DataObject) -> None:
    classes, counts = np.unique(labels, return_counts=True)
    size = data.draw(st.integers(len(classes), len(labels)))
    chosen = stratified(labels, size, "key")
    shares = np.unique(labels[chosen], return_counts=True)[1]
    wanted = size * counts / counts.sum()
    tight = (wanted >= 1).all()  # else the class that needs its one image takes it from the others
    assert (np.abs(shares - wanted) < (1 if tight else len(classes))).all()


def test_every_image_is_equally_likely() -> None:
    labels = np.repeat([0, 1], [10, 20])
    hits = np.zeros(30)
    for seed in range(400):
        hits[stratified(labels, 9, "key", seed)] += 1
    assert (np.abs(hits / 400 - 0.3) < 5 * (0.3 * 0.7 / 400) ** 0.5).all()


def test_largest_remainders() -> None:
    counts = np.array([50, 30, 20])
    zero = np.zeros(3, dtype=np.int64)
    assert apportion(counts, 10, zero, counts).tolist() == [5, 3, 2]
    assert apportion(counts, 7, zero, counts).tolist() == [4, 2, 1]
    assert apportion(np.array([98, 1, 1]), 10, np.ones(3, dtype=np.int64), counts).tolist() == [8, 1, 1]
    with pytest.raises(ValueError, match="size 101 is not between 0 and 100"):
        apportion(counts, 101, zero, counts)


def test_seeds_draw_different_parts_and_the_default_is_a_tenth() -> None:
    labels = np.tile(np.arange(10), 100)
    first, second = (train_valid(labels, seed=seed) for seed in (0, 1))
    assert [len(part) for part in first] == [900, 100]
    assert not np.array_equal(first[1], second[1])


@pytest.mark.parametrize(
    ("train_limit", "sizes"),
    [(None, (45_000, 5_000)), (10_000, (10_000, 1_000)), (500, (500, 500)), (10, (10, 10)), (48_000, (48_000, 1_000))],
)
def test_default_sizes(train_limit: int | None, sizes: tuple[int, int]) -> None:
    labels = np.tile(np.arange(10), 5_000)
    train, valid = train_valid(labels, seed=0, train_limit=train_limit)
    assert (len(train), len(valid)) == sizes
    assert np.unique(labels[train], return_counts=True)[1].tolist() == [sizes[0] // 10] * 10


def test_a_limit_above_what_is_there_takes_all() -> None:
    labels = np.tile(np.arange(2), 50)
    train, valid = train_valid(labels, seed=0, train_limit=1_000)
    assert (len(train), len(valid)) == (90, 10)


def test_the_validation_part_does_not_depend_on_the_train_limit_beyond_its_size() -> None:
    labels = np.tile(np.arange(10), 500)
    valid = train_valid(labels, seed=3, valid_limit=200)[1]
    assert np.array_equal(valid, train_valid(labels, seed=3, train_limit=100, valid_limit=200)[1])


def test_a_class_with_a_single_image_keeps_it_in_training() -> None:
    labels = np.array([0, 1, 1, 1, 1, 2, 2, 2, 2])
    train, valid = train_valid(labels, seed=0)
    assert 0 in labels[train]
    assert 0 not in labels[valid]
    assert set(labels[valid].tolist()) == {1, 2}


def test_the_fixed_split_is_a_fifth_of_each_class() -> None:
    labels = np.repeat(np.arange(4), [100, 50, 30, 20])
    train, test = train_test(labels)
    assert np.unique(labels[test], return_counts=True)[1].tolist() == [20, 10, 6, 4]
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(200))


def test_without() -> None:
    assert without(5, np.array([1, 3])).tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("labels", "limits", "message"),
    [
        (np.tile(np.arange(10), 10), {"train_limit": 9},
         "train_limit: got 9, wanted at least one image for each of 10 classes; raise it or keep fewer classes."),
        (np.tile(np.arange(10), 10), {"valid_limit": 9}, "valid_limit: got 9, wanted 10 to 90 of 100 training images"),
        (np.tile(np.arange(10), 10), {"valid_limit": 91}, "valid_limit: got 91, wanted 10 to 90 of 100 training"),
        (np.arange(3), {}, "task: got '3 images, each of its own class', wanted at least two images of a class"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_work_out(labels: np.ndarray, limits: dict[str, int], message: str) -> None:
    with pytest.raises(DataError) as caught:
        train_valid(labels, seed=0, **limits)
    assert str(caught.value).startswith(message)


def test_a_stratified_part_of_an_impossible_size() -> None:
    with pytest.raises(DataError, match="size: got 1, wanted 2 to 4 of 4 images of 2 classes"):
        stratified(np.array([0, 0, 1, 1]), 1, "key")
