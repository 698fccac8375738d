"""Built-ins that know the names of whoever calls them: locals, globals and eval."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from rnnlint.semantics import attributes, calls, expressions, python, values
from rnnlint.semantics.frames import Arguments, Frame
from rnnlint.semantics.joins import join
from rnnlint.semantics.values import UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def _locals(run: Interpreter, arguments: Arguments, frame: Frame, place: Place) -> Value:
    return values.DictObject(
        {key: value for key, value in frame.scope.items() if isinstance(value, Value)}
    )


def _globals(run: Interpreter, arguments: Arguments, frame: Frame, place: Place) -> Value:
    fields = frame.module.fields
    return values.DictObject(
        {key: value for key, value in fields.items() if isinstance(value, Value)}
    )


def _eval(run: Interpreter, arguments: Arguments, frame: Frame, place: Place) -> Value:
    """`eval("self.lstm")`: the object of that name; what computes with objects is opaque."""
    results = []
    for text in values.members(arguments.first):
        if isinstance(text, values.Const) and isinstance(text.value, str):
            found = _chain(run, text.value.strip(), frame, place)
            results.append(found or _evaluated_unseen(run, text.value, frame, place))
        elif isinstance(text, values.Prefix):
            owner, _, start = text.text.strip().rpartition(".")
            found = _chain(run, owner, frame, place)
            if found is None:
                results.append(_evaluated_unseen(run, text.text, frame, place))
            else:
                results.append(python.attributes_like(run, found, start, place))
        else:
            results.append(UNKNOWN)
    return join(results)


_CHAIN = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def _chain(run: Interpreter, text: str, frame: Frame, place: Place) -> Value | None:
    """The value of a dotted name; None for any other text."""
    if _CHAIN.fullmatch(text) is None:
        return None
    first, *rest = text.split(".")
    value = expressions.lookup(frame, first)
    for name in rest:
        value = attributes.get_attribute(run, value, name, place)
    return value


def _evaluated_unseen(run: Interpreter, text: str, frame: Frame, place: Place) -> Value:
    named = [_chain(run, name, frame, place) or UNKNOWN for name in _CHAIN.findall(text)]
    return calls.opaque(run, "eval", Arguments(named), place)


FRAME_CALLS: dict[str, Callable[[Interpreter, Arguments, Frame, Place], Value]] = {
    "builtins.locals": _locals,
    "builtins.globals": _globals,
    "builtins.eval": _eval,
}
"""Built-ins that know the names of whoever calls them."""
