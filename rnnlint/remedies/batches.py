"""Batches that carry the lengths of their sequences, and all that takes them apart."""

from __future__ import annotations

from collections.abc import Container, Iterator

import msgspec

from rnnlint.fixing.code import Code
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.operations import AnyOperation, Replace
from rnnlint.fixing.scopes import Scope, chain_to, runs_before
from rnnlint.lowering import ir
from rnnlint.remedies.producing import (
    LENGTHS,
    Maker,
    maker_of,
    with_element,
    with_lengths,
)
from rnnlint.remedies.told import Around, Told, named
from rnnlint.semantics import values
from rnnlint.semantics.passages import Holder
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Padding, Place, Tensor, Value


class Batches:
    """The batches that one place pads."""

    def __init__(self, program: Program, padding: Padding) -> None:
        self.program = program
        self.code = program.code
        self.padding = padding
        self._maker: Maker | None = None
        self._names: dict[Place, str] = {}
        """What the lengths are called where they are needed, by the target that gets them."""

    @property
    def maker(self) -> Maker:
        """The function that puts the batches together.

        Raises:
            CannotPlaceError: it was not found.
        """
        if self._maker is None:
            self._maker = maker_of(self.code, self.program.passages, self.padding)
        return self._maker

    def lengths_at(self, around: Around, value: ir.Node) -> Told | None:
        """The lengths, where a value comes from a batch that the code around it takes apart.

        Raises:
            CannotPlaceError: a batch that holds them cannot be had.
        """
        names = set(around.words(value).split())
        if self.maker.is_dict:
            return self._entry(around, names)
        near = [one for one in self._holders() if is_before(self.code, one, around)]
        near.sort(key=lambda one: -one.place.start)
        for holder in near[:1]:  # the last that is bound before
            if names & self._bound_by(holder):
                name = self._names.get(holder.place) or around.scope.fresh(LENGTHS, "seq_lengths")
                unnamed = self._unnamed_lengths(holder)
                if unnamed is not None:
                    renamed = Replace(holder.place.path, unnamed.start, unnamed.end, name)
                    return msgspec.structs.replace(named(name), before=(renamed,))
                self._names[holder.place] = name
                return named(name)
        return None

    def _unnamed_lengths(self, holder: Holder) -> ir.Name | None:
        """The `_` that is given the lengths which the batches have already."""
        target = target_of(self.code, holder)
        for element, item in zip(target.elements if target else (), holder.items, strict=False):
            if isinstance(item, Tensor) and item.lengths and isinstance(element, ir.Name):
                return None if element.id.strip("_") else element
        return None

    def changes(self) -> list[AnyOperation]:
        """What makes the batches carry their lengths, if somebody needs them.

        Raises:
            CannotPlaceError: some step cannot be changed.
        """
        if not self._names:
            return []
        changes = with_lengths(self.maker)
        if not self.maker.is_dict:
            for holder in self._holders():
                changes += self._taken_out(holder)
        return changes

    # --- dicts ---

    def _entry(self, around: Around, names: Container[str]) -> Told | None:
        """`batch["lengths"]`"""
        for scope in around.scopes[:1]:
            for name in scope.names_of(self._is_dict):
                if name in names and around.is_bound(name):
                    self._names[self.padding.steps[0].place] = name
                    quote = self.maker.layout.quote
                    return named(f"{name}[{quote}{LENGTHS}{quote}]")
        return None

    def _is_dict(self, value: Value) -> bool:
        return isinstance(value, values.DictObject) and any(
            self._is_ours(one) for one in value.fields["entries"].values()
        )

    # --- tuples ---

    def _holders(self) -> list[Holder]:
        """What is given a batch as it comes.

        Raises:
            CannotPlaceError: the batches do not all look alike, or may go other ways.
        """
        sizes = {len(one.elements) for one in self.maker.batches if isinstance(one, ir.Sequence)}
        if len(sizes) != 1:
            raise CannotPlaceError("the batches do not all look alike")
        return [
            holder
            for holders in self.program.passages.holders.values()
            for holder in holders[:1]
            # A tuple of another size was put together from parts of a batch.
            if len(holder.items) in sizes
            and any(self._is_ours(value) for value in holder.items)
            and self._is_taken(holder)
        ]

    def _is_ours(self, value: Value) -> bool:
        padding = _padding_in(value)
        return padding is not None and padding.steps[:1] == self.padding.steps[:1]

    def _is_taken(self, holder: Holder) -> bool:
        """Whether a target is given a batch as it came, and not a tuple that is put together.

        Raises:
            CannotPlaceError: it may be either.
        """
        node = self.code.layout(holder.place.path).statement_at(holder.place.start).node
        loop = node if isinstance(node, ir.For) else _generator(node, holder.place)
        if loop is not None:
            if isinstance(loop.iter, ir.Call) and ir.last_name(loop.iter.func) == "zip":
                raise CannotPlaceError("batches are taken together with something else")
            return True
        if not isinstance(node, ir.Assign) or isinstance(node.value, ir.Sequence):
            return isinstance(node, ir.FunctionDef)
        value: ir.Expr | None = node.value
        if isinstance(value, ir.Comprehension):
            value = value.generators[0].iter if len(value.generators) == 1 else None
        if isinstance(value, ir.Call):
            place = Place(holder.place.path, value.start, value.end)
            callees = self.program.passages.callees.get(place, {})
            made = any(one.node is self.maker.scope.node for one in callees.values())
            if made or ir.last_name(value.func) == "next":
                return True
        if isinstance(value, (ir.Name, ir.Attribute, ir.Subscript)):
            return True
        raise CannotPlaceError("a batch goes through code that may take it apart")

    def _bound_by(self, holder: Holder) -> set[str]:
        target = target_of(self.code, holder)
        elements = target.elements if target is not None else ()
        return {one.id for one in ir.nodes_in(elements) if isinstance(one, ir.Name)}

    def _taken_out(self, holder: Holder) -> list[AnyOperation]:
        """One more name for one more item."""
        layout, target = self.code.layout(holder.place.path), target_of(self.code, holder)
        if target is None:
            self._check_whole(holder, layout)
            return []
        if any(isinstance(one, ir.Starred) for one in target.elements):
            return []
        name = self._names.get(holder.place, "_")
        return [with_element(holder.place.path, layout, target, name)]

    def _handed_on(self, scope: Scope, path: str) -> Iterator[tuple[int, int]]:
        """What functions of the project are given: their parameters are holders, too."""
        for node in scope.nodes():
            if isinstance(node, ir.Call):
                place = Place(path, node.start, node.end)
                if self.program.passages.callees.get(place):
                    yield from ((one.value.start, one.value.end) for one in node.args)

    def _check_whole(self, holder: Holder, layout: Layout) -> None:
        """A batch under one name may be indexed and unpacked, and nothing else.

        Raises:
            CannotPlaceError: something else is done with it.
        """
        name = layout.text[holder.place.start : holder.place.end].partition(":")[0].strip()
        statement = layout.statement_at(holder.place.start)
        scope = Scope(layout, statement)
        if isinstance(statement.node, ir.FunctionDef):
            scope = Scope(layout, layout.statement_at(statement.node.body[0].start))
        if not name.isidentifier():
            raise CannotPlaceError("a batch is kept in another way")
        allowed = set(_known_uses(scope, name, len(holder.items)))
        allowed |= set(self._handed_on(scope, holder.place.path))
        for use in scope.uses(name):
            if (use.start, use.end) not in allowed and use.start != holder.place.start:
                raise CannotPlaceError("a batch is used as a whole")


