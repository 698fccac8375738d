"""What a repair does, declaratively: no text is touched here.

A rule says which statement or expression it means by its offsets in the source, as the
representation has them, and what shall stand there.  `placement` turns that into text edits.

Code may name what it needs from a library in braces, by its dotted name:
`"{torch.nn.utils.clip_grad_norm_}(model.parameters(), 1.0)"`.  The braces become whatever the
file calls it, and an import is added where it has no name for it.  What lies so deep that its
own name is better than a long one is named as it would be imported:
`"{from torch.nn.utils.rnn import pack_padded_sequence}(x, lengths)"`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec


class Operation(msgspec.Struct, frozen=True):
    """Base of all operations: the file, and the node that is meant, in code points."""

    path: str
    start: int
    end: int


class Insert(Operation, frozen=True):
    """Puts statements before or after the statement in which the node lies.

    `lines` are the lines of the statements, indented among themselves by four spaces; the
    file's own indentation takes their place.
    """

    lines: tuple[str, ...]
    where: Literal["before", "after"] = "after"


class Replace(Operation, frozen=True):
    """Puts other code in the place of an expression."""

    code: str


class SetArgument(Operation, frozen=True):
    """Gives a call a keyword argument, or changes the one that it has."""

    keyword: str
    code: str


class RemoveArgument(Operation, frozen=True):
    """Takes a keyword argument from a call."""

    keyword: str


class Rewrite(Operation, frozen=True):
    """Puts other statements in the place of the simple one in which the node lies.

    `lines` are as those of `Insert`.
    """

    lines: tuple[str, ...]


class Remove(Operation, frozen=True):
    """Takes away the statement in which the node lies."""

    comment: int | None = None
    """Where the line of a comment above it begins that goes, too."""


class Move(Operation, frozen=True):
    """Takes the statement in which the node lies to another, of the same file."""

    target: int
    """An offset within the other statement."""
    where: Literal["before", "after"] = "after"


class AddParameter(Operation, frozen=True):
    """Gives a function one more parameter, the last that can be given by position.

    The node is the function's name.
    """

    name: str
    default: str | None = None


class AddArgument(Operation, frozen=True):
    """Gives a call one more argument by position."""

    code: str


AnyOperation: TypeAlias = (
    Insert | Replace | Rewrite | SetArgument | RemoveArgument | Remove | Move | AddParameter
    | AddArgument
)  # fmt: skip
