"""A model on one batch, as the probes see it: run as often as they like, and read."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rnnlint.runtime.probes.sample import NotApplicable, Sample
from rnnlint.runtime.probes.structure import Path, changed, floating, fresh, leaves, told


class Subject(Sample):
    """A model, a batch and a loss.

    Every run begins with the model as it was found, with fresh copies of the batch, and, unless
    said otherwise, with the same random numbers.
    """

    def remembered(self, key: str, make: Callable[[], Any]) -> Any:
        """What several probes ask for, made once."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @cached_property
    def _made(self) -> dict[str, Any]:
        return {}

    def run(
        self,
        batch: Any = None,
        *,
        training: bool = False,
        grad: bool = False,
        seed: int | None = 0,
        restore: bool = True,
    ) -> Any:
        """What the model returns.

        Args:
            batch: the batch; the one that was given by default.
            training: in training mode, without dropout; evaluation by default.
            grad: whether to record a graph.
            seed: for all generators; None to go on with the random numbers.
            restore: whether to begin with the state that the model was found in.
        """
        if restore:
            self.snapshot.restore_state()
        self._set_mode(training)
        if seed is not None:
            _seed(seed)
        given = self._fresh(self.batch if batch is None else batch)
        # Inside of autocast, parameters are cast once, and not again when they change.
        torch.clear_autocast_cache()
        with torch.set_grad_enabled(grad):
            if self.call is not None:
                return self.call(self.model, given)
            args, kwargs = self._arguments(given)
            return self.model(*args, **kwargs)

    def loss_of(self, output: Any, batch: Any = None) -> Tensor:
        """The loss of an output.

        Raises:
            NotApplicable: there is none.
            ValueError: it is not one number.
        """
        if self.loss is None:
            value = _own_loss(output)
        else:
            given = self._fresh(self.batch if batch is None else batch)
            value = self.loss(output, self.target_of(given))
        if not isinstance(value, Tensor) or value.numel() != 1:
            what = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"the loss must be a tensor of one number, and this one is {what}")
        return value.reshape(())

    def outputs(self, batch: Any = None) -> dict[Path, Tensor]:
        """The tensors that matter of what the model returns in evaluation."""
        found = floating(self.run(batch))
        return {path: tensor for path, tensor in found.items() if path in self.read}

    def _fresh(self, batch: Any) -> Any:
        device = self._device
        if device is None:
            return changed(batch, lambda path, leaf: fresh(leaf))
        return changed(
            batch, lambda path, leaf: fresh(leaf, None if path in self._lengths else device)
        )

    @cached_property
    def _device(self) -> torch.device | None:
        """Where the model is, if not where batches come from."""
        device = next((parameter.device for parameter in self.model.parameters()), None)
        return device if device is not None and device.type != "cpu" else None

    @cached_property
    def _lengths(self) -> set[Path]:
        """Lengths stay on the CPU, where packing wants them."""
        try:
            real = self.real
        except (NotApplicable, ValueError):
            return set()
        return (
            set() if real is None else {p for p, kind in real.sources.items() if kind == "lengths"}
        )

    def _set_mode(self, training: bool) -> None:
        if not training or not self.model.training:
            for module in (self.model, *self.snapshot.hidden_modules):
                module.train(training)
        if not training:
            return
        for module in self.snapshot.modules:
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
            elif isinstance(module, nn.RNNBase):
                module.dropout = 0.0

    # --- what every probe asks ---------------------------------------------------------

    @cached_property
    def output_gradients(self) -> dict[Path, Tensor]:
        """dLoss/dOutput by the path of the output, of those that the loss reads; in evaluation.

        A packed output has that of its data.
        """
        return self.gradients_of(None)

    def gradients_of(
        self, batch: Any, change: Callable[[Path, Any], Any] | None = None
    ) -> dict[Path, Tensor]:
        """The same of another batch, or of outputs with other leaves."""
        output = self.run(batch, grad=True)
        output = output if change is None else changed(output, change)
        found = {
            path: leaf.data if isinstance(leaf, PackedSequence) else leaf
            for path, leaf in leaves(output).items()
            if isinstance(leaf, (Tensor, PackedSequence))
        }
        watched = {path: leaf for path, leaf in found.items() if leaf.requires_grad}
        loss = self.loss_of(output, batch)
        if not watched or not loss.requires_grad:
            return {}
        gradients = torch.autograd.grad(loss, list(watched.values()), allow_unused=True)
        return {
            path: gradient
            for path, gradient in zip(watched, gradients, strict=True)
            if gradient is not None
        }

    @cached_property
    def read(self) -> set[Path]:
        """The outputs that matter: those that the loss reads, else the first."""
        found = floating(self.run())
        if not found:
            raise NotApplicable("the model returns no tensors of real numbers")
        try:
            gradients = set(self.output_gradients) & set(found)
        except Exception:  # whatever a loss raises is the business of the probe of losses
            gradients = set()
        if any(found[path].ndim for path in gradients):
            return {path for path in gradients if found[path].ndim}
        ranked = sorted(found, key=lambda path: found[path].ndim == 0)
        return gradients or {ranked[0]}

    @cached_property
    def tolerance(self) -> float:
        """The largest relative difference that rounding explains."""
        tensors = [*self.model.parameters(), *floating(self.run()).values()]
        dtypes = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
        if torch.is_autocast_enabled(self._device.type if self._device else "cpu"):
            dtypes.add(torch.bfloat16)
        found = max((_ROUNDING.get(dtype, 0.05) for dtype in dtypes), default=1e-4)
        # TensorFloat-32 keeps ten bits of a product, and cuDNN uses it by default.
        return max(found, 1e-2) if self._device is not None and found > 1e-8 else found

    @cached_property
    def noise(self) -> float:
        """By how much two evaluations differ that begin in the same state."""
        first = self.outputs()
        second = {
            path: tensor
            for path, tensor in floating(self.run(seed=None)).items()
            if path in self.read
        }
        return largest_difference(first, second)

    @cached_property
    def carried(self) -> float:
        """By how much the first evaluation changes the second, through state that it leaves."""
        first = self.outputs()
        second = floating(self.run(restore=False))
        self.snapshot.restore_state()
        return largest_difference(
            first, {path: tensor for path, tensor in second.items() if path in self.read}
        )

    def _depends_on_state(self) -> bool:
        """Whether the outputs depend on what earlier batches left in the model."""
        first = self.outputs()
        state = [part for part in self.snapshot.replaced_state() if part.is_floating_point()]
        if not state:
            return False
        self.snapshot.restore_state()
        for part in state:
            part.data.add_(torch.randn_like(part.data))
        other = floating(self.run(restore=False))
        self.snapshot.restore_state()
        read = {path: tensor for path, tensor in other.items() if path in self.read}
        return largest_difference(first, read) > self.tolerance

    @cached_property
    def base(self) -> dict[Path, Tensor]:
        """The outputs on the batch as it is, which others can be compared with.

        Raises:
            NotApplicable: they cannot.
        """
        outputs = self.outputs()
        for path, tensor in outputs.items():
            if not bool(torch.isfinite(tensor).all()):
                raise NotApplicable(f"{told(path)} is NaN or infinite on the batch as it is")
        if self.noise > self.tolerance:
            raise NotApplicable("the outputs are random in evaluation: see determinism")
        if self._depends_on_state():
            raise NotApplicable(
                "the model carries state that belongs to the sequences of another batch: reset it "
                "first"
            )
        return outputs


