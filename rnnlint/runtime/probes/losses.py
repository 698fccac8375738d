"""Whether the loss is given what it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - as everybody calls it
from torch.overrides import TorchFunctionMode

from rnnlint.runtime.probes.comparing import axes_of
from rnnlint.runtime.probes.finding import Finding
from rnnlint.runtime.probes.sample import NotApplicable
from rnnlint.runtime.probes.structure import leaves
from rnnlint.runtime.probes.subject import Subject

_SUM_TOLERANCE = 1e-3
_QUANTITY = "distance from a sum of one"

_PAIRED = (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy)
_SOFTMAX = ("SoftmaxBackward0", "SigmoidBackward0")
_RESHAPING = (
    "AliasBackward0", "CloneBackward0", "ExpandBackward0", "IndexBackward0", "PermuteBackward0",
    "ReshapeAliasBackward0", "SelectBackward0", "SliceBackward0", "SqueezeBackward0",
    "SqueezeBackward1", "SqueezeBackward2", "TBackward0", "ToCopyBackward0", "TransposeBackward0",
    "UnsafeViewBackward0", "UnsqueezeBackward0", "ViewBackward0",
)  # fmt: skip


@dataclass(frozen=True)
class LossCall:
    """A call of one of PyTorch's losses.

    Attributes:
        function: which.
        input: its first argument, with its graph.
        target: its second.
    """

    function: Callable[..., Any]
    input: Tensor
    target: Tensor

    @property
    def class_axis(self) -> int:
        """The axis of the classes."""
        return 0 if self.input.ndim == 1 else 1


class _Recorder(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[LossCall] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _LOSSES:
            given = [*args[:2]]
            given.extend(kwargs[name] for name in ("input", "target")[len(given) :])
            if all(isinstance(part, Tensor) for part in given):
                self.calls.append(LossCall(func, *given))
        return func(*args, **kwargs)


_LOSSES = (F.cross_entropy, F.nll_loss, F.binary_cross_entropy_with_logits, *_PAIRED)


def loss_calls(subject: Subject) -> tuple[list[LossCall], Tensor | Exception]:
    """The calls of PyTorch's losses that a batch makes; the loss, or what it raised."""
    with _Recorder() as recorder:
        try:
            return recorder.calls, subject.loss_of(subject.run(grad=True))
        except Exception as error:  # which the last call may explain
            return recorder.calls, error


def loss(subject: Subject) -> Finding:
    """See :func:`rnnlint.runtime.probes.loss`."""
    calls, value = subject.remembered("loss_calls", lambda: loss_calls(subject))
    for call in calls:
        finding = _CHECKS[call.function](call)
        if finding is not None:
            return finding
    if isinstance(value, Exception):
        # Not all that runs can be watched while it does.
        value = subject.loss_of(subject.run(grad=True))
    if not bool(torch.isfinite(value)):
        return Finding(
            True,
            float(value.detach()),
            None,
            "loss",
            "the loss is NaN or infinite on the batch as it is: look for targets that are all "
            "ignored, for a logarithm or division of zero, and for NaN in the batch",
            codes=(),
        )
    of_padding = _of_padding(subject)
    if of_padding is not None:
        return of_padding
    distances = [
        _distance_from_one(c.input, c.class_axis) for c in calls if c.function in _OF_CLASSES
    ]
    said = "the loss is given what it takes" if calls else "none of PyTorch's losses is called"
    if not distances:
        return Finding(False, 0, 0, "mistaken losses", said)
    return Finding(False, min(distances), _SUM_TOLERANCE, _QUANTITY, said, "at least")


def _of_cross_entropy(call: LossCall) -> Finding | None:
    if not takes_probabilities_for_logits(call):
        return None
    classes = call.input.size(call.class_axis)
    distance = _distance_from_one(call.input, call.class_axis)
    floor = double_softmax_floor(classes)
    return Finding(
        True,
        distance,
        _SUM_TOLERANCE,
        _QUANTITY,
        f"cross-entropy is given probabilities, which sum to one, and takes them for logits: with "
        f"{classes} classes the loss cannot fall below ln(1 + {classes - 1}/e) = {floor:.3f}, and "
        "gradients are small.  Take the softmax out of the model.",
        "at least",
        ("RNN504",),
    )


