"""Outputs of changed batches against those of the batch as it is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rnnlint.runtime.probes.sample import NotApplicable
from rnnlint.runtime.probes.structure import Path
from rnnlint.runtime.probes.subject import Subject, difference


@dataclass(frozen=True)
class BatchAxis:
    """Where the batch is in an output; ``flattened`` together with time, where it is that."""

    axis: int
    flattened: bool


class Axes:
    """The axes of the outputs of a model.

    Seen on a batch with one sequence more: the axis that grew is the batch.  Models that take no
    larger batch are read by sizes, where these tell.
    """

    def __init__(self, subject: Subject) -> None:
        self._layout = subject.layout
        self.steps = subject.layout.steps
        self.base = subject.base
        self.larger = _larger(subject)

    def batch_axis(self, path: Path) -> BatchAxis | None:
        """Which axis of an output is the batch; None for one without."""
        sizes = self.base[path].shape
        sequences, steps = self._layout.sequences, self._layout.steps
        if self.larger is None:
            fits = [axis for axis, size in enumerate(sizes) if size == sequences]
            if len(fits) == 1:
                return BatchAxis(fits[0], False)
            fits = [] if fits else [axis for axis, n in enumerate(sizes) if n == sequences * steps]
            return BatchAxis(fits[0], True) if len(fits) == 1 else None
        if path not in self.larger or self.larger[path].ndim != len(sizes):
            return None
        grown = [axis for axis, size in enumerate(sizes) if self.larger[path].size(axis) != size]
        if len(grown) != 1:
            return None
        before, after = sizes[grown[0]], self.larger[path].size(grown[0])
        if (before, after) == (sequences, sequences + 1):
            return BatchAxis(grown[0], False)
        if (before, after) == (sequences * steps, (sequences + 1) * steps):
            return BatchAxis(grown[0], True)
        return None

    def batch_forms(self, path: Path, output: Tensor, steps: int | None = None) -> list[Tensor]:
        """An output with the batch in front; in two ways where it is flattened with time, since
        either may be first.  None where it has no batch."""
        found = self.batch_axis(path)
        if found is None or output.ndim <= found.axis:
            return []
        if not found.flattened:
            return [output.movedim(found.axis, 0)]
        steps = self._layout.steps if steps is None else steps
        if not steps or output.size(found.axis) % steps:
            return []
        rows = output.size(found.axis) // steps
        before, after = output.shape[: found.axis], output.shape[found.axis + 1 :]
        forms = (
            output.reshape(*before, rows, steps, *after),
            output.reshape(*before, steps, rows, *after).transpose(found.axis, found.axis + 1),
        )
        return [form.movedim((found.axis, found.axis + 1), (0, 1)) for form in forms]

    def step_forms(self, path: Path) -> list[Tensor]:
        """An output of the batch as it is, as ``(batch, time, ...)``; none where it has no time."""
        return self.forms_of(path, self.base[path])

    def forms_of(self, path: Path, output: Tensor) -> list[Tensor]:
        """An output like that at ``path``, as ``(batch, time, ...)``."""
        found = self.batch_axis(path)
        forms = self.batch_forms(path, output)
        if found is None or found.flattened:
            return forms
        steps = self._layout.steps
        fits = [axis for axis in range(1, forms[0].ndim) if forms[0].size(axis) == steps]
        return [forms[0].movedim(fits[0], 1)] if fits else []


def _larger(subject: Subject) -> dict[Path, Tensor] | None:
    """The outputs on the batch with its first sequence twice; in order of length if it was."""
    try:
        return subject.outputs(subject.selected([0, *range(subject.layout.sequences)]))
    except Exception:  # a model of one size of batch is read by sizes
        return None


def axes_of(subject: Subject) -> Axes:
    """The axes of the outputs, found once.

    Raises:
        NotApplicable: they cannot be told.
    """
    layout = subject.layout
    if layout.sequences == layout.steps:
        rest = set(subject.inputs) - {layout.main}
        rest -= set(subject.real.sources if subject.real is not None else ())
        if any(isinstance(subject.inputs[path], Tensor) for path in rest):
            raise NotApplicable(
                f"there are as many sequences as steps ({layout.steps}), so that axes cannot be "
                "told apart: use a batch of another size"
            )
    found: Axes = subject.remembered("axes", lambda: Axes(subject))
    return found


def closest(forms: list[Tensor], others: list[Tensor]) -> float:
    """The difference of two outputs in whichever form they agree better."""
    return min(
        (difference(form, other) for form, other in zip(forms, others, strict=True)),
        default=float("inf"),
    )
