"""Training steps in which the host never waits for the device, on a GPU replayed as CUDA graphs."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from ult_lightning.base import UltError

CHECK_EVERY = 50
"""Steps between two looks at whether the loss is still finite: each look makes the host wait for the device."""

WARM_UP = 3
"""Steps of a kind before it is captured, in which libraries choose kernels and ask for their memory."""

MOST_GRAPHS = 8
"""Kinds of batches that are captured, each with memory of its own; further kinds run eagerly."""


_HOOKS = ("training_step", "backward", "optimizer_zero_grad")


class GraphWarning(UserWarning):
    """A step that CUDA cannot capture."""


class TrainingStep(LightningModule):
    """A LightningModule with one optimizer whose step is ``step_loss``: logs train/loss and stops when it is not finite.

    On one CUDA device, without gradient scaling or accumulation, forward and backward pass of a step are captured once per kind
    of batch (shapes, types and other values) and replayed, which spares the host hundreds of launches. ``cuda_graph = False``,
    on a module or the class, keeps every step eager, and so do ``step_is_static = False`` and a subclass with a ``training_step``,
    ``backward`` or ``optimizer_zero_grad`` of its own.

    ``Trainer.fit`` raises the ``UltError`` of ``not_finite`` at the end of an epoch, and every 50 steps, where a loss since was
    no finite number.
    """

    cuda_graph = True
    step_is_static = True
    """Whether every step on batches of a kind does the same work on the device, whatever its number and Python's state."""

    _loss_sum: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_loss_sum", torch.zeros(()), persistent=False)
        self._loss_count = 0
        self._graphs: dict[Hashable, StepGraph] = {}
        self._eager_steps: Counter[Hashable] = Counter()
        self._has_gradients = False
        self._parameters_captured: tuple[Any, ...] = ()
        # what a subclass changes there would not be replayed
        self._own_hooks = all(getattr(type(self), name) is getattr(TrainingStep, name) for name in _HOOKS)

    @property
    def may_fuse(self) -> bool:
        """Whether the optimizer may be a fused one, of few launches: on a GPU, where Lightning clips no gradients."""
        return self.device.type == "cuda" and (self._trainer is None or not self._trainer.gradient_clip_val)

    @abstractmethod
    def step_loss(self, batch: Any) -> Tensor:
        """The loss () of one batch, all of whose work is on the device."""

    @abstractmethod
    def not_finite(self, what: str) -> UltError:
        """The error for ``what``, such as "The loss is", that is not finite."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss () of one batch; the host does not wait for the device."""
        loss = self._graphed_loss(batch) if self._may_capture() else self.step_loss(batch)
        self._loss_sum.add_(loss.detach())
        self._loss_count += 1
        if (batch_idx + 1) % CHECK_EVERY == 0:
            self._refuse_infinite()
        return loss

    def on_fit_start(self) -> None:
        """Begins without what an interrupted fit has left."""
        self.forget_graphs()

    def on_train_epoch_start(self) -> None:
        """Forgets the graphs where a callback has frozen, freed or replaced parameters since the last epoch."""
        parameters = tuple((id(p), p.data_ptr(), p.requires_grad) for p in self.parameters())
        if parameters != self._parameters_captured:
            self.forget_graphs()
            self._parameters_captured = parameters

    def on_train_epoch_end(self) -> None:
        """Logs the mean training loss of the epoch; raises ``UltError`` where it is no finite number."""
        self._refuse_infinite()
        self.log("train/loss", self._loss_sum / max(1, self._loss_count))
        self._loss_sum, self._loss_count = torch.zeros_like(self._loss_sum), 0

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        """Lightning's, unless the step has put its gradients there already."""
        if not self._has_gradients:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning's, unless the step has done it already."""
        if not self._has_gradients:
            super().backward(loss, *args, **kwargs)
        self._has_gradients = False

    def on_fit_end(self) -> None:
        """Gives the memory of the graphs back."""
        self.forget_graphs()

    def forget_graphs(self) -> None:
        """Captures anew from the next step on: for whoever changes parameters, or what a step does, within an epoch."""
        self._graphs.clear()
        self._eager_steps.clear()
        self._has_gradients = False

    def _refuse_infinite(self) -> None:
        if not bool(torch.isfinite(self._loss_sum)):
            raise self.not_finite("The loss is")

    def _may_capture(self) -> bool:
        trainer = self._trainer
        return bool(
            self.cuda_graph
            and self.step_is_static
            and self._own_hooks
            and self.device.type == "cuda"
            and trainer is not None
            and trainer.world_size == 1
            and trainer.accumulate_grad_batches == 1
            and getattr(trainer.precision_plugin, "scaler", None) is None
            and not torch.is_anomaly_enabled()
        )

    def _graphed_loss(self, batch: Any) -> Tensor:
        try:
            kind = tuple(_kind(batch))
        except TypeError:
            return self.step_loss(batch)
        if kind not in self._graphs:
            if self._eager_steps[kind] < WARM_UP or len(self._graphs) == MOST_GRAPHS:
                self._eager_steps[kind] += 1
                return self._warm_up(batch)
            try:
                self._graphs[kind] = StepGraph(self, batch)
            except RuntimeError as problem:
                self.cuda_graph = False
                torch.clear_autocast_cache()  # what the capture cast was never computed
                reason = str(problem).strip().splitlines()[0]
                warnings.warn(
                    f"The step cannot be captured as a CUDA graph and runs eagerly: {reason}",
                    GraphWarning,
                    stacklevel=2,
                )
                return self.step_loss(batch)
        loss = self._graphs[kind].replay(batch)
        self._has_gradients = True
        return loss

    def _warm_up(self, batch: Any) -> Tensor:
        """Both passes on a stream of their own, as a capture wants it of the steps before."""
        here, side = torch.cuda.current_stream(self.device), torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        side.wait_stream(here)
        with torch.cuda.stream(side):
            loss = _both_passes(self, batch)
        here.wait_stream(side)
        self._has_gradients = True
        return loss