def _of_likelihood(call: LossCall) -> Finding | None:
    values, axis = call.input.detach(), call.class_axis
    if values.size(axis) < 2 or not values.numel():
        return None
    distance = _distance_from_one(values.exp(), axis)
    if distance < _SUM_TOLERANCE:
        return None
    if _distance_from_one(values, axis) < _SUM_TOLERANCE and float(values.min()) >= 0:
        codes: tuple[str, ...] = ("RNN504",)
        why = "probabilities: take log_softmax in the place of softmax"
    elif any(
        _distance_from_one(values.exp(), other) < _SUM_TOLERANCE
        for other in range(values.ndim)
        if other != axis and values.size(other) > 1
    ):
        why, codes = "log-probabilities over another axis: log_softmax(..., dim=-1)", ("RNN509",)
    else:
        why, codes = "scores: use cross-entropy, or log_softmax first", ()
    return Finding(
        True,
        distance,
        _SUM_TOLERANCE,
        "distance of the sum of exponentials from one",
        f"NLLLoss takes log-probabilities, and is given {why}",
        codes=codes,
    )


def _of_sigmoid(call: LossCall) -> Finding | None:
    if _made_by(call.input) not in _SOFTMAX:
        return _of_shapes(call)
    return Finding(
        True,
        1,
        0,
        "activations before the loss",
        "binary_cross_entropy_with_logits applies the sigmoid itself, and is given the output of "
        "one: take it out of the model",
        codes=("RNN504",),
    )


def _of_shapes(call: LossCall) -> Finding | None:
    if call.input.shape == call.target.shape:
        return None
    try:
        # untyped in PyTorch
        shape = torch.broadcast_shapes(call.input.shape, call.target.shape)  # type: ignore[no-untyped-call]
    except RuntimeError:
        return None
    pairs, largest = math.prod(shape), max(call.input.numel(), call.target.numel(), 1)
    if pairs == largest:
        return None
    return Finding(
        True,
        pairs / largest,
        1,
        "pairs of one number",
        f"{call.function.__name__} is given {tuple(call.input.shape)} and "
        f"{tuple(call.target.shape)}, and compares every output with every target: the model "
        "learns their mean.  Use output.squeeze(-1) or target.unsqueeze(1).",
        codes=("RNN608",),
    )


_CHECKS: dict[Any, Callable[[LossCall], Finding | None]] = {
    F.cross_entropy: _of_cross_entropy,
    F.nll_loss: _of_likelihood,
    F.binary_cross_entropy_with_logits: _of_sigmoid,
    **dict.fromkeys(_PAIRED, _of_shapes),
}
_OF_CLASSES = (F.cross_entropy,)


def _distance_from_one(values: Tensor, axis: int) -> float:
    """The largest distance of a sum over an axis from one, where anything is other than zero."""
    values = values.detach().cpu().double()
    sums = values.sum(axis)[values.ne(0).any(axis)]
    return float((sums - 1).abs().max()) if sums.numel() else math.inf


def _made_by(tensor: Tensor) -> str | None:
    """The function that computed a tensor, views of it and copies left aside."""
    node: Any = tensor.grad_fn
    while node is not None and node.name() in _RESHAPING:
        node = node.next_functions[0][0]
    return None if node is None else str(node.name())


def takes_probabilities_for_logits(call: LossCall) -> bool:
    """Whether a cross-entropy is given what sums to one already."""
    if call.function is not F.cross_entropy or not call.input.numel():
        return False
    return (
        call.input.size(call.class_axis) > 1
        and float(call.input.detach().min()) >= 0
        and _distance_from_one(call.input, call.class_axis) < _SUM_TOLERANCE
    )


def double_softmax_floor(classes: int) -> float:
    """The least cross-entropy of a softmax that is taken for logits: ln(1 + (C - 1) / e)."""
    return math.log1p((classes - 1) / math.e)


# --- padding in the loss ------------------------------------------------------------------


def _of_padding(subject: Subject) -> Finding | None:
    shares = list(_shares_of_padding(subject))
    if not shares or max(shares) == 0:
        return None
    return Finding(
        True,
        max(shares),
        0,
        "share of the gradient at padded steps",
        "the loss counts outputs at padded steps: pass ignore_index=, use sequence_cross_entropy "
        "or masked_mse_loss, or multiply by a mask before the mean",
        codes=("RNN102",),
    )


def _shares_of_padding(subject: Subject) -> Iterator[float]:
    """What part of dLoss/dOutput stands at padded steps, of outputs that have steps."""
    try:
        real, gradients = subject.real, subject.output_gradients
        if real is None or bool((real.lengths == subject.layout.steps).all()):
            return
        targets = leaves(subject.target_of(subject.batch)).values()
        if not any(subject.layout.time_axis_of(leaf) is not None for leaf in targets):
            return
        axes = axes_of(subject)
    except (NotApplicable, ValueError):
        return
    padding = ~real.mask(subject.layout.steps)
    for path, gradient in gradients.items():
        if path not in axes.base or axes.base[path].shape != gradient.shape:
            continue
        forms = axes.forms_of(path, gradient)
        if forms:
            total = float(gradient.abs().sum())
            yield min(
                float(form[padding.to(form.device)].abs().sum()) / total if total else 0.0
                for form in forms
            )
