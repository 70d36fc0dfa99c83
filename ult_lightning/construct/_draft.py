"""A mother in the units in which pruning problems are solved, and the masks that are being made.

By the scaling lemma (ReLU is positively homogeneous) every pruning problem can be solved for weights W_l / s_l and biases
b_l / (s_1 ... s_l): the masked network's output is then s_1 ... s_L times that of the unit-scale one. The numbers are those of
the float32 parameters that the mother has, taken as float64.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
from torch import nn

from ult_lightning.base import digest, environment, fault
from ult_lightning.construct._arrays import Bools, Floats
from ult_lightning.nets import INITS, apply_subnetwork, as_arrays, build_mother, fingerprint, maskable
from ult_lightning.tickets import Mask, MotherSpec, Subnetwork, Ticket

NUMERICS = 1
"""Raised whenever a change makes other masks from the same settings."""


@dataclass
class Layer:
    """One layer of a mother: ``u`` (out, in, *kernel) and ``v`` (out,) of unit scale, and which of them are kept so far.

    ``scale``: the product of the scales of all layers up to this one, which its outputs have in the mother.
    """

    name: str
    u: Floats
    v: Floats
    weight_mask: Bools
    bias_mask: Bools
    scale: float = 1.0

    @property
    def kept(self) -> int:
        return int(self.weight_mask.sum() + self.bias_mask.sum())

    @property
    def total(self) -> int:
        return self.u.size + self.v.size

    def masked(self) -> tuple[Floats, Floats]:
        """Weights and biases of unit scale with zeros for what is pruned."""
        return self.u * self.weight_mask, self.v * self.bias_mask

    def shaped(self, *shape: int) -> Layer:
        """The same layer with weights (out, ...) of another shape; masks are shared."""
        shape = (len(self.v), *shape)
        return replace(self, u=self.u.reshape(shape), weight_mask=self.weight_mask.reshape(shape))


class Draft:
    """A mother drawn once from its spec, and the masks that grow over it. Nothing is kept at first.

    Raises ``UltError`` for mothers without non-zero biases or with a norm, and as `build_mother` does.
    """

    def __init__(self, spec: MotherSpec) -> None:
        if spec.bias != "nonzero" or spec.norm != "none":
            got = f"bias={spec.bias}, norm={spec.norm}"
            raise fault("mother", got, "bias=nonzero, norm=none", "the theory needs knots away from 0")
        self.spec, self.body = spec, build_mother(spec).body
        self.fingerprint = fingerprint(self.body)
        arrays, init = as_arrays(maskable(self.body)), INITS.get(spec.init)
        self.layers: list[Layer] = []
        product = 1.0
        for name in (n.removesuffix(".weight") for n in arrays if n.endswith("weight")):
            weight, bias = (arrays[f"{name}.{kind}"].astype(np.float64) for kind in ("weight", "bias"))
            scale = init.scale(weight.shape, spec.scale_fan)
            product *= scale
            masks = np.zeros(weight.shape, bool), np.zeros(bias.shape, bool)
            self.layers.append(Layer(name, weight / scale, bias / product, *masks, scale=product))

    def stage(self, name: str) -> list[Layer]:
        """The layers named ``<name>.0``, ``<name>.1``, ... with their weights as matrices."""
        return [layer.shaped(-1) for layer in self.layers if layer.name.startswith(f"{name}.")]

    @property
    def kept(self) -> int:
        return sum(layer.kept for layer in self.layers)

    @property
    def total(self) -> int:
        return sum(layer.total for layer in self.layers)

    def mask(self) -> Mask:
        parts: dict[str, Bools] = {}
        for layer in self.layers:
            parts[f"{layer.name}.weight"], parts[f"{layer.name}.bias"] = layer.weight_mask, layer.bias_mask
        return Mask(parts)

    def masked_body(self) -> nn.Module:
        """A copy of the mother's body with the masks applied, float32."""
        body = copy.deepcopy(self.body)
        apply_subnetwork(body, self.mask())
        return body

    def clear(self) -> None:
        for layer in self.layers:
            layer.weight_mask[...] = False
            layer.bias_mask[...] = False

    def ticket(self, provenance: Mapping[str, Any], *, seconds: float) -> Ticket:
        """The ticket of the masks made. ``provenance`` holds at least "method" and "config"."""
        return Ticket(
            spec=self.spec,
            subnetwork=Subnetwork(self.mask()),
            statistics={},
            fingerprint=self.fingerprint,
            provenance={
                "id": ticket_id(provenance["method"], provenance["config"]),
                "made_by": "construct",
                **provenance,
                "seconds": seconds,
                "environment": environment("cpu"),
                "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            },
        )


def ticket_id(method: str, config: Mapping[str, Any]) -> str:
    """The id of the ticket that ``method`` constructs from ``config``: known before it is made."""
    return digest({"made_by": "construct", "method": method, "config": config, "numerics": NUMERICS})[:16]
