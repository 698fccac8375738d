"""Relative lengths: shares of the longest sequence, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rnnlint.semantics import events, tensors, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Place, Relative, Size, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def relative_of(value: Value) -> Relative | None:
    """How lengths came to be relative; None where some alternative of them is not."""
    if isinstance(value, values.ListObject):
        element = value.fields["element"]
        items = value.fields["items"] or ((element,) if isinstance(element, Value) else ())
    else:
        items = values.members(value)
    found = [one.relative if isinstance(one, (Tensor, Size)) else None for one in items]
    return None if None in found else next(iter(found), None)


def is_list(value: Value) -> bool:
    """Whether a value is a list of lengths."""
    if not isinstance(value, values.ListObject):
        return False
    items = value.fields["items"] or (value.fields["element"],)
    return all(isinstance(item, Size) for item in items)


# --- arithmetic ------------------------------------------------------------


def computed(op: str, left: Value, right: Value, place: Place) -> Relative | None:
    """What is known of `left op right` as relative lengths; None where it is none."""
    if type(left) not in _MEASURES and type(right) not in _MEASURES:
        return None
    one, other = relative_of(left), relative_of(right)
    if one is None and other is None:
        return _made(op, left, right, place)
    known = one or other
    if known is None or not isinstance(right if one else left, _PLAIN):
        return None
    if known.cut is None and (op != "*" or _is_ratio(left, right)):
        return None
    return known


_MEASURES = (Tensor, Size)
_PLAIN = (values.Const, Size, values.Unknown)
"""What lengths are multiplied with."""


def _is_ratio(left: Value, right: Value) -> bool:
    """`n * ratio`: a share of one length, which is no whole number for a reason."""
    return isinstance(right, Size) and right.relative is not None and isinstance(left, Size)


def _made(op: str, left: Value, right: Value, place: Place) -> Relative | None:
    if op in ("/", "//") and isinstance(left, _MEASURES) and isinstance(right, Size):
        if isinstance(left, Tensor) and not left.lengths:
            return None
        step = Step(place, "makes them shares of the longest")
        return Relative((step,) if op == "/" else ())
    if op == "*" and isinstance(left, Size) != isinstance(right, Size):
        shares = right if isinstance(left, Size) else left
        # An integer times the padded length is longer than that, unless it is 1.
        if type(shares) is values.Unknown or shares == values.TENSOR:
            step = Step(place, "takes them times the padded length")
            return Relative((step,), presumed=True, repeated=not isinstance(shares, Tensor))
    return None


def with_relative(op: str, left: Value, right: Value, relative: Relative) -> Value:
    """`left op right`, where that is relative lengths or one of them."""
    if relative.presumed or not any(isinstance(one, Tensor) for one in (left, right)):
        return Size(relative=relative)
    return tensors.changed(tensors.combined(op, left, right), lengths=True, relative=relative)


# --- whole numbers ---------------------------------------------------------


def is_whole(name: str, arguments: Arguments) -> bool:
    """Whether a method makes whole numbers: `x.long()`, `x.to(torch.int64)`, `x.astype(int)`."""
    if name in ("to", "type", "astype"):
        return any(_last_name(given) in _INTEGERS for given in arguments.all())
    return name in METHODS


METHODS = ("long", "int", "short", "to", "type", "astype")
"""Methods that may make whole numbers."""
_INTEGERS = frozenset(
    "int int8 int16 int32 int64 uint8 short long LongTensor IntTensor ShortTensor".split()
)


def is_whole_type(name: str, arguments: Arguments) -> bool:
    """`torch.LongTensor(x)`, `torch.tensor(x, dtype=torch.int64)`"""
    told = arguments.get(None, "dtype")
    return name.rpartition(".")[2] in _INTEGERS or (told and _last_name(told)) in _INTEGERS


def _last_name(given: Value) -> str:
    """The last name of a type, as in `torch.int64` and `"torch.LongTensor"`."""
    if isinstance(given, values.External):
        return given.name.rpartition(".")[2]
    return str(given.value).rpartition(".")[2] if isinstance(given, values.Const) else ""


def cut(relative: Relative | None, place: Place) -> Relative | None:
    """Lengths that are made whole without being rounded."""
    if relative is None or relative.cut is not None:
        return relative
    return msgspec.structs.replace(relative, cut=place)


def call_method(size: Size, name: str, arguments: Arguments, place: Place) -> Value:
    """A method of what is taken for a size, and may be a tensor of relative lengths."""
    name = name.rstrip("_")
    if size.relative is None:
        return UNKNOWN
    whole = is_whole(name, arguments)
    if not whole and name not in _PASSING:
        return UNKNOWN
    # Lists have no such methods.
    shares = msgspec.structs.replace(size.relative, repeated=False)
    return msgspec.structs.replace(size, relative=cut(shares, place) if whole else shares)


_PASSING = frozenset(
    "cpu cuda to float double detach squeeze unsqueeze view reshape contiguous clone clamp "
    "numpy tolist".split()
)


# --- use -------------------------------------------------------------------


def note_mask(run: Interpreter, left: Value, right: Value, place: Place) -> None:
    """`torch.arange(steps) < lengths`"""
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        told = [one for one in (left, right) if one.relative is not None]
        if len(told) == 1:
            run.note(events.LengthsUsed(place, run.context, told[0], "mask"))


def note_filled(
    run: Interpreter, tensor: Tensor, parts: tuple[Value, ...], value: Value, place: Place
) -> None:
    """`mask[i, :length] = 1`"""
    if not tensor.fresh or not isinstance(value, values.Const):
        return
    for part in parts:
        end = part.upper if isinstance(part, values.Slice) and part.lower is None else None
        if end is not None and relative_of(end) is not None:
            run.note(events.LengthsUsed(place, run.context, end, "mask"))
