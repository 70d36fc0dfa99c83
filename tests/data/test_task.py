from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ult_lightning.data import POLICIES, DataError, Task, augment, load_task, standardize, unit
from ult_lightning.data._augment import statistics


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits", seed=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_is_the_images_at_an_index(made_task: Callable[..., Task], channels: int) -> None:
    task = made_task(40, channels=channels)
    index = torch.tensor([3, 3, 39, 0])
    x, y = task.batch("train", index)
    assert x.dtype == torch.float32
    assert x.shape == (4, 3, 32, 32)
    assert x.is_contiguous()
    assert y.tolist() == [1, 1, 1, 0]
    assert torch.equal(x, standardize(task.train.images[index], task.mean, task.std))
    assert torch.equal(task.batch("train", index, range="unit")[0], unit(task.train.images[index]))


def test_an_augmented_batch_has_a_generator(made_task: Callable[..., Task]) -> None:
    task, index = made_task(40), torch.arange(10)
    one, two, plain = (
        task.batch("train", index, augment=True, generator=torch.Generator().manual_seed(3))[0],
        task.batch("train", index, augment=True, generator=torch.Generator().manual_seed(3))[0],
        task.batch("train", index)[0],
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, plain)
    with pytest.raises(DataError, match="generator: got None, wanted a generator where augment is true; pass torch"):
        task.batch("train", index, augment=True)


def test_true_is_the_policy_of_the_task_and_a_name_is_another(made_task: Callable[..., Task]) -> None:
    index = torch.arange(10)

    def x(task: Task, augment: bool | str) -> torch.Tensor:
        return task.batch("train", index, augment=augment, generator=torch.Generator().manual_seed(3))[0]

    for own in POLICIES:
        task = replace(made_task(40), augmentation=own)
        wanted = {
            name: standardize(
                augment(task.train.images[index], name, generator=torch.Generator().manual_seed(3)), task.mean, task.std
            )
            for name in POLICIES
        }
        assert torch.equal(x(task, True), wanted[own])
        assert torch.equal(x(task, False), wanted["none"])
        assert all(torch.equal(x(task, name), wanted[name]) for name in POLICIES)
    assert torch.equal(task.batch("train", index, augment="none")[0], task.batch("train", index)[0])
    with pytest.raises(
        DataError, match="augment: got 'shfit', wanted one of crop_flip, none, shift; did you mean shift"
    ):
        task.batch("train", index, augment="shfit")
    with pytest.raises(DataError, match="augment: got 1, wanted one of crop_flip, none, shift"):
        task.batch("train", index, augment=1)  # type: ignore[arg-type]


def test_some_rows_of_a_batch_are_those_of_the_whole(made_task: Callable[..., Task]) -> None:
    task, index = made_task(40), torch.arange(12)
    for policy in POLICIES:
        whole, some = (
            task.batch("train", index, augment=policy, generator=torch.Generator().manual_seed(3), rows=rows)
            for rows in (slice(None), slice(4, 8))
        )
        assert torch.equal(some[0], whole[0][4:8])
        assert torch.equal(some[1], whole[1][4:8])


@pytest.mark.parametrize("batch_size", [1, 7, 20, 500])
def test_batches_hold_each_image_once_in_order(made_task: Callable[..., Task], batch_size: int) -> None:
    task = made_task(40)
    batches = list(task.batches("test", batch_size))
    assert len(batches) == -(-20 // batch_size)
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert torch.equal(x, standardize(task.test.images, task.mean, task.std))
    assert torch.equal(y, task.test.labels)


def test_the_training_part_is_standardized(digits: Task) -> None:
    x = torch.cat([x for x, _ in digits.batches("train")])
    assert x.mean().abs() < 1e-4
    assert (x.std() - 1).abs() < 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_numpys(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (700, channels, 32, 32), dtype=np.uint8)
    mean, std = statistics(torch.from_numpy(images))
    wanted = images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, np.broadcast_to(wanted.mean(axis=(0, 2, 3)), 3), rtol=1e-12)
    np.testing.assert_allclose(std, np.broadcast_to(wanted.std(axis=(0, 2, 3)), 3), rtol=1e-12)


def test_statistics_of_the_brightest_images_are_exact() -> None:
    images = torch.full((600, 1, 32, 32), 255, dtype=torch.uint8)
    images[0] = 254
    mean, std = statistics(images)
    assert mean[0] == pytest.approx(1 - 1 / (600 * 255), rel=1e-14)
    assert std[0] == 1 / 255  # the floor


def test_to_the_same_device_is_the_same_task(digits: Task) -> None:
    assert digits.to("cpu") is digits
    moved = digits.to("meta")
    assert {part.images.device.type for part in (moved.train, moved.valid, moved.test)} == {"meta"}
    assert moved.device.type == "meta"


def test_few_shot_draws_per_class(digits: Task) -> None:
    task = digits.few_shot(5, draw=0)
    assert torch.bincount(task.train.labels).tolist() == [5] * 10
    assert len(task.valid) == 50
    assert torch.bincount(task.valid.labels, minlength=10).min() >= 1
    assert task.test is digits.test
    assert task.mean == statistics(task.train.images)[0]
    assert (task.shots, task.draw) == (5, 0)
    rows = {image.numpy().tobytes() for image in digits.train.images}
    assert all(image.numpy().tobytes() in rows for image in task.train.images)


def test_draws_differ_and_repeat(digits: Task) -> None:
    one, same, other = (digits.few_shot(2, draw=draw) for draw in (0, 0, 1))
    assert torch.equal(one.train.images, same.train.images)
    assert torch.equal(one.valid.images, same.valid.images)
    assert not torch.equal(one.train.images, other.train.images)


def test_few_shot_keeps_a_validation_part_that_is_small_enough(digits: Task) -> None:
    task = digits.few_shot(100, draw=0)
    assert task.valid is digits.valid


@pytest.mark.parametrize(
    ("shots", "message"),
    [
        (0, "shots: got 0, wanted a number of images per class, 1 or more"),
        (2.0, "shots: got 2.0, wanted a number of images per class"),
        (True, "shots: got True, wanted"),
        (1000, "the training images of class 8 of digits; ask for fewer shots or raise train_limit"),
    ],
)
def test_shots_that_cannot_be_had(digits: Task, shots: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        digits.few_shot(shots, draw=0)
    assert message in str(caught.value)


def test_the_description_is_json(digits: Task) -> None:
    described = digits.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described["id"] == "digits"
    assert described["sizes"] == {"train": 1294, "valid": 144, "test": 359}
    assert described["class_ids"] == list(range(10))
    assert len(described["digest"]) == 64


def test_names_that_are_no_split_or_range(made_task: Callable[..., Task]) -> None:
    task: Any = made_task()
    with pytest.raises(DataError, match="split: got 'tset', wanted one of test, train, valid; did you mean test"):
        task.batch("tset", torch.arange(2))
    with pytest.raises(DataError, match="range: got 'units', wanted one of standardized, unit; did you mean unit"):
        task.batch("test", torch.arange(2), range="units")
    with pytest.raises(DataError, match="batch_size: got 0, wanted 1 or more"):
        next(task.batches("test", 0))
