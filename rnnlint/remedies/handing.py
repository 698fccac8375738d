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
from rnnlint.remedies.batches import Batches, padding_of
from rnnlint.remedies.counting import counted
from rnnlint.remedies.told import Around, Told, at, named
from rnnlint.semantics import naming
from rnnlint.semantics.passages import Site
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

_RECEIVERS = ("self", "cls")
MAX_STEPS = 8
"""How many functions may be changed on the way."""


def handed(program: Program, value: Place, scopes: Sequence[naming.Scope]) -> Told | None:
    """Lengths that the function around a value takes from the batch, or is given.

    Args:
        program: the program.
        value: what the layer runs over.
        scopes: what the names around it stand for.

    Raises:
        CannotPlaceError: some step of the way cannot be changed.
    """
    layout = program.code.layout(value.path)
    around = at(layout, value.path, value.start, scopes)
    chain = chain_to(around.statement.node, value.start, value.end)
    if not chain:
        return None
    way = _Way(program)
    told = way.from_batch(around, chain[-1])
    if told is None:
        if around.scope.node is None:
            return None
        told = named(way.parameter(around.scope.node, value.path, _slot(around, chain[-1])))
    changes = way.batches.changes() if way.batches is not None else []
    return msgspec.structs.replace(told, before=(*told.before, *way.operations, *changes))


def _slot(around: Around, value: ir.Node) -> str:
    """The parameter by which the function around a value is given the batch.

    Raises:
        CannotPlaceError: that is none of them, or several.
    """
    names = set(around.words(value).split())
    found = [
        one.name
        for one in around.scope.parameters
        if one.name in names and one.name not in _RECEIVERS and not one.kind.startswith("*")
    ]
    if len(found) != 1:
        raise CannotPlaceError("it is not clear where the batch comes from")
    return found[0]


