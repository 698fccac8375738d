"""Whether the loss reaches every parameter, and the first steps of the sequences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rnnlint.runtime.probes.finding import Finding
from rnnlint.runtime.probes.sample import NotApplicable
from rnnlint.runtime.probes.structure import unpacked, with_data
from rnnlint.runtime.probes.subject import Subject

SMALLEST_RATIO = 1e-3
"""Of networks that could not learn, 4e-14 to 4e-6 was measured; of their repairs, 0.2 to 1.2."""

READ_AT_FIRST_STEP = (
    "That direction is read at its first step, as by out[:, -1], or not at all: read h_n[-2] and "
    "h_n[-1]."
)

_PARAMETERS = "parameters"
_RATIO = "early-to-late dLoss/dx"


@dataclass
class Backward:
    """What one backward pass left.

    Attributes:
        nonfinite: the names of parameters whose gradient has NaN or infinity.
        missing: of those that the loss does not depend on.
        zero: of those whose gradient is zero throughout.
        count: how many trainable parameters there are.
        unregistered: how many that get a gradient are in no list of parameters.
        ratio: the early-to-late ratio of dLoss/dx; None where it cannot be had.
    """

    nonfinite: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    zero: list[str] = field(default_factory=list)
    count: int = 0
    unregistered: int = 0
    ratio: float | None = None


def gradients(subject: Subject) -> Finding:
    """See :func:`rnnlint.runtime.probes.gradients`."""
    found = backward(subject)
    return (
        _of_nonfinite(found)
        or _of_unregistered(found)
        or _of_unreached(subject, found)
        or _of_ratio(found)
    )


def _of_nonfinite(found: Backward) -> Finding | None:
    if not found.nonfinite:
        return None
    return _failure(
        len(found.nonfinite),
        f"the gradient of {_listed(found.nonfinite)} is NaN or infinite on the first step.  Look "
        "for a logarithm, division or root of zero in the loss, for NaN in the batch, and for a "
        "softmax over steps that are all masked.",
        (),
    )


def _of_unregistered(found: Backward) -> Finding | None:
    if not found.unregistered:
        return None
    return _failure(
        found.unregistered,
        f"{found.unregistered} parameters get a gradient and are not among model.parameters(), so "
        "that no optimizer moves them: keep modules in an nn.ModuleList or nn.ModuleDict, not in "
        "a plain list or dictionary.",
        ("RNN604",),
    )


def _of_unreached(subject: Subject, found: Backward) -> Finding | None:
    if len(found.missing) == found.count:
        return _failure(
            found.count,
            "the loss depends on no parameter: look for detach(), .data, .item(), argmax or "
            "torch.no_grad() between the model and the loss.",
            (),
        )
    unreached = found.missing + found.zero
    if not unreached:
        return None
    recurrent = [name for name in unreached if "weight_hh" in name]
    advice = "Connect it, freeze it or take it out."
    codes: tuple[str, ...] = ()
    if recurrent:
        advice = (
            "Recurrent weights without a gradient have carried nothing: the state is dropped "
            "between steps, or time is taken for batch."
        )
        codes = ("RNN104", "RNN609")
        if set(recurrent) <= set(silent_directions(subject)):
            advice = READ_AT_FIRST_STEP
            codes = ("RNN110",)
    return _failure(
        len(unreached),
        f"on this batch the loss gives no gradient to {_listed(unreached)}.  {advice}",
        codes,
    )


def _of_ratio(found: Backward) -> Finding:
    ratio = found.ratio
    said = f"all {found.count} trainable parameters get a gradient"
    if ratio is None:
        return Finding(False, 0, 0, f"{_PARAMETERS} without", said)
    if ratio >= SMALLEST_RATIO:
        said += ", and the first steps too"
        return Finding(False, ratio, SMALLEST_RATIO, _RATIO, said, "at least")
    return Finding(
        True,
        ratio,
        SMALLEST_RATIO,
        _RATIO,
        f"the first steps of the sequences get {ratio:.1g} of the gradient of the last: as it is, "
        "the network cannot learn to remember them.  Initialise recurrent weights orthogonal and "
        "the forget gate open (init_recurrent_, with timescale= for long sequences), or read "
        "something of every step.",
        "at least",
        ("RNN401", "RNN403", "RNN501", "RNN502"),
    )


def _failure(count: int, explanation: str, codes: tuple[str, ...]) -> Finding:
    return Finding(True, count, 0, f"{_PARAMETERS} without", explanation, codes=codes)


def _listed(names: list[str], most: int = 4) -> str:
    said = ", ".join(names[:most])
    return f"{said} and {len(names) - most} more" if len(names) > most else said


def _is_recurrent(subject: Subject) -> bool:
    return any(
        isinstance(module, (nn.RNNBase, nn.RNNCellBase)) for module in subject.snapshot.modules
    )


def backward(subject: Subject) -> Backward:
    """One backward pass in training mode, without dropout.

    Raises:
        NotApplicable: there is no loss, or nothing to train.
    """
    found: Backward = subject.remembered("backward", lambda: _backward(subject))
    return found


def _backward(subject: Subject) -> Backward:
    trainable = {n: p for n, p in subject.model.named_parameters() if p.requires_grad}
    if not trainable:
        raise NotApplicable("no parameter of the model is trained")
    found = Backward(count=len(trainable))
    gradients, found.ratio = _pass(subject, trainable)
    found.unregistered = _count_unregistered(subject)
    for name, gradient in gradients.items():
        if gradient is None:
            found.missing.append(name)
        elif not bool(torch.isfinite(gradient).all()):
            found.nonfinite.append(name)
        elif not bool(gradient.any()):
            found.zero.append(name)
    _excuse(subject, trainable, found, gradients)
    return found


def _pass(
    subject: Subject, trainable: dict[str, nn.Parameter]
) -> tuple[dict[str, Tensor | None], float | None]:
    """The gradients of parameters, and the early-to-late ratio of that of the input."""
    _clear(subject)
    with _watched(subject) as (batch, steps):
        loss = subject.loss_of(subject.run(batch, training=True, grad=True), batch)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in PyTorch
    gradients = {
        name: None if parameter.grad is None else _dense(parameter.grad)
        for name, parameter in trainable.items()
    }
    return gradients, steps.ratio()


def _dense(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _clear(subject: Subject) -> None:
    for module in subject.snapshot.modules:
        for parameter in module.parameters(recurse=False):
            parameter.grad = None


def _count_unregistered(subject: Subject) -> int:
    known = {id(parameter) for parameter in subject.model.parameters()}
    kept = {
        id(parameter): parameter
        for module in subject.snapshot.modules
        for parameter in module.parameters(recurse=False)
        if id(parameter) not in known
    }
    return sum(parameter.grad is not None for parameter in kept.values())


def _excuse(
    subject: Subject,
    trainable: dict[str, nn.Parameter],
    found: Backward,
    gradients: dict[str, Tensor | None],
) -> None:
    """Take out the parameters that have a good reason to get nothing."""
    unreached = {*found.missing, *found.zero}
    if not unreached:
        return
    excused = {name for name in unreached if _has_good_reason(subject, name, unreached, gradients)}
    zeros = [p for p in trainable.values() if p.numel() and not bool(p.any())]
    if zeros and set(found.zero) - excused:
        # A layer that begins at zero keeps gradients from those before it for one step only.
        with torch.no_grad():
            for parameter in zeros:
                parameter.normal_(std=0.1)
        again, found.ratio = _pass(subject, trainable)
        subject.snapshot.restore_parameters()
        excused |= {n for n in found.zero if (g := again[n]) is not None and bool(g.any())}
    found.missing = [name for name in found.missing if name not in excused]
    found.zero = [name for name in found.zero if name not in excused]


def _has_good_reason(
    subject: Subject, name: str, unreached: set[str], gradients: dict[str, Tensor | None]
) -> bool:
    path, _, last = name.rpartition(".")
    if last.startswith("bias") and gradients[name] is not None:
        # A softmax or a normalisation undoes a shift, and rounding may leave nothing of it.
        weight = f"{path}.{last.replace('bias', 'weight', 1)}".lstrip(".")
        return weight in gradients and weight not in unreached
    if last.startswith("weight_hh"):
        return _is_single_step(subject)
    owners = dict(subject.model.named_modules())
    while path:
        if isinstance(owners.get(path), nn.AdaptiveLogSoftmaxWithLoss):
            return True  # rare words may be in no target of this batch
        path = path.rpartition(".")[0]
    return False


def _is_single_step(subject: Subject) -> bool:
    try:
        return subject.layout.steps == 1 or (
            subject.real is not None and int(subject.real.lengths.max()) <= 1
        )
    except (NotApplicable, ValueError):
        return False


# --- dLoss/dx ---------------------------------------------------------------------------


class _Steps:
    """What the loss is derived by: the input, else what embeddings return, else what the first
    recurrent layer reads."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.tensor: Tensor | None = None
        self.packing: PackedSequence | None = None
        self.axes = (0, 1)

    def watch(
        self, tensor: Tensor, axes: tuple[int, int], packing: PackedSequence | None
    ) -> Tensor:
        if self.tensor is not None or not torch.is_grad_enabled():
            return tensor
        if tensor.requires_grad:
            tensor.retain_grad()
        else:
            tensor = tensor.detach().requires_grad_()
        self.tensor, self.axes, self.packing = tensor, axes, packing
        return tensor

    def ratio(self) -> float | None:
        if self.tensor is None or self.tensor.grad is None:
            return None
        gradient, lengths = self.tensor.grad.detach(), None
        if self.packing is not None:
            gradient, lengths = unpacked(with_data(self.packing, gradient))
        else:
            gradient = gradient.movedim(self.axes, (0, 1))
            lengths = self._real_lengths(gradient)
        return early_to_late(gradient, lengths)

    def _real_lengths(self, gradient: Tensor) -> Tensor | None:
        try:
            real = self._subject.real
        except (NotApplicable, ValueError):
            return None
        if real is None or real.side == "left" or real.lengths.numel() != gradient.size(0):
            return None
        return real.lengths