def padding_of(program: Program, around: Around, value: ir.Node) -> Padding | None:
    """Who pads the batch from which a value comes, where the code around takes it apart."""
    names = set(around.words(value).split())
    found: list[tuple[int, Padding]] = []
    for holders in program.passages.holders.values():
        for holder in holders[:1]:
            if not is_before(program.code, holder, around):
                continue
            target = target_of(program.code, holder)
            if target is None:
                continue
            for element, item in zip(target.elements, holder.items, strict=False):
                is_named = isinstance(element, ir.Name) and element.id in names
                padding = _padding_in(item)
                if is_named and padding is not None:
                    found.append((holder.place.start, padding))
    if found:
        return max(found, key=lambda one: one[0])[1]
    return _padding_of_entry(around, value)


def _padding_in(value: Value) -> Padding | None:
    """The padding of data that no layer has seen yet."""
    if not isinstance(value, Tensor) or value.calls or value.output_of is not None:
        return None
    return value.padding


def _padding_of_entry(around: Around, value: ir.Node) -> Padding | None:
    """The same for `batch["texts"]`."""
    for node in ir.nodes_in(tuple(around.origins(value))):
        if not isinstance(node, ir.Subscript) or not isinstance(node.value, ir.Name):
            continue
        key = node.index[0]
        for scope in around.scopes[:1]:
            held = scope.value(node.value.id)
            if isinstance(held, values.DictObject) and isinstance(key, ir.Const):
                entry = held.fields["entries"].get(key.value)
                if isinstance(entry, Tensor) and entry.padding is not None:
                    return entry.padding
    return None


