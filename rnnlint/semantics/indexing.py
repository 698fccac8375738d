"""What indexing a tensor gives, and writing into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rnnlint.semantics import axes, events, lengths, notes, rows, tensors, values
from rnnlint.semantics.values import UNKNOWN, Axis, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def _is_ellipsis(part: Value) -> bool:
    return isinstance(part, values.External) and part.name == "builtins.ellipsis"


def _is_new_axis(part: Value) -> bool:
    """`x[None]`, `x[np.newaxis]`"""
    return part == values.NONE or (
        isinstance(part, values.External) and part.name.endswith(".newaxis")
    )


def _is_all(part: Value) -> bool:
    return isinstance(part, values.Slice) and not (part.lower or part.upper or part.step)


def _is_last(part: Value) -> bool:
    if isinstance(part, values.Slice):
        return (
            isinstance(part.lower, values.Const) and part.lower.value == -1 and part.upper is None
        )
    return isinstance(part, values.Const) and part.value == -1


def _picks(part: Value) -> bool:
    """Whether an index takes a single position of its axis."""
    if isinstance(part, values.Const):
        return isinstance(part.value, int) and not isinstance(part.value, bool)
    if isinstance(part, values.Slice):
        return _is_last(part) or _single_step(part)
    return isinstance(part, (values.Unknown, values.Size))


def _single_step(part: values.Slice) -> bool:
    """`x[i:i + 1]`, `x[0:1]`"""
    lower, upper = part.lower, part.upper
    if part.single:
        return True
    if isinstance(lower, values.Const) and isinstance(upper, values.Const):
        try:
            return bool(upper.value - lower.value == 1)
        except TypeError:
            return False
    return isinstance(upper, values.Const) and upper.value == 1 and lower is None


def index(run: Interpreter, tensor: Tensor, parts: tuple[Value, ...], place: Place) -> Value:
    """`tensor[parts]`."""
    tensors.touch(run, tensor, place)
    if len(parts) > 1 or isinstance(parts[0] if parts else None, Tensor):
        notes.note_packed(run, tensor, "indexed", place)  # `packed[0]` is the first of its fields
    if tensor.lengths and len(parts) == 1 and not isinstance(parts[0], (Tensor, values.Slice)):
        return values.Size(relative=tensor.relative)
    if any(isinstance(part, Tensor) for part in parts):
        return advanced(tensor, parts, place)
    tensor = _without_padding(rows.kept(tensor, parts), parts)
    lead = parts[:2]
    if tensor.part in ("output", "steps") and tensor.output_of is not None:
        axis = _last_step_axis(parts)
        if axis is not None:
            whole = all(_is_all(part) for part in parts[2:])
            how = "last-step" if whole else "half-step"
            run.emit(events.Reading(place, run.context, tensor, how, axis))
    left = _axes_left(tensor, parts)
    if any(_is_ellipsis(part) for part in lead):
        if all(_is_ellipsis(part) or isinstance(part, values.Slice) for part in lead):
            return tensors.changed(tensors.kept(left), output_of=None, values_of=tensor.values_of)
        return left
    if len(parts) == 1 and _picks(parts[0]) and tensors.holds_rows(tensor):
        return left
    if any(_picks(part) for part in lead):
        return axes.same_as(
            tensors.changed(
                tensors.picked(tensor),
                lengths=tensor.lengths,
                mask=tensor.mask,
                loss=tensor.loss,
                fresh=tensor.fresh and len(parts) == 1,
                padding_of_step=_padding_of_step(tensor, parts),
            ),
            left,
        )
    if len(lead) == 2 and all(_is_all(part) for part in lead):
        return tensors.changed(
            tensors.kept(left),
            part="steps" if tensor.part == "output" else tensor.part,
            values_of=tensor.values_of,
        )
    if any(_is_new_axis(part) for part in lead):
        return tensors.changed(left, output_of=None)
    return left


def _axes_left(tensor: Tensor, parts: tuple[Value, ...]) -> Tensor:
    """The tensor with the axes that an index leaves: a position takes its axis away."""
    front: tuple[Value, ...] = parts
    back: tuple[Value, ...] = ()
    for number, part in enumerate(parts):
        if _is_ellipsis(part):
            front, back = parts[:number], parts[number + 1 :]
            break
    if back:
        if tensor.open:
            return axes.without(tensor)
        taken = sum(not _is_new_axis(part) for part in (*front, *back))
        whole = values.Slice(None, None, None)
        front = (*front, *[whole] * (len(tensor.axes) - taken), *back)
    kept = axes.at_least(tensor, sum(not _is_new_axis(part) for part in front))
    if not tensor.open and len(kept) > len(tensor.axes):
        return axes.without(tensor)
    left: list[Axis] = []
    for part in front:
        if _is_new_axis(part):
            left.append(axes.ONE)
            continue
        axis = kept.pop(0)
        if _is_all(part):
            left.append(axis)
        elif isinstance(part, values.Slice):
            size = values.Const(1) if _is_last(part) or _single_step(part) else UNKNOWN
            left.append(Axis(axis.name, size))
    return axes.with_axes(tensor, [*left, *kept], tensor.open)


def _last_step_axis(parts: tuple[Value, ...]) -> int | None:
    first = parts[0] if parts else None
    if first is not None and _is_last(first) and all(_is_all(part) for part in parts[1:]):
        return 0
    if len(parts) >= 2 and first is not None and _is_all(first) and _is_last(parts[1]):
        return 1
    return None


def _without_padding(tensor: Tensor, parts: tuple[Value, ...]) -> Tensor:
    """`row[:length]`: one sequence of a padded batch is cut to its own length."""
    part = parts[0] if parts else None
    if tensor.padding is None or tensor.time_axis != 0 or tensor.batch_axis is not None:
        return tensor
    if not isinstance(part, values.Slice) or part.lower is not None:
        return tensor
    whole = part.upper is None or isinstance(part.upper, values.Const)
    return tensor if whole else tensors.changed(tensor, padding=None)


def _padding_of_step(tensor: Tensor, parts: tuple[Value, ...]) -> values.Padding | None:
    """`batch[:, t]`: at a step behind the first, some sequences of the batch have ended."""
    time = tensor.time_axis
    if tensor.padding is None or tensor.calls or time is None or tensor.batch_axis is None:
        return None
    if tensor.padding.side != "right" or time >= len(parts) or not _picks(parts[time]):
        return None
    whole = all(_is_all(part) for number, part in enumerate(parts) if number != time)
    first = parts[time] == values.Const(0) or isinstance(parts[time], values.Slice)
    return tensor.padding if whole and not first else None


def advanced(tensor: Tensor, parts: tuple[Value, ...], place: Place) -> Value:
    """Indexing with a tensor: a permutation keeps the axes, a mask does not."""
    first = parts[0]
    if tensor.fresh and isinstance(first, Tensor) and first.padding is not None:
        return axes.appended(first, Axis("feature"))  # a table looked up by padded ids
    if len(parts) == 1 and isinstance(first, Tensor) and not first.mask:
        return axes.resized(rows.reordered(tensor, first, place), 0)
    if len(parts) == 2 and _is_all(first) and isinstance(parts[1], Tensor) and not parts[1].mask:
        return axes.resized(rows.reordered(tensor, parts[1], place), 1)
    return tensors.changed(tensors.picked(tensor), sorted_by=())


def written(
    run: Interpreter, tensor: Tensor, parts: tuple[Value, ...], value: Value, place: Place
) -> Tensor:
    """`tensor[parts] = value`: what the tensor is afterwards.

    Copying each sequence into the front (or back) of a row of zeros, up to its
    own length, pads the batch.  A row of random numbers is data before and after.
    """
    calls = tensor.calls | tensors.graph_of(value)
    padding = tensor.padding
    has_rows = False
    if tensor.fresh and len(parts) == 1 and _picks(parts[0]):
        relative = lengths.relative_of(value)
        if relative is not None:  # `shares[i] = len(x) / longest`
            return tensors.changed(tensor, fresh=False, lengths=True, relative=relative)
    lengths.note_filled(run, tensor, parts, value, place)
    if tensor.fresh and padding is None and tensor.drawn is None:
        side = "" if _is_one_wide(tensor, parts) else _filled_side(parts)
        if side and isinstance(value, (Tensor, values.ListObject, values.Unknown)):
            step = Step(place, "copies each sequence into a longer row of zeros")
            padding = values.Padding(side, (step,), tensor.filled)
            if len(parts) > 1 and not isinstance(parts[0], values.Slice):
                has_rows = True
    elif _fills_the_rest(parts) and not isinstance(value, values.Const):
        padding = None
    if padding is not None and any(isinstance(part, Tensor) for part in parts):
        # `targets[mask] = -100` gives padding another number, `scores[mask] = -inf` no weight.
        known = msgspec.structs.replace(padding, filler=UNKNOWN, embeddings=())
        padding = None if tensor.calls else known
    if padding is None:
        inner = next((t for t in tensors.tensors_in(value) if t.padding is not None), None)
        padding = None if inner is None else inner.padding
        if inner is not None and inner.batch_axis is None and not calls and len(parts) == 1:
            has_rows = True
    result = tensors.changed(
        tensor, calls=calls, padding=padding, fresh=tensor.fresh and padding is None
    )
    return _with_rows(result) if has_rows else result


def _with_rows(tensor: Tensor) -> Tensor:
    """A batch, filled row by row: (batch, time, ...)."""
    named = axes.of_batch(0, None)[:2]
    kept = axes.at_least(tensor, len(named))
    both = [Axis(new.name, old.size) for new, old in zip(named, kept, strict=False)]
    return axes.with_axes(tensor, [*both, *kept[2:]], tensor.open)


def _filled_side(parts: tuple[Value, ...]) -> str:
    """ "right" for `x[i, :n]`, "left" for `x[i, -n:]`, "" for anything else."""
    while len(parts) > 2 and _is_all(parts[0]) and _is_all(parts[1]):
        parts = parts[1:]
    bounded = [p for p in parts[:2] if isinstance(p, values.Slice) and not _is_all(p)]
    if len(bounded) > 1:
        return ""  # a block among others, as when two arrays are joined
    for position, part in enumerate(parts[:2]):
        if not isinstance(part, values.Slice) or part.step is not None:
            continue
        # `x[start:stop] = chunk` with a start of its own fills piece by piece.
        starts = part.lower is None or (position == 1 and _is_zero(part.lower))
        if starts and isinstance(part.upper, (values.Size, values.DrawnNumber)):
            return "right"
        if starts and isinstance(part.upper, Tensor) and part.upper.lengths:
            return "right"
        lower = part.lower
        if part.upper is None and isinstance(lower, (values.Slice, values.Shortfall)):
            return "left"
    return ""


def _is_one_wide(tensor: Tensor, parts: tuple[Value, ...]) -> bool:
    """`labels[i, :n]` of one number a sequence: there is no more of it than that one."""
    written_axes = tensor.axes[: len(parts)]
    return any(
        isinstance(part, values.Slice) and not _is_all(part) and axis.size == values.Const(1)
        for part, axis in zip(parts, written_axes, strict=False)
    )


def _fills_the_rest(parts: tuple[Value, ...]) -> bool:
    """`x[n:]`: what `x[:n]` left free."""
    return any(
        isinstance(part, values.Slice)
        and isinstance(part.lower, values.Size)
        and part.upper is None
        for part in parts[:2]
    )


def _is_zero(value: Value) -> bool:
    return isinstance(value, values.Const) and value.value == 0
