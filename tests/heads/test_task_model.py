from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ult_lightning import Mask, MotherSpec, TaskModel, Ticket, TicketError, UltError
from ult_lightning.heads import LinearHead, TaskModelError
from ult_lightning.heads._task_model import _unseal
from ult_lightning.nets import OWN, as_arrays, build_mother, constants, fingerprint, maskable, statistics
from ult_lightning.tickets import InputSpec

TASK = {"id": "toy", "classes": 3, "class_ids": [4, 5, 9], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}


def body() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=4, bias=False), nn.ReLU(), nn.Flatten())


def make_ticket(input: InputSpec | None = None, *, net: str = OWN) -> Ticket:
    """Half of a small mother of one convolution (or of a net by name)."""
    options = {"width": 0.05} if net != OWN else {}
    spec = MotherSpec(net, options, norm="none", seed=5, input=input or InputSpec())
    mother = build_mother(spec, body if net == OWN else None)
    rng = np.random.default_rng(0)
    kept = {name: rng.random(tuple(p.shape)) < 0.5 for name, p in maskable(mother.body).items()}
    return Ticket(
        spec,
        Mask(kept),
        as_arrays(statistics(mother.body)),
        fingerprint(mother.body),
        constants=as_arrays(constants(mother.body)),
        module=body if net == OWN else None,
    )


def make_model(input: InputSpec | None = None, *, net: str = OWN) -> TaskModel:
    ticket = make_ticket(input, net=net)
    generator = torch.Generator().manual_seed(0)
    dim = int(ticket.network().dim)  # type: ignore[arg-type]
    head = LinearHead(torch.randn(3, dim, generator=generator), torch.tensor([0.0, 1.0, -torch.inf]))
    return TaskModel(ticket, head, TASK)


@pytest.fixture(scope="module")
def model() -> TaskModel:
    return make_model()


def images(b: int, c: int = 3, side: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (b, c, side, side), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_logits_are_the_head_on_the_network_on_standardised_images(model: TaskModel) -> None:
    x = images(5)
    mean, std = (torch.tensor(TASK[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    features = model.ticket.network()((x.double() / 255 - mean).div(std).float())
    expected = features @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)
    assert not model(x).requires_grad
    assert model.class_ids == (4, 5, 9)
    assert model.class_names == ("0", "1", "2")


def test_a_mother_for_unit_range_gets_unit_range() -> None:
    model = make_model(InputSpec(range="unit"))
    x = images(2)
    expected = model.head(model.ticket.network()(x.float() / 255))
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("c", "side"), [(1, 28), (3, 28), (1, 32), (1, 8), (3, 40)])
def test_bytes_and_floats_of_any_size_agree(model: TaskModel, c: int, side: int) -> None:
    x = images(3, c, side)
    logits = model(x)
    assert logits.shape == (3, 3)
    near = 1e-4 if side in (28, 32) else 0.1  # resized bytes are rounded to whole levels
    torch.testing.assert_close(model(x.float() / 255), logits, atol=near, rtol=0)
    assert logits[:, :2].abs().mean() > 5
    torch.testing.assert_close(model(x[:1]), logits[:1], atol=1e-4, rtol=1e-4)
    assert model(x[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (images(1)[0], r"images: got \(3, 32, 32\), wanted the shape \(b, c, h, w\)"),
        (images(1).float(), "wanted floats in "),
        (images(1).long(), "wanted uint8 or floating point"),
        (np.zeros((1, 3, 32, 32)), "images: got 'ndarray', wanted a torch tensor; wrap arrays with"),
    ],
)
def test_wrong_images_get_one_sentence(model: TaskModel, wrong: Any, message: str) -> None:
    with pytest.raises(UltError, match=message):
        model(wrong)


def test_a_saved_model_is_the_same_model(model: TaskModel, tmp_path: Path) -> None:
    path = model.save(tmp_path / "deep" / "toy.safetensors")
    loaded = TaskModel.load(path, module=body)
    assert torch.equal(loaded(images(4)), model(images(4)))
    assert loaded.ticket == model.ticket
    assert loaded.task == TASK
    assert [p.name for p in path.parent.iterdir()] == ["toy.safetensors"]
    first = path.read_bytes()
    assert loaded.save(path).read_bytes() == first


def test_a_net_by_name_needs_no_module(tmp_path: Path) -> None:
    model = make_model(net="conv2")
    loaded = TaskModel.load(str(model.save(tmp_path / "toy")))
    assert torch.equal(loaded(images(2)), model(images(2)))


def test_another_mother_is_refused(model: TaskModel, tmp_path: Path) -> None:
    path = model.save(tmp_path / "toy")
    with pytest.raises(TicketError, match=r"the ticket in .*toy"):
        TaskModel.load(path, module=lambda: nn.Sequential(nn.Conv2d(3, 5, 3, stride=4, bias=False), nn.Flatten()))


def test_nothing_in_a_model_can_be_trained(model: TaskModel) -> None:
    model.train()
    assert not any(p.requires_grad for p in model.parameters())
    assert not model.network.training
    model.eval()


def test_every_flipped_bit_is_refused(model: TaskModel, tmp_path: Path) -> None:
    content = model.save(tmp_path / "toy").read_bytes()
    assert _unseal(content, "toy") == [("toy", TASK)]
    end = 8 + int.from_bytes(content[:8], "little")
    places = [*range(8 * end), *random.Random(0).sample(range(8 * end, 8 * len(content)), 500)]
    assert len(places) > 4000
    for place in places:
        with pytest.raises(TaskModelError):
            _unseal(flipped(content, place), "toy")
    for place in random.Random(1).sample(places, 20):
        (tmp_path / "flipped").write_bytes(flipped(content, place))
        with pytest.raises(TaskModelError, match="flipped"):
            TaskModel.load(tmp_path / "flipped", module=body)


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.999])
def test_truncated_files_are_refused(model: TaskModel, tmp_path: Path, keep: float) -> None:
    content = model.save(tmp_path / "toy").read_bytes()
    (tmp_path / "cut").write_bytes(content[: int(keep * len(content))])
    message = "is empty" if keep == 0 else "is no task model" if keep < 0.01 else "is damaged"
    with pytest.raises(TaskModelError, match=message):
        TaskModel.load(tmp_path / "cut", module=body)