class _Way:
    """The changes on the way from where the lengths are known."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.code = program.code
        self.operations: list[operations.AnyOperation] = []
        self.batches: Batches | None = None
        self._parameters: dict[tuple[int, str], str] = {}
        """Names of the lengths, by the function and its parameter for the batch."""
        self._called: set[str] = set()
        self._counted: dict[str, str] = {}
        """The names of lengths that are counted on the way, by the ids."""

    def parameter(self, function: ir.FunctionDef, path: str, slot: str) -> str:
        """Give a function the lengths as a parameter, and all its calls an argument.

        Args:
            function: the function.
            path: where it stands.
            slot: the parameter by which it is given the batch.

        Raises:
            CannotPlaceError: one of them cannot be changed.
        """
        known = self._parameters.get((id(function), slot))
        if known is not None:
            return known
        if len(self._parameters) >= MAX_STEPS:
            raise CannotPlaceError("the way is too long")
        sites = self.program.passages.sites_of(function)
        if not sites or function.name.startswith("__"):
            raise CannotPlaceError(f"nobody is seen to call {function.name}")
        name = self._name(function, path, slot)
        self._parameters[id(function), slot] = name
        position = self._declare(function, path, name)
        for site in sites:
            self._pass(site, function, slot, position - _receives(function), name)
        self._refuse_unseen()
        return name

    def _name(self, function: ir.FunctionDef, path: str, slot: str, depth: int = MAX_STEPS) -> str:
        """What the lengths are called in a function: as in the code that calls it, if it agrees."""
        layout = self.code.layout(path)
        scope = Scope(layout, layout.statement_at(function.body[0].start))
        theirs = {
            self._name_at(site, function, slot, depth)
            for site in self.program.passages.sites_of(function)
            if site.scopes
        }
        name = theirs.pop() if len(theirs) == 1 else ""
        taken = {known for (owner, _), known in self._parameters.items() if owner == id(function)}
        wanted = [name] if name.isidentifier() else []
        return scope.fresh(*wanted, "lengths", f"{slot}_lengths", besides=taken)

    def _name_at(self, site: Site, function: ir.FunctionDef, slot: str, depth: int) -> str:
        layout = self.code.layout(site.place.path)
        around = at(layout, site.place.path, site.place.start, site.scopes)
        given = _handed_over(layout, site.place, function, slot)
        told = around.lengths(given)
        if told is not None:
            return told.lengths
        caller = around.scope.node
        if caller is None or not depth:
            return ""
        try:
            theirs = _slot(around, given)
        except CannotPlaceError:
            return ""
        known = self._parameters.get((id(caller), theirs))
        return known or self._name(caller, site.place.path, theirs, depth - 1)

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

    def _pass(
        self, site: Site, function: ir.FunctionDef, slot: str, position: int, name: str
    ) -> None:
        passages = self.program.passages
        place = site.place
        if place in passages.chained:
            raise CannotPlaceError("a container calls the module")
        others = [
            one.node for one in passages.callees.get(place, {}).values() if one.node is not function
        ]
        if others:
            raise CannotPlaceError("something else is called in the same place")
        layout = self.code.layout(place.path)
        call = call_at(layout, place.start, place.end)
        if any(one.star for one in call.args):
            raise CannotPlaceError("the arguments of a call are not written out")
        self._called.add(ir.last_name(call.func))
        told = self.known_at(site, function, slot)
        self.operations += [*told.before, *_argument(place, call, position, name, told.lengths)]

    def known_at(self, site: Site, function: ir.FunctionDef, slot: str) -> Told:
        """The lengths as the code around a call can name them.

        Raises:
            CannotPlaceError: it cannot.
        """
        if not site.scopes:
            raise CannotPlaceError("what is handed over here was not seen")
        place = site.place
        layout = self.code.layout(place.path)
        around = at(layout, place.path, place.start, site.scopes)
        given = _handed_over(layout, place, function, slot)
        told = around.lengths(given) or self.from_batch(around, given)
        if told is None:
            value = Place(place.path, given.start, given.end)
            lookups = list(self.program.passages.lookups.values())
            told = counted(self.code, lookups, value, self._counted)
        if told is not None:
            return told
        if around.scope.node is None:
            raise CannotPlaceError("the lengths are not known here")
        return named(self.parameter(around.scope.node, place.path, _slot(around, given)))

    def from_batch(self, around: Around, value: ir.Node) -> Told | None:
        """The lengths from a batch that is taken apart here, if there is one.

        Raises:
            CannotPlaceError: another batch is needed too.
        """
        padding = padding_of(self.program, around, value)
        if padding is None or around.is_cut(value) or around.taken_rows(value) is not None:
            return None
        batches = self.batches or Batches(self.program, padding)
        if batches.padding.steps[:1] != padding.steps[:1]:
            raise CannotPlaceError("batches of several kinds would have to change")
        try:
            told = batches.lengths_at(around, value)
        except CannotPlaceError:
            return None
        if told is not None:
            self.batches = batches
        return told

    def _refuse_unseen(self) -> None:
        """A call of something unknown by the same name may be one more call.

        Raises:
            CannotPlaceError: there is one.
        """
        for place in self.program.passages.unknown:
            called = self.code.text(place).partition("(")[0].rpartition(".")[2].strip()
            if called in self._called:
                raise CannotPlaceError("there may be calls that were not seen")


def _receives(function: ir.FunctionDef) -> bool:
    """Whether the first parameter is not given in the parentheses of a call."""
    is_static = any(
        isinstance(one, ir.Name) and one.id == "staticmethod" for one in function.decorators
    )
    return not is_static and any(one.name in _RECEIVERS for one in function.params[:1])


def _handed_over(layout: Layout, place: Place, function: ir.FunctionDef, slot: str) -> ir.Expr:
    """What a call gives for a parameter: the batch.

    Raises:
        CannotPlaceError: that is not written out.
    """
    call = call_at(layout, place.start, place.end)
    for one in call.args:
        if one.keyword == slot:
            return one.value
    names = [one.name for one in function.params if one.kind.startswith("positional")]
    position = names.index(slot) - _receives(function) if slot in names else -1
    given = [one for one in call.args if one.keyword is None]
    if not 0 <= position < len(given) or any(one.star for one in call.args):
        raise CannotPlaceError("what is handed over is not written out")
    return given[position].value


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
