"""A traceback as it would be without observation."""

from __future__ import annotations

import dis
import inspect
import os
from functools import cache
from pathlib import Path
from types import TracebackType

from torch.nn import Module

_OURS = str(Path(__file__).resolve().parents[1]) + os.sep
_STARTING = "<frozen runpy>"
_CALL = Module._call_impl.__code__
_INNER = "inner"
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def without_observation(error: BaseException) -> None:
    """Take the frames of rnnlint out of the traceback of an error and of those it came from.

    Also those that PyTorch passes on the way to a hook: a module that has one is called by two
    more frames.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        waiting += [each.__cause__, each.__context__]
        each.__traceback__ = _without(each.__traceback__)


def _without(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and _is_of(trace, (_OURS, _STARTING)):
        trace = trace.tb_next
    kept: list[TracebackType] = []
    while trace is not None:
        if kept and _is_hooked(trace, kept[-1]):
            kept[-1] = _called_directly(kept[-1])
        elif not _is_of(trace, (_OURS,)):
            kept.append(trace)
        trace = trace.tb_next
    following: TracebackType | None = None
    for each in reversed(kept):
        following = TracebackType(following, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return following


def _is_of(trace: TracebackType, beginnings: tuple[str, ...]) -> bool:
    return trace.tb_frame.f_code.co_filename.startswith(beginnings)


def _is_hooked(trace: TracebackType, before: TracebackType) -> bool:
    """Whether this frame is there only because the module that is called had a hook of ours."""
    if before.tb_frame.f_code is not _CALL or trace.tb_frame.f_code.co_name != _INNER:
        return False
    module = before.tb_frame.f_locals.get("self")
    return not any(getattr(module, hooks, None) for hooks in _HOOKS)


def _called_directly(trace: TracebackType) -> TracebackType:
    row, instruction = _direct_call()
    return TracebackType(trace.tb_next, trace.tb_frame, instruction, row)


@cache
def _direct_call() -> tuple[int, int]:
    """Where a module without hooks is called: the row, and the instruction."""
    rows, first = inspect.getsourcelines(_CALL)
    row = next(first + at for at, text in enumerate(rows) if "return forward_call(" in text)
    lines = [range(start, end) for start, end, of in _CALL.co_lines() if of == row]
    calls = [
        instruction.offset
        for instruction in dis.get_instructions(_CALL)
        if instruction.opname.startswith("CALL")
        and any(instruction.offset in line for line in lines)
    ]
    return row, calls[-1]
