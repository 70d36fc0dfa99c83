from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ult_lightning.data import DataError, Task, TaskBatch, TaskBatches, TaskStream

Make = Callable[..., Task]


def _epochs(stream: TaskStream, epochs: range) -> list[list[TaskBatch]]:
    items = []
    for epoch in epochs:
        stream.set_epoch(epoch)
        items += list(stream)
    return items


def _same(one: list[list[TaskBatch]], two: list[list[TaskBatch]]) -> bool:
    return len(one) == len(two) and all(
        a.task == b.task and torch.equal(a.x, b.x) and torch.equal(a.y, b.y)
        for left, right in zip(one, two, strict=True)
        for a, b in zip(left, right, strict=True)
    )


class _Sized:
    """As much of a task as `index` needs."""

    device = "cpu"

    def __init__(self, n: int) -> None:
        self.train = range(n)

    def policy(self, augment: bool | str) -> str:
        return "none"


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 5))
def test_a_permutation_holds_each_image_at_most_once(n: int, batch_size: int, seed: int) -> None:
    stream = TaskStream([_Sized(n)], batch_size=batch_size, seed=seed)  # type: ignore[list-item]
    size = min(n, batch_size)
    per_permutation = n // size
    for number in range(3):
        steps = range(number * per_permutation, (number + 1) * per_permutation)
        drawn = torch.cat([stream.index(0, step) for step in steps]).tolist()
        assert len(drawn) == per_permutation * size
        assert len(set(drawn)) == len(drawn)
        assert set(drawn) <= set(range(n))
        if n % size == 0:
            assert set(drawn) == set(range(n))


@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.integers(0, 30), min_size=1))
def test_a_batch_depends_on_nothing_that_came_before(n: int, batch_size: int, steps: list[int]) -> None:
    walked = TaskStream([_Sized(n)], batch_size=batch_size, seed=1)  # type: ignore[list-item]
    for step in steps:
        fresh = TaskStream([_Sized(n)], batch_size=batch_size, seed=1)  # type: ignore[list-item]
        assert torch.equal(walked.index(0, step), fresh.index(0, step))


def test_permutations_tasks_and_seeds_differ() -> None:
    tasks: Any = [_Sized(50), _Sized(50)]
    one, two = (TaskStream(tasks, batch_size=50, seed=seed) for seed in (0, 1))
    orders = [one.index(0, 0), one.index(0, 1), one.index(1, 0), two.index(0, 0)]
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_alternate_takes_the_tasks_in_turn_across_epochs(made_task: Make) -> None:
    stream = TaskStream([made_task(30), made_task(20, seed=9), made_task(10, seed=5)], batch_size=8, seed=0)
    assert len(stream) == 8  # 60 images / 8, rounded to even
    items = _epochs(stream, range(3))
    assert [item[0].task for item in items] == [step % 3 for step in range(24)]
    assert {len(item) for item in items} == {1}


