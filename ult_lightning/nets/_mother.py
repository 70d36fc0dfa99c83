"""The mother: a random network, drawn once from its spec and never trained."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ult_lightning.base import UltError, fault
from ult_lightning.nets import _streams as streams
from ult_lightning.nets._inits import INITS, Draw, mirror
from ult_lightning.nets.bodies import NETS
from ult_lightning.tickets import InputSpec, MotherSpec

Factory = Callable[[], nn.Module]
OWN = "module"
"""The net name of a mother built by the user's own factory."""

_MASKABLE: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("weight", "bias"),
    nn.Conv1d: ("weight", "bias"),
    nn.Conv2d: ("weight", "bias"),
    nn.Conv3d: ("weight", "bias"),
    nn.MultiheadAttention: ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias"),
}
_Norm = nn.modules.batchnorm._BatchNorm


class Mother(nn.Module):
    """A body behind its input adapter: images (b, c, h, w) to features (b, d)."""

    def __init__(self, body: nn.Module, spec: MotherSpec) -> None:
        super().__init__()
        self.body = body
        self.spec = spec

    def forward(self, x: Tensor) -> Tensor:
        x = adapt(x, self.spec.input)
        features: Tensor = self.body(
            x.contiguous(memory_format=torch.channels_last)
        )  # convolutions take 0.6 of the time
        return features

    def dim(self) -> int:
        """Number of features d. Raises ``UltError`` if the body does not map (b, c, h, w) to (b, d)."""
        parameter = next(self.body.parameters())
        with torch.no_grad(), evaluating(self):
            features = self(torch.zeros(2, *self.spec.input.shape, device=parameter.device))
        if not isinstance(features, Tensor) or features.ndim != 2 or features.shape[0] != 2:
            got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise fault(
                "module", got, "a network that returns features (b, d)", "flatten its output, drop its classifier"
            )
        return int(features.shape[1])


def adapt(x: Tensor, spec: InputSpec) -> Tensor:
    """Applies the input adapter: nothing, or an average pool of the image or its centre to (b, c, H, H)."""
    if spec.pool is None:
        return x
    if spec.crop is not None:
        top, left = ((side - spec.crop) // 2 for side in spec.shape[1:])
        x = x[:, :, top : top + spec.crop, left : left + spec.crop]
    return F.adaptive_avg_pool2d(x, spec.pool)


def adapted_shape(spec: InputSpec) -> tuple[int, int, int]:
    """The shape (c, h, w) of one image behind the input adapter."""
    return spec.shape if spec.pool is None else (spec.shape[0], spec.pool, spec.pool)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Puts every submodule in eval mode for the block and restores each one's mode after it."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training


def build_mother(spec: MotherSpec, module: Factory | None = None, *, constant: Collection[str] = ()) -> Mother:
    """Builds the network of ``spec`` and draws its weights: the same bits on every machine.

    ``module`` is the factory of a mother of your own (spec.net "module"): it returns an ``nn.Module`` from
    (b, c, h, w) to (b, d), whose maskable parameters are drawn here, but those named in ``constant``. Raises ``UltError`` for an unknown net or
    init, options the net does not take, and biases before a batch norm.
    """
    if spec.bias != "none" and spec.norm != "none":
        raise fault("bias", spec.bias, f"bias=none with norm={spec.norm}", "a norm cancels biases: say norm=none")
    if module is not None and spec.net != OWN:
        mend = f"say MotherSpec({OWN!r}), or leave module out"
        raise fault("module", "a factory", f"none beside the net {spec.net!r}, which has a name", mend)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)  # only for parameters of a factory's module that are neither Conv nor Linear
        body = _own_body(spec, module) if spec.net == OWN else _named_body(spec)
    draw_parameters(body, spec, constant)
    mother = Mother(body, spec)
    mother.requires_grad_(False)
    return mother


def _named_body(spec: MotherSpec) -> nn.Module:
    shape = adapted_shape(spec.input)
    return NETS.get(spec.net).build(spec.options, norm=spec.norm, bias=spec.bias != "none", shape=shape)


def _own_body(spec: MotherSpec, module: Factory | None) -> nn.Module:
    if module is None:
        raise fault(
            "module",
            None,
            "the factory of the mother, since it is a network of your own",
            "pass module=your_factory to Ticket.load or find_ticket",
        )
    body = module()
    if not isinstance(body, nn.Module) or not maskable(body):
        raise fault("module", type(body).__name__, "a factory that returns an nn.Module with Conv or Linear layers")
    return body