def resealed(content: bytes, old: bytes, new: bytes) -> bytes:
    """The file with `old` replaced (same length) and the digest set right again."""
    assert content.count(old) == 1
    assert len(old) == len(new)
    changed = bytearray(content.replace(old, new))
    start = changed.index(b'digest\\":\\"') + len(b'digest\\":\\"')
    changed[start : start + 64] = b"0" * 64
    changed[start : start + 64] = hashlib.sha256(changed).hexdigest().encode()
    return bytes(changed)


def test_a_future_format_is_named(model: TaskModel, tmp_path: Path) -> None:
    path = model.save(tmp_path / "toy")
    path.write_bytes(resealed(path.read_bytes(), b'format\\":1,\\"task', b'format\\":7,\\"task'))
    with pytest.raises(
        TaskModelError, match=r"task model format 7.*wanted format 1 to 2; a newer ult_lightning wrote it"
    ):
        TaskModel.load(path, module=body)


def test_changes_under_a_right_digest_are_refused(model: TaskModel, tmp_path: Path) -> None:
    path = model.save(tmp_path / "toy")
    content = path.read_bytes()
    for old, new, message in [
        (b'\\"std\\":[0.2', b'\\"std\\":[0.0', "wanted three numbers above 0"),
        (b'\\"classes\\":3', b'\\"classes\\":4', "head: got '3 classes', wanted the 4 classes of the task"),
        (b'"head/bias"', b'"head/bits"', "was tampered with"),
        (b'\\"mean\\":', b'\\"mene\\":', r"task\.mean: got None, wanted three finite numbers"),
    ]:
        path.write_bytes(resealed(content, old, new))
        with pytest.raises(TaskModelError, match=message):
            TaskModel.load(path, module=body)


def test_files_of_other_kinds_are_refused(model: TaskModel, tmp_path: Path) -> None:
    with pytest.raises(TaskModelError, match="wanted a task model that is there"):
        TaskModel.load(tmp_path / "nowhere")
    with pytest.raises(TaskModelError, match="cannot be read"):
        TaskModel.load(tmp_path)
    ticket = model.ticket.save(tmp_path / "ticket")
    with pytest.raises(TaskModelError, match=r"is a ticket without a head; read it with Ticket\.load"):
        TaskModel.load(ticket)
    with pytest.raises(TicketError):
        Ticket.load(model.save(tmp_path / "toy"), module=body)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "pickle")
    (tmp_path / "text").write_text("hello, this is no model")
    for name in ("pickle", "text"):
        with pytest.raises(TaskModelError, match="is no task model: it is a file of another kind"):
            TaskModel.load(tmp_path / name)


def test_a_folder_that_cannot_be_made_gets_one_sentence(model: TaskModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UltError, match="a part of the path is a file"):
        model.save(tmp_path / "file" / "toy")


def test_parts_that_do_not_fit_are_refused(model: TaskModel) -> None:
    ticket, head = model.ticket, model.head
    with pytest.raises(
        TaskModelError, match=r"head: got '7 features', wanted the \d+ features of the ticket's network"
    ):
        TaskModel(ticket, LinearHead(torch.zeros(3, 7), torch.zeros(3)), TASK)
    with pytest.raises(TaskModelError, match="head: got '3 classes', wanted the 5 classes of the task"):
        TaskModel(ticket, head, {**TASK, "classes": 5})
    with pytest.raises(TaskModelError, match=r"task: got .* wanted a description of JSON values"):
        TaskModel(ticket, head, {**TASK, "extra": torch.zeros(1)})
    for mean in ([0.1, 0.2], [0.1, 0.2, "x"], None):
        with pytest.raises(TaskModelError, match=r"task\.mean: got .* wanted three finite numbers"):
            TaskModel(ticket, head, {**TASK, "mean": mean})


def test_the_file_is_plain_safetensors(model: TaskModel, tmp_path: Path) -> None:
    from safetensors import safe_open

    with safe_open(model.save(tmp_path / "toy"), "np") as file:
        assert set(file.keys()) == {"ticket", "head/weight", "head/bias"}
        assert json.loads(file.metadata()["ult_task_model"])["task"] == TASK