class StepGraph:
    """Forward and backward pass of one step of ``module`` as a CUDA graph, for batches of the kind of ``batch``."""

    def __init__(self, module: TrainingStep, batch: Any) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.held = [tensor.clone() for tensor in _tensors(batch)]
        held = _with_tensors(batch, iter(self.held))
        self.graph = torch.cuda.CUDAGraph()
        torch.clear_autocast_cache()  # what was cast before the capture must not be used in it
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):  # other threads may use the device
            self.loss = _both_passes(module, held)
        self.gradients = [parameter.grad for parameter in self.parameters]

    def replay(self, batch: Any) -> Tensor:
        """The loss () of ``batch``, with the gradients in place; the next replay overwrites all of them."""
        for held, tensor in zip(self.held, _tensors(batch), strict=True):
            held.copy_(tensor)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return self.loss


def _both_passes(module: TrainingStep, batch: Any) -> Tensor:
    """The detached loss () of a batch, whose gradients are then in fresh tensors."""
    for parameter in module.parameters():
        parameter.grad = None
    loss = module.step_loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def _tensors(batch: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples and lists, in order."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, list | tuple):
        for part in batch:
            yield from _tensors(part)


def _with_tensors(batch: Any, tensors: Iterator[Tensor]) -> Any:
    """The same nested tuples and lists, with other tensors."""
    if isinstance(batch, Tensor):
        return next(tensors)
    if isinstance(batch, list | tuple):
        parts = [_with_tensors(part, tensors) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch


def _kind(batch: Any) -> Iterator[Hashable]:
    """Shape and type of each tensor, and every other value, in order; raises TypeError for batches of other makings."""
    if isinstance(batch, Tensor):
        yield batch.shape, batch.dtype, batch.stride()
    elif isinstance(batch, list | tuple):
        for part in batch:
            yield from _kind(part)
    elif batch is None or isinstance(batch, int | float | str):
        yield batch
    else:
        raise TypeError(type(batch).__name__)
