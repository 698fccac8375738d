"""Whether what a model is given is used."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnlint.runtime.probes.backward import READ_AT_FIRST_STEP, silent_directions
from rnnlint.runtime.probes.finding import Finding
from rnnlint.runtime.probes.sample import NotApplicable
from rnnlint.runtime.probes.structure import Path, floating, leaves, with_data
from rnnlint.runtime.probes.subject import Subject

_TRAINING_SEEDS = 8
"""Teacher forcing may toss a coin whether it reads an input, once a batch."""


def inputs(subject: Subject) -> Finding:
    """See :func:`rnnlint.runtime.probes.inputs`."""
    if subject.noise > subject.tolerance:
        raise NotApplicable("the outputs are random in evaluation: see determinism")
    handed = _handed(subject)
    changes = {
        path: other
        for path, leaf in subject.inputs.items()
        if path in handed and (other := _other(subject, path, leaf)) is not None
    }
    unused = [path for path, other in changes.items() if not _is_used(subject, path, other)]
    silent = _silent(subject)
    if not changes and not silent:
        raise NotApplicable("the model is handed nothing that can be changed")
    if not unused and not silent:
        names = ", ".join(subject.name(path) for path in changes)
        return Finding(False, 0, 0, "unused inputs", f"outputs depend on {names}")
    said = []
    if unused:
        names = ", ".join(subject.name(path) for path in unused)
        said.append(
            f"no output depends on {names}: whatever it is, it changes nothing.  Lengths are for "
            "packing or reading the last real step, a mask for attention and pooling."
        )
    if silent:
        said.append(
            f"{', '.join(silent)} gets no gradient and the other direction's does.  "
            + READ_AT_FIRST_STEP
        )
    codes = (("RNN101", "RNN113") if unused else ()) + (("RNN110",) if silent else ())
    return Finding(
        True, len(unused) + len(silent), 0, "unused inputs", "  ".join(said), codes=codes
    )


def _silent(subject: Subject) -> list[str]:
    try:
        return silent_directions(subject)
    except Exception:  # without a loss there is no gradient; the probe of gradients says why
        return []


def _handed(subject: Subject) -> set[Path]:
    """The inputs that reach the model: where the user calls it, those that it is seen to get."""
    if subject.call is None:
        return set(subject.inputs)
    received: list[Any] = []

    def note(module: Any, args: Any, kwargs: Any) -> None:
        received.extend(leaves([*args, *kwargs.values()]).values())

    hook = subject.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        subject.run()
    finally:
        hook.remove()
    return {
        path
        for path, leaf in subject.inputs.items()
        if any(_is_same(leaf, other) for other in received)
    }


def _is_same(leaf: Any, other: Any) -> bool:
    if type(leaf) is not type(other) or isinstance(leaf, PackedSequence):
        return isinstance(leaf, PackedSequence) and isinstance(other, PackedSequence)
    if isinstance(leaf, Tensor):
        return (
            leaf.shape == other.shape
            and leaf.dtype == other.dtype
            and torch.equal(leaf, other.to(leaf.device))
        )
    return bool(leaf == other) if not isinstance(leaf[0], Tensor) else len(leaf) == len(other)


def _is_used(subject: Subject, path: Path, other: Any) -> bool:
    batch = subject.changed(lambda place, leaf: other if place == path else leaf)
    if _makes_a_difference(subject, batch, training=False, seed=0):
        return True
    return any(
        _makes_a_difference(subject, batch, training=True, seed=seed)
        for seed in range(_TRAINING_SEEDS)
    )


def _makes_a_difference(subject: Subject, batch: Any, *, training: bool, seed: int) -> bool:
    before = floating(subject.run(training=training, seed=seed))
    try:
        after = floating(subject.run(batch, training=training, seed=seed))
    except Exception:  # what can make a model raise is read
        return True
    if set(before) != set(after):
        return True
    # Bit for bit: what is not used changes nothing at all.
    return not all(
        before[path].shape == after[path].shape
        and bool((before[path].eq(after[path]) | before[path].isnan() & after[path].isnan()).all())
        for path in before
    )


def _other(subject: Subject, path: Path, leaf: Any) -> Any:
    """The same input with other values, None where there is no other."""
    kind = _kind(subject, path)
    if isinstance(leaf, PackedSequence):
        data = _other_values(leaf.data)
        return None if data is None else with_data(leaf, data)
    if kind == "mask":
        return _shorter_mask(subject, leaf)
    if isinstance(leaf, (list, tuple)):
        if kind != "lengths":
            return None
        shorter = [max(1, part // 2) if isinstance(part, int) else part / 2 for part in leaf]
        return None if shorter == list(leaf) else type(leaf)(shorter)
    if not isinstance(leaf, Tensor) or leaf.ndim == 0:
        return None
    if kind == "lengths":
        other = leaf / 2 if leaf.is_floating_point() else (leaf // 2).clamp(min=1)
        return None if torch.equal(other, leaf) else other
    return _other_values(leaf)


def _kind(subject: Subject, path: Path) -> str | None:
    try:
        real = subject.real
    except (NotApplicable, ValueError):
        return None
    return None if real is None else real.sources.get(path)


def _shorter_mask(subject: Subject, leaf: Tensor) -> Tensor | None:
    """The second half of what is real of each sequence marked as padding."""
    layout, real = subject.layout, subject.real
    time = layout.time_axis_of(leaf)
    if real is None or time is None:
        return None
    mask = real.mask(layout.steps)
    places = mask.flip(1).cumsum(1).flip(1) if real.side == "right" else mask.cumsum(1)
    lengths = real.lengths.unsqueeze(1)
    hidden = mask & (places <= lengths // 2)
    marks = leaf.detach().clone().movedim(time, 1)
    hidden = hidden.to(marks.device)
    marks[hidden] = marks[hidden].logical_not().to(marks.dtype)
    return marks.movedim(1, time) if bool(hidden.any()) else None


def _other_values(leaf: Tensor) -> Tensor | None:
    generator = torch.Generator().manual_seed(0)
    leaf = leaf.detach()
    if leaf.dtype == torch.bool:
        other = leaf.logical_not()
    elif leaf.is_floating_point():
        noise = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        finite = leaf[torch.isfinite(leaf)]
        spread = float(finite.cpu().double().std()) if finite.numel() > 1 else 0.0
        other = leaf + (noise * (spread or 1.0)).to(leaf.dtype).to(leaf.device)
    else:
        # The id that comes next among those that are there: any other might not exist.
        present = leaf.flatten().unique()  # type: ignore[no-untyped-call]  # untyped in PyTorch
        places = torch.searchsorted(present, leaf.contiguous())
        other = present[(places + 1) % present.numel()]
    return None if torch.equal(other, leaf) else other