def is_before(code: Code, holder: Holder, around: Around) -> bool:
    """Whether a target is bound in the same function, before the statement."""
    if holder.place.path != around.path:
        return False
    statement = around.layout.statement_at(holder.place.start)
    if Scope(around.layout, statement).node is not around.scope.node:
        return False
    comprehension = _comprehension(statement.node, holder.place)
    if comprehension is not None:
        return comprehension.start <= around.offset < comprehension.end
    if isinstance(statement.node, ir.For):
        is_around = any(parent is statement.node for parent in around.statement.parents)
        return is_around and target_of(code, holder) is not None
    return runs_before(statement, around.statement) and target_of(code, holder) is not None


def target_of(code: Code, holder: Holder) -> ir.Sequence | None:
    """The names into which a batch is unpacked."""
    statement = code.statement(holder.place)
    chain = chain_to(statement.node, holder.place.start, holder.place.end)
    return chain[-1] if chain and isinstance(chain[-1], ir.Sequence) else None


def _comprehension(statement: ir.Stmt, target: Place) -> ir.Comprehension | None:
    """The comprehension that binds a target."""
    for node in ir.nodes_in((statement,)):
        if isinstance(node, ir.Comprehension):
            for one in node.generators:
                if one.target.start <= target.start and target.end <= one.target.end:
                    return node
    return None


def _generator(statement: ir.Stmt, target: Place) -> ir.Generator | None:
    comprehension = _comprehension(statement, target)
    for one in comprehension.generators if comprehension is not None else ():
        if one.target.start <= target.start and target.end <= one.target.end:
            return one
    return None


def _known_uses(scope: Scope, name: str, size: int) -> Iterator[tuple[int, int]]:
    """Where a batch is indexed from the front, or unpacked."""
    for node in scope.nodes():
        if isinstance(node, ir.Subscript) and _is_name(node.value, name):
            index = node.index[0] if len(node.index) == 1 else None
            number = index.value if isinstance(index, ir.Const) else None
            if isinstance(number, int) and 0 <= number < size:
                yield node.value.start, node.value.end
        elif isinstance(node, ir.Comprehension) and _is_name(node.generators[0].iter, name):
            yield node.generators[0].iter.start, node.generators[0].iter.end
        elif isinstance(node, ir.Assign):
            unpacked = all(isinstance(target, ir.Sequence) for target in node.targets)
            if unpacked and node.value is not None and _is_name(node.value, name):
                yield node.value.start, node.value.end
            for target in node.targets:
                if _is_name(target, name):
                    yield target.start, target.end


def _is_name(node: object, name: str) -> bool:
    return isinstance(node, ir.Name) and node.id == name
