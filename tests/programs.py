"""What tests of the abstract interpreter share: small projects, run from their text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from textwrap import dedent
from typing import TypeVar

from rnnlint.diagnostic import Location, Span
from rnnlint.lowering import ir
from rnnlint.lowering.lower import lower
from rnnlint.project.imports import ImportGraph
from rnnlint.semantics import events, values
from rnnlint.semantics.program import Program, analyse
from rnnlint.semantics.values import Place

T = TypeVar("T")
IMPORTS = """\
import argparse, copy, itertools, os
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.nn.utils.rnn import *
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader, Dataset, TensorDataset
"""
PADDED = """
embedding = nn.Embedding(100, 8, padding_idx=0)
lengths = [len(row) for row in rows]
x = pad_sequence(rows, batch_first=True)
embedded = embedding(x)
h = None
"""
"""A padded batch, its lengths, and what an embedding makes of it."""


def analysed(files: str | Mapping[str, str]) -> Program:
    """A project run abstractly.

    Args:
        files: the text of each file by its path; or of `main.py` alone, which is
            then spared the usual imports.
    """
    if isinstance(files, str):
        files = {"main.py": IMPORTS + dedent(files)}
    texts = {path: dedent(text) for path, text in files.items()}
    lowered: dict[str, ir.FileIR] = {}
    for path, text in texts.items():
        result = lower(text)
        assert isinstance(result, ir.FileIR), f"{path}: {result}"
        lowered[path] = result
    return analyse(lowered, ImportGraph(list(texts)).resolve, _locator(texts), texts.__getitem__)


def _locator(texts: Mapping[str, str]) -> Callable[[Place], Span]:
    def location(path: str, offset: int) -> Location:
        before = texts[path][:offset]
        return Location(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)

    def locate(place: Place) -> Span:
        start, end = (location(place.path, offset) for offset in (place.start, place.end))
        return Span(place.path, start, end)

    return locate


def only(found: Iterable[T]) -> T:
    """The one thing that was found."""
    (one,) = found
    return one


def calls(program: Program) -> list[events.LayerCall]:
    """The calls of recurrent layers in order, once for each place: loops run twice."""
    found: dict[tuple[Place, values.Layer], events.LayerCall] = {}
    for call in program.of(events.LayerCall):
        found.setdefault((call.place, call.layer), call)
    return list(found.values())


def the_call(program: Program) -> events.LayerCall:
    return only(calls(program))


def the_input(program: Program) -> values.Tensor:
    """What the project's one recurrent layer call reads."""
    given = the_call(program).input
    assert isinstance(given, values.Tensor)
    return given


def side_of(program: Program) -> str | None:
    """On which side the input of the one recurrent layer call is padded; None if it is not."""
    padding = the_input(program).padding
    return None if padding is None else padding.side


def option_of(layer: values.Layer, name: str) -> object:
    """The Python value of a layer's constructor argument."""
    value = layer.options[name]
    assert isinstance(value, values.Const), value
    return value.value


def happenings(program: Program) -> list[str]:
    """The names of the steps of training that really happen, the first turn of each loop."""
    names = []
    for event in program.events:
        if event.hypothetical or any(turn for _, _, turn in event.loops):
            continue
        if isinstance(event, events.OptimizerEvent):
            names.append(event.what)
        elif isinstance(event, events.Backward):
            names.append("backward")
        elif isinstance(event, events.Clip):
            names.append("clip")
        elif isinstance(event, events.LayerCall):
            names.append("forward")
    return names