def maskable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Weights and biases of the Linear, Conv and attention layers, by dotted name, in the order of ``named_modules``.

    A name ends in "weight" or "bias". Attention's projections of query, key and value are its ``in_proj_weight``, or three
    weights where their sizes differ; its output projection is a Linear layer.
    """
    parameters: dict[str, nn.Parameter] = {}
    for prefix, layer in module.named_modules():
        for name in next((names for kind, names in _MASKABLE.items() if isinstance(layer, kind)), ()):
            parameter = getattr(layer, name)
            if parameter is not None:
                parameters[f"{prefix}.{name}" if prefix else name] = parameter
    return parameters


def constants(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that no stream draws (affine norms, tokens): a ticket carries their values."""
    drawn = {id(p) for p in maskable(module).values()}
    return {name: p for name, p in module.named_parameters() if id(p) not in drawn}


def statistics(module: nn.Module) -> dict[str, Tensor]:
    """The floating-point buffers, by dotted name: running means and variances of the batch norms."""
    return {name: b for name, b in module.named_buffers() if b.is_floating_point()}


def draw_parameters(body: nn.Module, spec: MotherSpec, constant: Collection[str] = ()) -> None:
    """Draws, in place, every maskable parameter from a stream of its own, named after it.

    Weights have the scale s_l of the init, for most sqrt(2 / fan_in), divided by sqrt(density) with ``scale_fan``. Non-zero
    biases have the scale s_1 * ... * s_l (Burkholz et al. 2022). A body with an attribute ``feature_scale`` learns the
    product over all layers, by which it divides its features.
    """
    init, product, before = INITS.get(spec.init), 1.0, 0
    for name, parameter in maskable(body).items():
        if name in constant:
            continue
        shape = tuple(parameter.shape)
        rows = init.mirrored and shape[0] % 2 == 0
        if name.endswith("weight"):
            product *= init.scale(shape, spec.scale_fan)
            columns = init.mirrored and before > 0 and shape[1] % before == 0
            unit = _draw(init.weight, spec.seed, name, shape, rows, columns)
            values = init.factor(shape, spec.scale_fan) * unit
            before = shape[0] if rows else 0
        elif spec.bias == "nonzero":
            values = product * _draw(init.bias, spec.seed, name, shape, rows, False)
        else:
            values = np.zeros(shape)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    if hasattr(body, "feature_scale"):
        body.feature_scale = product  # type: ignore[assignment]


def _draw(draw: Draw, seed: int, name: str, shape: tuple[int, ...], rows: bool, columns: bool) -> NDArray[np.float64]:
    """Unit values of one parameter; with ``rows`` or ``columns`` one half is drawn and mirrored."""
    half = (shape[0] // 2 if rows else shape[0], *shape[1:])
    if columns:
        half = (half[0], half[1] // 2, *half[2:])
    return mirror(draw(streams.raw(seed, "mother", name, math.prod(half)), half), rows, columns)


def as_arrays(tensors: dict[str, Tensor] | dict[str, nn.Parameter]) -> dict[str, NDArray[np.float32]]:
    """Detached float32 copies, in the same order."""
    return {n: t.detach().to("cpu", torch.float32, copy=True).contiguous().numpy() for n, t in tensors.items()}


def hash_arrays(arrays: Iterable[tuple[str, NDArray[np.float32]]]) -> str:
    """SHA-256 over names, shapes and float32 little-endian bytes, in the order given."""
    sha = hashlib.sha256()
    for name, array in arrays:
        sha.update(f"{name}:{','.join(map(str, array.shape))};".encode())
        sha.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return sha.hexdigest()


def fingerprint(body: nn.Module) -> str:
    """The fingerprint of a mother's body: SHA-256 over its parameters as float32 bytes, in a fixed order."""
    return hash_arrays(as_arrays({**maskable(body), **constants(body)}).items())


def estimate_statistics(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Sets the batch norms' running statistics, in place, to their plain average over ``batches`` (b, c, h, w).

    Weights are not touched. A network without batch norm is left as it is. Raises ``UltError`` if a statistic is not
    finite or there is no batch.
    """
    norms = [m for m in module.modules() if isinstance(m, _Norm) and m.track_running_stats]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    with torch.no_grad(), evaluating(module):
        for m in norms:
            m.reset_running_stats()
            m.momentum, m.training = None, True
        seen = 0
        for x in batches:
            module(x)
            seen += 1
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
    if seen == 0:
        raise fault("batches", 0, "at least one batch to estimate normalisation statistics on")
    for name, value in statistics(module).items():
        if not bool(torch.isfinite(value).all()):
            raise UltError(f"The normalisation statistic {name} is not finite; try another init or a smaller width.")


def parameter_count(module: nn.Module) -> int:
    """Number of maskable parameters."""
    return sum(math.prod(p.shape) for p in maskable(module).values())
