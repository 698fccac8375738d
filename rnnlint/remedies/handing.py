"""Lengths that are handed on: from where they are known to the layer that needs them.

Every function on the way gets a parameter, and every call of it an argument.  Where nobody
knows the lengths, the function that makes the batches returns them too, and whoever takes a
batch apart takes them out.  All of it is done only where every step of the way is seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rnnlint.fixing import operations
from rnnlint.fixing.arguments import call_at
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.scopes import Scope, chain_to
from rnnlint.lowering import ir
from rnnlint.remedies.batches import Batches
from rnnlint.remedies.counting import counted
from rnnlint.remedies.told import Around, Told, at, named
from rnnlint.semantics import naming
from rnnlint.semantics.passages import Site
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Padding, Place

MAX_STEPS = 8
"""How many functions may be changed on the way."""


def handed(
    program: Program, value: Place, scopes: Sequence[naming.Scope], padding: Padding
) -> Told | None:
    """Lengths that the function around a value takes from the batch, or is given.

    Args:
        program: the program.
        value: what the layer runs over.
        scopes: what the names around it stand for.
        padding: who padded it.

    Raises:
        CannotPlaceError: some step of the way cannot be changed.
    """
    layout = program.code.layout(value.path)
    around = at(layout, value.path, value.start, scopes)
    way = _Way(program, padding)
    told = way.from_batch(around, value)
    if told is None:
        if around.scope.node is None:
            return None
        told = named(way.parameter(around.scope.node, value.path))
    return msgspec.structs.replace(told, before=(*way.operations, *way.batches.changes()))


class _Way:
    """The changes on the way from where the lengths are known."""

    def __init__(self, program: Program, padding: Padding) -> None:
        self.program = program
        self.code = program.code
        self.operations: list[operations.AnyOperation] = []
        self.batches = Batches(program, padding)
        self._parameters: dict[int, str] = {}
        self._called: set[str] = set()
        self._counted: dict[str, str] = {}
        """The names of lengths that are counted on the way, by the ids."""

    def parameter(self, function: ir.FunctionDef, path: str) -> str:
        """Give a function the lengths as a parameter, and all its calls an argument.

        Raises:
            CannotPlaceError: one of them cannot be changed.
        """
        known = self._parameters.get(id(function))
        if known is not None:
            return known
        if len(self._parameters) >= MAX_STEPS:
            raise CannotPlaceError("the way is too long")
        sites = self.program.passages.sites_of(function)
        if not sites or function.name.startswith("__"):
            raise CannotPlaceError(f"nobody is seen to call {function.name}")
        name = self._name(function, path)
        self._parameters[id(function)] = name
        position = self._declare(function, path, name)
        is_method = any(
            one.name in ("self", "cls") for one in function.params[:1]
        ) and not _is_static(function)
        for site in sites:
            self._pass(site, position - is_method, name)
        self._refuse_unseen(sites)
        return name

    def _name(self, function: ir.FunctionDef, path: str, depth: int = MAX_STEPS) -> str:
        """What the lengths are called in a function: as in the code that calls it, if it agrees."""
        layout = self.code.layout(path)
        scope = Scope(layout, layout.statement_at(function.body[0].start))
        theirs = {
            self._name_at(site, depth)
            for site in self.program.passages.sites_of(function)
            if site.scopes
        }
        name = theirs.pop() if len(theirs) == 1 else ""
        return scope.fresh(*([name] if name.isidentifier() else []), "lengths", "seq_lengths")

    def _name_at(self, site: Site, depth: int) -> str:
        layout = self.code.layout(site.place.path)
        around = at(layout, site.place.path, site.place.start, site.scopes)
        told = around.lengths(_handed_over(layout, site.place))
        if told is not None:
            return told.lengths
        function = around.scope.node
        known = self._parameters.get(id(function))
        if known is not None or function is None or not depth:
            return known or ""
        return self._name(function, site.place.path, depth - 1)

    def _declare(self, function: ir.FunctionDef, path: str, name: str) -> int:
        """Add the parameter before the first that has a default; return its position."""
        positional = [one for one in function.params if one.kind.startswith("positional")]
        declared = name + self._annotation(function, path)
        for position, one in enumerate(positional):
            if one.default is not None:
                self.operations.append(operations.Replace(path, one.start, one.start, f"{name}, "))
                return position
        self.operations.append(
            operations.AddParameter(path, function.start, function.end, declared)
        )
        return len(positional)

    def _annotation(self, function: ir.FunctionDef, path: str) -> str:
        """What a tensor is annotated with, where all parameters are."""
        text = self.code.layout(path).text
        given = [one.annotation for one in function.params if one.name not in ("self", "cls")]
        written = [text[one.start : one.end] for one in given if one is not None]
        tensors = [one for one in written if one in ("Tensor", "torch.Tensor")]
        return f": {tensors[0]}" if tensors and len(written) == len(given) else ""

    def _pass(self, site: Site, position: int, name: str) -> None:
        passages = self.program.passages
        place = site.place
        if place in passages.chained:
            raise CannotPlaceError("a container calls the module")
        others = [
            one.node
            for one in passages.callees.get(place, {}).values()
            if id(one.node) not in self._parameters
        ]
        if others:
            raise CannotPlaceError("something else is called in the same place")
        layout = self.code.layout(place.path)
        call = call_at(layout, place.start, place.end)
        if any(one.star for one in call.args):
            raise CannotPlaceError("the arguments of a call are not written out")
        self._called.add(_last_name(call.func))
        told = self.known_at(place, site.scopes)
        self.operations += [*told.before, *_argument(place, call, position, name, told.lengths)]

    def known_at(self, place: Place, scopes: Sequence[naming.Scope]) -> Told:
        """The lengths as the code around a call can name them."""
        layout = self.code.layout(place.path)
        around = at(layout, place.path, place.start, scopes)
        if not scopes:
            raise CannotPlaceError("what is handed over here was not seen")
        given = _handed_over(layout, place)
        value = Place(place.path, given.start, given.end)
        told = around.lengths(given) or self.from_batch(around, value)
        if told is None:
            lookups = self.program.passages.lookups.values()
            told = counted(self.code, lookups, value, self.batches.padding, self._counted)
        if told is not None:
            return told
        if around.scope.node is None:
            raise CannotPlaceError("the lengths are not known here")
        return named(self.parameter(around.scope.node, place.path))

    def from_batch(self, around: Around, value: Place) -> Told | None:
        """The lengths from a batch that is taken apart here, if there is one."""
        chain = chain_to(around.statement.node, value.start, value.end)
        try:
            return self.batches.lengths_at(around, chain[-1]) if chain else None
        except CannotPlaceError:
            return None

    def _refuse_unseen(self, sites: Sequence[Site]) -> None:
        """A call of something unknown by the same name may be one more call."""
        for place in self.program.passages.unknown:
            try:
                layout = self.code.layout(place.path)
                call = call_at(layout, place.start, place.end)
            except CannotPlaceError:
                continue
            if _last_name(call.func) in self._called:
                raise CannotPlaceError("there may be calls that were not seen")


def _is_static(function: ir.FunctionDef) -> bool:
    return any(isinstance(one, ir.Name) and one.id == "staticmethod" for one in function.decorators)


def _last_name(function: ir.Expr) -> str:
    if isinstance(function, ir.Attribute):
        return function.attr
    return function.id if isinstance(function, ir.Name) else ""


def _handed_over(layout: Layout, place: Place) -> ir.Expr:
    """The first argument of a call: the batch."""
    call = call_at(layout, place.start, place.end)
    if not call.args or call.args[0].star:
        raise CannotPlaceError("what is handed over is not written out")
    return call.args[0].value


def _argument(
    place: Place, call: ir.Call, position: int, name: str, code: str
) -> list[operations.AnyOperation]:
    """One more argument, at the position of its parameter."""
    given = [one for one in call.args if one.keyword is None]
    if len(given) > position:
        start = given[position].start
        return [operations.Replace(place.path, start, start, f"{code}, ")]
    if len(given) == position:
        return [operations.AddArgument(place.path, place.start, place.end, code)]
    return [operations.SetArgument(place.path, place.start, place.end, name, code)]
