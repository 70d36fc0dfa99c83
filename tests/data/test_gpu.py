"""The same batches on an accelerator as on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ult_lightning.data import Task, TaskStream
from ult_lightning.data._augment import statistics


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augment", [False, "shift", "crop_flip"])
def test_batches_do_not_depend_on_the_device(
    made_task: Callable[..., Task],
    channels: int,
    augment: bool | str,
) -> None:
    task = made_task(300, channels=channels)
    there = task.to("cuda")
    assert statistics(there.train.images) == statistics(task.train.images)
    streams = [TaskStream([one], batch_size=64, seed=0, augment=augment) for one in (task, there)]
    for (here,), (far,) in zip(*streams, strict=True):
        assert far.x.device.type == far.y.device.type == "cuda"
        torch.testing.assert_close(far.x.cpu(), here.x, rtol=0, atol=1e-6)
        assert torch.equal(far.y.cpu(), here.y)
    few = there.few_shot(3, draw=0)
    assert torch.equal(few.train.images.cpu(), task.few_shot(3, draw=0).train.images)
