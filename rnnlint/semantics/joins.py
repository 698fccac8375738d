"""The value that is any of several: what the alternatives agree on stays known."""

from __future__ import annotations

import msgspec

from rnnlint.semantics.values import (
    UNKNOWN,
    Const,
    ListObject,
    Object,
    Size,
    Tensor,
    Union,
    Unknown,
    Value,
    members,
)

MAX_MEMBERS = 24
ENOUGH_MEMBERS = 64
"""Alternatives that are compared with each other; tables hold thousands of values."""
MAX_TENSORS = 4
"""Tensors that a union tells apart."""


def join(values: list[Value]) -> Value:
    """The value that is any of `values`; what they agree on stays known."""
    first = values[0] if values else UNKNOWN
    for value in values:
        if value is not first:
            break
    else:
        return first
    flat = _alternatives(values)
    if len(flat) == 1:
        return flat[0]
    known = [member for member in flat if not isinstance(member, Unknown)]
    if not known:
        return UNKNOWN
    if len(known) == 1:
        only = known[0]
        if isinstance(only, (Tensor, Const, Size)):
            # A known tensor or constant joined with "anything" is no longer known.
            return only if isinstance(only, Tensor) and only.calls else UNKNOWN
        return only
    if len(known) > MAX_MEMBERS:
        # Each object is one that the program really builds; the first ones will do.
        objects: list[Value] = [member for member in known if isinstance(member, Object)]
        known = objects[:MAX_MEMBERS]
        if len(known) < 2:
            return known[0] if known else UNKNOWN
    return Union(tuple(known))


def _alternatives(values: list[Value]) -> list[Value]:
    """The members of all values, each once; of many tensors one that stands for all."""
    flat: list[Value] = []
    seen: set[int] = set()
    records: dict[type, list[Value]] = {}
    for value in values:
        for member in value.members if isinstance(value, Union) else (value,):
            if id(member) in seen:
                continue
            seen.add(id(member))
            if not isinstance(member, Object):  # those are told apart by identity alone
                alike = records.setdefault(type(member), [])
                if member in alike:
                    continue
                alike.append(member)
            flat.append(member)
        if len(flat) > ENOUGH_MEMBERS:
            break
    tensors = [member for member in records.get(Tensor, ()) if isinstance(member, Tensor)]
    if len(tensors) > MAX_TENSORS:
        flat = [member for member in flat if not isinstance(member, Tensor)]
        flat.append(_merged(tensors))
    return flat


def _merged(tensors: list[Tensor]) -> Tensor:
    """The tensor that speaks least of faults, on the graphs of all."""
    packed = [tensor for tensor in tensors if tensor.packed]
    clean = [tensor for tensor in tensors if tensor.padding is None]
    graph = frozenset(call for tensor in tensors for call in tensor.calls)
    held = None if any(tensor.values_of is None for tensor in tensors) else tensors[0].values_of
    return msgspec.structs.replace((packed or clean or tensors)[0], calls=graph, values_of=held)


def join_rows(values: list[Value]) -> Value:
    """The join over the sequences of a batch: where some had to be padded, the batch is."""
    flat = [member for value in values for member in members(value)]
    rows = [member for member in flat if isinstance(member, Tensor)]
    if all(isinstance(member, (Unknown, Tensor, ListObject)) for member in flat):
        for row in rows:
            if row.padding is not None and not any(other.packed or other.calls for other in rows):
                return row
    return join(values)


def join_results(results: list[Value]) -> Value:
    """The join of what one operation gave for each alternative of a value.

    Alternatives that do not know the operation are left out, unless only plain
    constants remain, which would decide more than is known.
    """
    known = [value for value in results if not isinstance(value, Unknown)]
    if len(known) < len(results) and all(isinstance(value, (Const, Size)) for value in known):
        return UNKNOWN
    return join(known)
