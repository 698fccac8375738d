"""An embedding is told which of its rows is that of padding."""

from __future__ import annotations

import re

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.remedies.ignoring import name_of, number_of
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Layer, Padding

_TOKEN = re.compile(r"(?<![a-z])(eos|sos|bos|unk|unknown|start|stop|end)(?![a-z])", re.IGNORECASE)
_COPIES = frozenset({"assign", "copy", "set"})
"""What fills a weight with rows that are kept elsewhere, that of padding among them."""


def is_token(program: Program, padding: Padding) -> bool:
    """Whether the program pads with what it calls a token: with the end of a sentence."""
    try:
        name = name_of(program, padding)
    except CannotPlaceError:
        return False
    return name is not None and "pad" not in name.lower() and bool(_TOKEN.search(name))


def reserve_row(program: Program, embedding: Layer) -> Fix | None:
    """`padding_idx=`, where the number with which the ids are padded is surely no token's."""
    call = embedding.place
    if call is None or call in embedding.stack:
        return None  # a class of the project may do more with its arguments
    if any(init.how not in _COPIES for init in program.inits_of(embedding)):
        return None  # the row would be filled with the others
    padding = _only_padding(program, embedding)
    if padding is None:
        return None
    try:
        number = number_of(program, padding, call)
        if number is None:
            return None
        change = program.code.with_argument(call, "padding_idx", 2, number, over="None")
    except CannotPlaceError:
        return None
    message = f"keep the row of padding at zero: padding_idx={number}"
    return program.code.repair(message, [change], Applicability.UNSAFE)


def _only_padding(program: Program, embedding: Layer) -> Padding | None:
    """How all ids are padded that are looked up in embeddings built here, if in one way."""
    found = [
        lookup.ids.padding
        for lookup in program.passages.lookups.values()
        if lookup.embedding.place == embedding.place and lookup.ids.padding is not None
    ]
    alike = {padding.filler for padding in found}
    return found[0] if len(alike) == 1 else None
