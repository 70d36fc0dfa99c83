from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ult_lightning.base import UltError
from ult_lightning.heads import HEADS, FeatureStream, FrozenError
from ult_lightning.transfer import transfer


def test_transfer_says_all_it_knows(network: Any, task: Any) -> None:
    before = network.fingerprint()
    result = transfer(network, task, keep_predictions=True)
    assert result.n_test == 60
    assert result.predictions is not None
    assert result.accuracy == pytest.approx(float((result.predictions == task.test.labels).double().mean()))
    assert result.accuracy > 0.7
    assert result.dim == 24
    assert result.fingerprint_before == result.fingerprint_after == before
    assert set(result.seconds) == {"features", "head", "test", "total"}
    parts = result.seconds["features"] + result.seconds["head"] + result.seconds["test"]
    assert 0 < parts <= result.seconds["total"]
    assert result.fit.seconds == pytest.approx(result.seconds["features"] + result.seconds["head"])
    assert transfer(network, task).predictions is None


def test_test_images_are_read_once_and_after_the_choice(network: Any, task: Any, monkeypatch: Any) -> None:
    read: list[str] = []
    original = FeatureStream.batches

    def watched(self: FeatureStream, split: Any) -> Any:
        read.append(split)
        return original(self, split)

    monkeypatch.setattr(FeatureStream, "batches", watched)
    transfer(network, task)
    assert read == ["train", "valid", "test"]


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_does_not_matter(network: Any, task: Any, batch_size: int) -> None:
    expected, got = transfer(network, task), transfer(network, task, batch_size=batch_size)
    assert got.accuracy == expected.accuracy
    assert got.fit.hyper == expected.fit.hyper
    torch.testing.assert_close(got.fit.head.weight, expected.fit.head.weight, rtol=1e-3, atol=1e-5)


def test_few_images_take_the_dual_form(network: Any, tasks: Callable[..., Any]) -> None:
    assert transfer(network, tasks(train=9, valid=9)).fit.hyper["form"] == "dual"
    assert transfer(network, tasks(train=24)).fit.hyper["form"] == "primal"


def test_bf16_is_the_precision_of_the_forward_pass_only(network: Any, task: Any) -> None:
    full, half = transfer(network, task), transfer(network, task, precision="bf16")
    assert half.fit.head.weight.dtype == torch.float32
    assert not torch.equal(half.fit.head.weight, full.fit.head.weight)
    assert abs(half.accuracy - full.accuracy) <= 0.05


@pytest.mark.parametrize("range", ["standardized", "unit"])
def test_images_come_in_the_range_the_mother_was_made_for(task: Any, networks: Any, range: str) -> None:
    transfer(networks(range=range), task)
    assert set(task.ranges) == {range}


def test_a_network_that_changes_yields_no_result(network: Any, task: Any) -> None:
    forward = network.forward

    def drifting(x: torch.Tensor) -> torch.Tensor:
        network.map.bias.add_(1e-3)
        return forward(x)

    network.forward = drifting
    with pytest.raises(
        FrozenError, match=r"changed during the transfer: fingerprint \w{16} before, \w{16} after; no row"
    ):
        transfer(network, task)


def test_a_trainable_network_is_refused(network: Any, task: Any) -> None:
    network.requires_grad_(True)
    with pytest.raises(FrozenError, match=r"trainable parameters; take a frozen one, as Ticket.network\(\) gives it"):
        transfer(network, task)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("head", HEADS.names())
def test_features_that_are_not_finite_are_refused(network: Any, task: Any, bad: float, head: str) -> None:
    network.map.bias[5] = bad
    with pytest.raises(UltError, match="features are not finite on this task; search with norm=batch"):
        transfer(network, task, head=head)


@pytest.mark.parametrize("train", [120, 9])
def test_features_near_the_end_of_float32_are_refused_or_work(network: Any, tasks: Any, train: int) -> None:
    network.map.weight.mul_(1e30)
    if train > network.dim:
        with pytest.raises(UltError, match="too large for float32 products"):
            transfer(network, tasks(train=train))
    else:
        assert transfer(network, tasks(train=train)).accuracy > 0.5


def test_another_input_size_is_refused(networks: Any, task: Any) -> None:
    with pytest.raises(
        UltError, match=r"network: got \(3, 64, 64\), wanted an input of shape \(3, 32, 32\); tasks are"
    ):
        transfer(networks(shape=(3, 64, 64)), task)


def test_features_of_another_shape_are_refused(network: Any, task: Any) -> None:
    network.dim = 23
    with pytest.raises(UltError, match=r"network: got \(64, 24\), wanted features of shape \(b, 23\)"):
        transfer(network, task)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": "rigde"}, r"head: got 'rigde', wanted one of .*; did you mean ridge\?"),
        ({"precision": "16"}, "precision: got '16', wanted one of 32, bf16"),
        ({"batch_size": 0}, "batch_size: got 0, wanted a whole number of at least 1"),
    ],
)
def test_bad_arguments_get_one_sentence(network: Any, task: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UltError, match=message):
        transfer(network, task, **arguments)


@pytest.mark.parametrize("part", ["train", "test"])
def test_empty_parts_are_refused(network: Any, tasks: Any, part: str) -> None:
    with pytest.raises(UltError, match=f"task.{part}: got 0, wanted at least one"):
        transfer(network, tasks(**{part: 0}))


@pytest.mark.gpu
@pytest.mark.parametrize("head", HEADS.names())
def test_a_gpu_finds_the_same(networks: Any, task: Any, head: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    here = transfer(networks(), task, head=head)

    class There(type(task)):  # type: ignore[misc]
        def to(self, device: str) -> Any:
            splits = (type(p)(p.images.to(device), p.labels.to(device)) for p in (self.train, self.valid, self.test))
            return type(task)(self.classes, *splits)

    there = transfer(networks(), There(task.classes, task.train, task.valid, task.test), head=head, device="cuda")
    assert there.fingerprint_after == here.fingerprint_before
    assert there.fit.head.weight.is_cuda
    assert abs(there.accuracy - here.accuracy) <= 0.05