def early_to_late(gradient: Tensor, lengths: Tensor | None) -> float | None:
    """The root mean square gradient of the first tenth of the steps, over that of the last.

    Args:
        gradient: dLoss/dx, shape ``(batch, time, ...)``.
        lengths: the real steps of each sequence; None for all.

    Returns:
        None of sequences of fewer than four steps, and where the last steps get nothing.
    """
    steps = gradient.size(1)
    squares = gradient.cpu().double().reshape(gradient.size(0), steps, -1).square().sum(2)
    if lengths is None:
        lengths = torch.full((gradient.size(0),), steps)
    long = lengths >= 4
    if not bool(long.any()):
        return None
    squares, lengths = squares[long], lengths[long].unsqueeze(1)
    tenth = (lengths + 9) // 10
    places = torch.arange(steps)
    early = squares[places < tenth].mean()
    late = squares[(places >= lengths - tenth) & (places < lengths)].mean()
    ratio = math.sqrt(float(early) / float(late)) if float(late) > 0 else math.inf
    return ratio if math.isfinite(ratio) else None


@contextmanager
def _watched(subject: Subject) -> Iterator[tuple[Any, _Steps]]:
    """A batch and hooks by which dLoss/dx can be had after a backward pass."""
    steps = _Steps(subject)
    try:
        layout = subject.layout if _is_recurrent(subject) else None
    except NotApplicable:
        layout = None
    if layout is None:
        yield None, steps
        return
    main = subject.inputs[layout.main]
    axes = (layout.batch_axis, layout.time_axis)
    if isinstance(main, (Tensor, PackedSequence)) and _data(main).is_floating_point():
        yield (
            subject.changed(
                lambda p, leaf: _derived(steps, leaf, axes) if p == layout.main else leaf
            ),
            steps,
        )
        return
    hooks = [
        module.register_forward_hook(_embedding_hook(steps, main, axes))
        if isinstance(module, nn.Embedding)
        else module.register_forward_pre_hook(_layer_hook(steps))
        for module in subject.snapshot.modules
        if isinstance(module, (nn.Embedding, nn.RNNBase))
    ]
    try:
        yield None, steps
    finally:
        for hook in hooks:
            hook.remove()