_ROUNDING = {torch.float64: 1e-8, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def _seed(seed: int) -> None:
    # torch.manual_seed would also leave a seed for a CUDA that is not in use yet.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # untyped in PyTorch
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
    random.seed(seed)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)


def _own_loss(output: Any) -> Any:
    """The loss in what a model returns: under that name, or the first that is one number."""
    found = leaves(output)
    named = [leaf for path, leaf in found.items() if path[-1:] == ("loss",)]
    single = [
        leaf
        for leaf in found.values()
        if isinstance(leaf, Tensor) and leaf.ndim == 0 and leaf.is_floating_point()
    ]
    for loss in [*named, *single, getattr(output, "loss", None)]:
        if loss is not None:
            return loss
    raise NotApplicable("there is no loss: pass loss(output, target)")


def difference(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest value; infinite of different shapes."""
    if one.shape != other.shape:
        return float("inf")
    if not one.numel():
        return 0.0
    # By way of the CPU, since MPS has no double precision.
    one, other = (tensor.detach().cpu().double() for tensor in (one, other))
    apart = (one - other).abs().masked_fill(one.isnan() & other.isnan() | (one == other), 0)
    largest = float(apart.max())
    if largest == 0:
        return 0.0
    scale = max(float(one.abs().max()), float(other.abs().max()))
    return largest / scale if largest < float("inf") else float("inf")


def largest_difference(one: Mapping[Path, Tensor], other: Mapping[Path, Tensor]) -> float:
    """The largest :func:`difference` of outputs of the same structure."""
    if set(one) != set(other):
        return float("inf")
    return max((difference(one[path], other[path]) for path in one), default=0.0)