def test_alternate_skips_no_batch_of_a_task(made_task: Make) -> None:
    tasks = [made_task(30), made_task(30, seed=9)]
    stream = TaskStream(tasks, batch_size=10, seed=0)
    items = _epochs(stream, range(2))
    assert len(items) == 12
    for turn, (batch,) in enumerate(items):
        x, y = tasks[batch.task].batch("train", stream.index(batch.task, turn // 2))
        assert torch.equal(batch.x, x)
        assert torch.equal(batch.y, y)


def test_joint_gives_a_batch_of_each_task(made_task: Make) -> None:
    stream = TaskStream([made_task(30), made_task(50, seed=9)], batch_size=10, mixing="joint", seed=0)
    assert len(stream) == 4
    for item in _epochs(stream, range(2)):
        assert [batch.task for batch in item] == [0, 1]
        assert [len(batch.y) for batch in item] == [10, 10]


@pytest.mark.parametrize("mixing", ["alternate", "joint"])
@pytest.mark.parametrize("augment", [False, True])
def test_resuming_from_an_epoch_is_continuing(made_task: Make, mixing: Any, augment: bool) -> None:
    tasks = [made_task(30, channels=3), made_task(21, seed=9)]

    def stream() -> TaskStream:
        return TaskStream(tasks, batch_size=8, mixing=mixing, seed=4, augment=augment, steps_per_epoch=5)

    whole = _epochs(stream(), range(4))
    assert len(whole) == 20
    assert _same(whole[10:], _epochs(stream(), range(2, 4)))
    assert not _same(whole[:10], whole[10:])


def test_augmentation_differs_by_seed_task_and_step(made_task: Make) -> None:
    task = made_task(20)
    task.train.images[:] = task.train.images[0]  # all alike: what differs is the augmentation
    streams = [TaskStream([task, task], batch_size=20, seed=seed, augment=True) for seed in (0, 1)]
    places = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    batches = [streams[which].task_batch(position, step).x for which, position, step in places]
    assert not any(torch.equal(batches[i], batches[j]) for i in range(4) for j in range(i))
    assert torch.equal(batches[1], streams[0].task_batch(0, 1).x)


def test_batches_are_the_tasks_images_with_their_labels(made_task: Make) -> None:
    task = made_task(30, classes=3)
    stream = TaskStream([task], batch_size=10, seed=0)
    labels = []
    for item in stream:
        x, y = task.batch("train", stream.index(0, len(labels)))
        assert torch.equal(item[0].x, x)
        assert torch.equal(item[0].y, y)
        labels.append(y)
    assert torch.bincount(torch.cat(labels)).tolist() == [10, 10, 10]


def test_each_task_has_its_own_policy(made_task: Make) -> None:
    tasks = [replace(made_task(30), augmentation=policy) for policy in ("none", "shift", "crop_flip")]
    own = TaskStream(tasks, batch_size=8, mixing="joint", seed=0, augment=True)
    for place, policy in enumerate(("none", "shift", "crop_flip")):
        named = TaskStream(tasks, batch_size=8, mixing="joint", seed=0, augment=policy)
        assert torch.equal(own.step(3)[place].x, named.step(3)[place].x)
    assert not torch.equal(own.step(3)[1].x, named.step(3)[1].x)
    with pytest.raises(DataError, match="augment: got 'flip', wanted one of"):
        TaskStream(tasks, batch_size=8, seed=0, augment="flip")


def test_iterating_again_repeats_the_epoch(made_task: Make) -> None:
    stream = TaskStream([made_task(30)], batch_size=8, seed=0)
    assert _same(list(stream), list(stream))


def test_fewer_images_than_the_batch_size_make_one_batch(made_task: Make) -> None:
    stream = TaskStream([made_task(12)], batch_size=128, seed=0)
    assert len(stream) == 1
    first, second = (stream.index(0, step) for step in (0, 1))
    assert sorted(first.tolist()) == list(range(12)) == sorted(second.tolist())
    assert first.tolist() != second.tolist()


def test_the_unit_range_reaches_the_batches(made_task: Make) -> None:
    item = next(iter(TaskStream([made_task(30)], batch_size=8, seed=0, range="unit")))
    assert 0 <= float(item[0].x.min()) <= float(item[0].x.max()) <= 1


def test_evaluation_batches(made_task: Make) -> None:
    task = made_task(50)
    loader = TaskBatches(task, "test", position=3, batch_size=10)
    batches = list(loader)
    assert len(batches) == len(loader) == 3
    assert {batch.task for batch in batches} == {3}
    assert torch.equal(torch.cat([batch.y for batch in batches]), task.test.labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixing": "jointly"}, "mixing: got 'jointly', wanted one of alternate, joint; did you mean joint"),
        ({"batch_size": 0}, "batch_size: got 0, wanted a whole number, 1 or more"),
        ({"batch_size": 2.5}, "batch_size: got 2.5, wanted a whole number"),
        ({"steps_per_epoch": 0}, "steps_per_epoch: got 0, wanted a whole number, 1 or more"),
    ],
)
def test_bad_settings(made_task: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        TaskStream([made_task()], **{"batch_size": 8, "seed": 0, **options})
    assert str(caught.value).startswith(message)


def test_no_tasks() -> None:
    with pytest.raises(DataError, match=r"tasks: got \[\], wanted at least one task"):
        TaskStream([], batch_size=8, seed=0)