def _data(leaf: Tensor | PackedSequence) -> Tensor:
    return leaf.data if isinstance(leaf, PackedSequence) else leaf


def _derived(steps: _Steps, leaf: Any, axes: tuple[int, int]) -> Any:
    if isinstance(leaf, PackedSequence):
        return with_data(leaf, steps.watch(leaf.data.detach().clone(), axes, leaf))
    return steps.watch(leaf.detach().clone(), axes, None)


def _embedding_hook(steps: _Steps, main: Any, axes: tuple[int, int]) -> Any:
    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if isinstance(main, Tensor) and args and args[0].shape == main.shape:
            return steps.watch(output, axes, None)
        return None

    return hook


def _layer_hook(steps: _Steps) -> Any:
    def hook(module: nn.RNNBase, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not args or steps.tensor is not None:
            return None
        given = args[0]
        if isinstance(given, PackedSequence):
            return (with_data(given, steps.watch(given.data, (0, 1), given)), *args[1:])
        if isinstance(given, Tensor) and given.ndim == 3:
            return (steps.watch(given, (0, 1) if module.batch_first else (1, 0), None), *args[1:])
        return None

    return hook


def silent_directions(subject: Subject) -> list[str]:
    """The directions of last layers that nothing reads but at their first step, if at all.

    The recurrent weights of one direction of a bidirectional layer get a gradient of exactly
    zero, and those of the other do not.
    """
    found = backward(subject)
    silent = {*found.missing, *found.zero}
    directions: list[str] = []
    for path, module in subject.model.named_modules():
        if not isinstance(module, nn.RNNBase) or not module.bidirectional:
            continue
        names = [
            f"{path}.weight_hh_l{module.num_layers - 1}{end}".lstrip(".")
            for end in ("", "_reverse")
        ]
        read = [name for name in names if name not in silent]
        if len(read) == 1:
            directions.extend(name for name in names if name in silent)
    return directions
