"""Arguments and parameters: where one more goes, and how one is taken away."""

from __future__ import annotations

import re

import msgspec

from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.scopes import chain_to
from rnnlint.lowering import ir

# Between the last argument of a call and its closing parenthesis.
_GAP = re.compile(r"(?P<own>(?:[\s\\]|#[^\r\n]*|\))*?)(?P<comma>,)?(?P<rest>(?:[\s\\]|#[^\r\n]*)*)")


class Change(msgspec.Struct, frozen=True):
    """Other text for a stretch of the file."""

    start: int
    end: int
    text: str


def call_at(layout: Layout, start: int, end: int) -> ir.Call:
    """The call that lies exactly there.

    Raises:
        CannotPlaceError: there is none.
    """
    chain = chain_to(layout.statement_at(start).node, start, end)
    if not chain or not isinstance(chain[-1], ir.Call):
        raise CannotPlaceError("there is no call here")
    return chain[-1]


def set_argument(layout: Layout, call: ir.Call, keyword: str, code: str) -> list[Change]:
    """Gives a call a keyword argument, or changes the one that it has."""
    for argument in call.args:
        if argument.keyword == keyword:
            return [Change(argument.value.start, argument.value.end, code)]
    return append_argument(layout, call, f"{keyword}={code}")


def append_argument(layout: Layout, call: ir.Call, code: str) -> list[Change]:
    """Puts an argument behind all others, in the style of the call."""
    closing = call.end - 1
    if not call.args:
        if "#" in layout.text[call.func.end : closing]:
            raise CannotPlaceError("a comment stands in the empty call")
        return [Change(closing, closing, code)]
    last = call.args[-1]
    value = last.value
    if isinstance(value, ir.Comprehension) and _is_bare(layout.text, call, value):
        # Only an argument that is alone may be a generator without parentheses of its own.
        return [Change(value.start, value.start, "("), Change(value.end, value.end, f"), {code}")]
    gap = layout.text[last.end : closing]
    match = _GAP.fullmatch(gap)
    if match is None:
        raise CannotPlaceError("the end of the call cannot be read")
    return _after_last(layout, call, match, code)


def _is_bare(text: str, call: ir.Call, value: ir.Comprehension) -> bool:
    if value.kind != "generator" or len(call.args) > 1:
        return False
    between = text[call.func.end : value.start]
    return between.count("(") - between.count(")") == 1


def _after_last(layout: Layout, call: ir.Call, gap: re.Match[str], code: str) -> list[Change]:
    last = call.args[-1]
    own_end = last.end + _parentheses(gap["own"])
    has_comma = gap["comma"] is not None
    rest_start = last.end + gap.start("rest")
    newline = layout.newline
    whole = gap[0]
    if newline not in whole:
        if "#" in whole:
            raise CannotPlaceError("a comment stands before the closing parenthesis")
        space = _space_between(layout, call)
        if has_comma:
            return [Change(rest_start, rest_start, f"{space}{code},")]
        return [Change(own_end, own_end, f",{space}{code}")]
    if not layout.begins_line(last.start) and "#" not in whole:
        # Only the closing parenthesis has a line of its own.
        at = rest_start if has_comma else own_end
        return [Change(at, at, f" {code}," if has_comma else f", {code}")]
    indentation = layout.indentation(last.start)
    line = layout.line_end(_last_text(layout.text, last.end, whole))
    tail = "," if has_comma else ""
    changes = [] if has_comma else [Change(own_end, own_end, ",")]
    added = Change(line, line, f"{newline}{indentation}{code}{tail}")
    if changes and changes[0].start == added.start:
        return [Change(line, line, "," + added.text)]
    return [*changes, added]


def _space_between(layout: Layout, call: ir.Call) -> str:
    """What stands between the arguments of a call: a line break where each has its own line."""
    others = call.args[1:]
    if others and all(layout.begins_line(argument.start) for argument in others):
        return layout.newline + layout.indentation(others[-1].start)
    return " "


def _parentheses(own: str) -> int:
    """How far the parentheses around the last argument reach."""
    return own.rfind(")") + 1


def _last_text(text: str, start: int, gap: str) -> int:
    """The place of the last thing in a gap that is no white space."""
    return start + len(gap.rstrip())


def insert_argument(layout: Layout, call: ir.Call, code: str) -> list[Change]:
    """Puts an argument behind those that are given by position."""
    for argument in call.args:
        if argument.keyword is not None or argument.star == "**":
            return [Change(argument.start, argument.start, f"{code}, ")]
    return append_argument(layout, call, code)


def remove_argument(layout: Layout, call: ir.Call, keyword: str) -> list[Change]:
    """Takes a keyword argument away, with its comma."""
    for number, argument in enumerate(call.args):
        if argument.keyword != keyword:
            continue
        if number + 1 < len(call.args):
            return [Change(argument.start, call.args[number + 1].start, "")]
        if number:
            before = call.args[number - 1]
            comma = layout.text.index(",", _closed(layout.text, before.end))
            return [Change(comma, argument.end, "")]
        return [Change(argument.start, argument.end, "")]
    raise CannotPlaceError(f"the call has no argument {keyword}")


def _closed(text: str, offset: int) -> int:
    """Behind the parentheses that surround an argument."""
    match = re.compile(r"(?:[\s\\]*\))*").match(text, offset)
    return match.end() if match is not None else offset


def add_parameter(
    layout: Layout, function: ir.FunctionDef, name: str, default: str | None
) -> list[Change]:
    """Gives a function one more parameter that can be given by position."""
    if any(parameter.name == name for parameter in function.params):
        raise CannotPlaceError(f"{function.name} has a parameter {name} already")
    positional = [one for one in function.params if one.kind in ("positional", "positional-only")]
    if default is None and any(one.default is not None for one in positional):
        raise CannotPlaceError(f"a parameter of {function.name} before it has a default")
    code = name if default is None else f"{name}={default}"
    if positional:
        last = positional[-1]
        end = max(
            last.end,
            last.default.end if last.default is not None else 0,
            last.annotation.end if last.annotation is not None else 0,
        )
        end = _closed_within(layout.text, end)
        return [Change(end, end, f", {code}")]
    opening = layout.text.index("(", function.end) + 1
    return [Change(opening, opening, f"{code}, " if function.params else code)]


def _closed_within(text: str, offset: int) -> int:
    """Behind the parentheses around a default, and not behind those of the parameters."""
    match = re.compile(r"(?:[\s\\]*\)(?=[\s\\]*[,)]))*").match(text, offset)
    end = match.end() if match is not None else offset
    # The last of them closes the parameters if nothing follows but a colon or an arrow.
    following = re.compile(r"[\s\\]*(?:->|:)").match(text, end)
    if following is None or end == offset:
        return end
    return text.rindex(")", offset, end)
