"""The net "stack": layers as listed, features divided by gain and scales, faults that name the layer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ult_lightning.base import UltError
from ult_lightning.nets import NETS, build_mother, maskable
from ult_lightning.tickets import InputSpec, MotherSpec

CNN = [
    {"conv": 4, "kernel": [3, 2], "padding": [1, 0]},
    "relu",
    {"maxpool": 2, "stride": 1},
    {"conv": 3, "stride": 2},
    "relu",
    "flatten",
    {"linear": 5},
]


def built(layers: object, shape: tuple[int, int, int] = (2, 8, 9), *, norm: str = "none", **options: object):
    space = InputSpec(shape=shape, range="unit")
    bias = "nonzero" if norm == "none" else "none"
    spec = MotherSpec("stack", {"layers": layers, **options}, norm=norm, init="kaiming_normal", bias=bias, input=space)
    return build_mother(spec)


def test_the_features_are_those_of_the_layers_over_gain_and_scales():
    mother = built(CNN, gain=2.5)
    own = nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), padding=(1, 0)),
        nn.ReLU(),
        nn.MaxPool2d(2, 1),
        nn.Conv2d(4, 3, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3 * 3 * 3, 5),
    )
    ours = list(own.parameters())
    theirs = list(maskable(mother.body).values())
    assert [tuple(p.shape) for p in ours] == [tuple(p.shape) for p in theirs]
    with torch.no_grad():
        for mine, drawn in zip(ours, theirs, strict=True):
            mine.copy_(drawn)
    scales = math.prod(math.sqrt(2 / fan) for fan in (2 * 6, 4 * 9, 27))
    x = torch.rand(3, 2, 8, 9)
    torch.testing.assert_close(mother(x), own(x) / (2.5 * scales), rtol=1e-5, atol=1e-5)
    assert mother.dim() == 5


def test_maps_are_flattened_to_features():
    assert built([{"conv": 4}]).dim() == 4 * 6 * 7


def test_a_norm_stands_before_each_relu_after_weights():
    kinds = [type(m).__name__ for m in built(CNN, norm="batch").body]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Conv2d", "BatchNorm2d", "ReLU", "Flatten",
                     "Linear"]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (None, "net.options.layers: got None, wanted a list"),
        ([], "net.options.layers: got"),
        (["relu"], "at least one linear or conv layer"),
        (["flatten", "rleu"], r"net.options.layers\[1\]: got 'rleu'"),
        ([{"linear": 3}], r"layers\[0\]: got \(2, 8, 9\).*flatten"),
        (["flatten", {"linear": 3}, {"conv": 3}], r"layers\[2\]: got \(3,\), wanted maps"),
        (["flatten", {"linear": 0}], r"layers\[1\].linear: got 0"),
        (["flatten", {"linear": True}], r"layers\[1\].linear: got True"),
        ([{"conv": 3, "kernal": 3}], r"layers\[0\].kernal: got 3.*kernel"),
        ([{"conv": 3, "kernel": [1, 2, 3]}], r"layers\[0\].kernel.*pair"),
        ([{"conv": 3, "padding": -1}], r"layers\[0\].padding: got -1"),
        ([{"conv": 3, "kernel": 11}], r"layers\[0\]: got \(11, 11\).*fits maps of 8x9"),
        ([{"conv": 3}, {"maxpool": 2, "padding": 2}], r"layers\[1\].padding: got 2.*half"),
        ([{"conv": 3, "linear": 3}], r"layers\[0\]: got"),
    ],
)
def test_a_fault_names_the_layer(layers, message):
    with pytest.raises(UltError, match=message) as found:
        built(layers)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("gain", [0, -1.0, math.inf, True, "2"])
def test_a_gain_is_a_finite_number_above_zero(gain):
    with pytest.raises(UltError, match=r"net.options.gain"):
        NETS.get("stack").build({"layers": CNN, "gain": gain}, norm="none", bias=True, shape=(2, 8, 9))
