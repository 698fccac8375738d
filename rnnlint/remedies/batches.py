"""Batches that carry the lengths of their sequences, from the function that pads them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rnnlint.fixing import operations
from rnnlint.fixing.arguments import call_at
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.scopes import Scope, runs_before
from rnnlint.lowering import ir
from rnnlint.remedies.told import Around, Told, named
from rnnlint.semantics.passages import Holder
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Padding, Place, Tensor, Value

_CLOSED = re.compile(r"(?:[ \t]*\))*")
_MADE_FROM = ("tensor", "as_tensor", "LongTensor", "FloatTensor", "IntTensor", "from_numpy")


class Batches:
    """The batches that one place pads, and all that takes them apart."""

    def __init__(self, program: Program, padding: Padding) -> None:
        self.program = program
        self.code = program.code
        self.padding = padding
        self.operations: list[operations.AnyOperation] = []
        self._names: dict[Place, str] = {}
        self._wanted: set[Place] = set()
        self._is_extended = False

    def lengths_at(self, around: Around) -> Told | None:
        """The lengths, where the code around a place takes a batch apart before it.

        Raises:
            CannotPlaceError: a batch that holds them cannot be had.
        """
        for holder in self._holders():
            if self._is_before(holder, around):
                if not self._is_extended:
                    self._extend()
                name = self._names.get(holder.place)
                return named(name) if name is not None else None
        return None

    def _holders(self) -> list[Holder]:
        """What is given a batch with the padded tensor in it."""
        return [
            holder
            for holders in self.program.passages.holders.values()
            for holder in holders[:1]
            if any(self._is_ours(value) for value in holder.items) and self._is_taken(holder)
        ]

    def _is_ours(self, value: Value) -> bool:
        if not isinstance(value, Tensor) or value.calls or value.padding is None:
            return False
        return value.padding.steps[:1] == self.padding.steps[:1]

    def _is_taken(self, holder: Holder) -> bool:
        """Whether a target is given a batch as it came, and not a tuple that is put together.

        Raises:
            CannotPlaceError: it may be either.
        """
        node = self.code.layout(holder.place.path).statement_at(holder.place.start).node
        if isinstance(node, ir.For):
            if isinstance(node.iter, ir.Call) and _last_name(node.iter.func) == "zip":
                raise CannotPlaceError("batches are taken together with something else")
            return True
        if not isinstance(node, ir.Assign) or isinstance(node.value, ir.Sequence):
            return isinstance(node, ir.FunctionDef)
        value = node.value
        if isinstance(value, ir.Comprehension):
            value = value.generators[0].iter if len(value.generators) == 1 else None
        if isinstance(value, ir.Call) and _last_name(value.func) == "next":
            return True
        if isinstance(value, (ir.Name, ir.Attribute)):
            return True
        raise CannotPlaceError("a batch goes through code that may take it apart")

    def _is_before(self, holder: Holder, around: Around) -> bool:
        """Whether a target is bound in the same function, before the statement."""
        if holder.place.path != around.path:
            return False
        statement = around.layout.statement_at(holder.place.start)
        if Scope(around.layout, statement).node is not around.scope.node:
            return False
        is_around = any(parent is statement.node for parent in around.statement.parents)
        if isinstance(statement.node, ir.For) and is_around:
            return self._target(holder) is not None
        return runs_before(statement, around.statement) and self._target(holder) is not None

    def _target(self, holder: Holder) -> ir.Sequence | None:
        """The names into which a batch is unpacked."""
        layout = self.code.layout(holder.place.path)
        statement = layout.statement_at(holder.place.start)
        for node in ir.nodes_in(statement.node):
            exact = (node.start, node.end) == (holder.place.start, holder.place.end)
            if isinstance(node, ir.Sequence) and exact:
                return node
        return None

    # --- one more item ---

    def _extend(self) -> None:
        self._is_extended = True
        size = self._size()
        self._return(size)
        for holder in self._holders():
            target = self._target(holder)
            if target is None:
                self._check_whole(holder, size)
            elif not any(isinstance(one, ir.Starred) for one in target.elements):
                self._unpack(holder, target, size)

    def _size(self) -> int:
        sizes = {len(holder.items) for holder in self._holders()}
        if len(sizes) != 1:
            raise CannotPlaceError("the batches do not all look alike")
        return sizes.pop()

    def _unpack(self, holder: Holder, target: ir.Sequence, size: int) -> None:
        if len(target.elements) != size:
            raise CannotPlaceError("a batch is unpacked in another way")
        layout = self.code.layout(holder.place.path)
        scope = Scope(layout, layout.statement_at(holder.place.start))
        name = scope.fresh("lengths", "seq_lengths")
        self._names[holder.place] = name
        self.operations.append(_appended(holder.place.path, layout, target, name))

    def _check_whole(self, holder: Holder, size: int) -> None:
        """A batch under one name may be indexed and unpacked, and nothing else."""
        layout = self.code.layout(holder.place.path)
        name = layout.text[holder.place.start : holder.place.end].partition(":")[0].strip()
        statement = layout.statement_at(holder.place.start)
        scope = Scope(layout, statement)
        if isinstance(statement.node, ir.FunctionDef):
            scope = Scope(layout, layout.statement_at(statement.node.body[0].start))
        if not name.isidentifier():
            raise CannotPlaceError("a batch is kept in another way")
        allowed = set(_known_uses(scope, name, size))
        for use in scope.uses(name):
            if (use.start, use.end) not in allowed and use.start != holder.place.start:
                raise CannotPlaceError("a batch is used as a whole")

    # --- the function that pads ---

    def _return(self, size: int) -> None:
        path, call = self._padding_call()
        layout = self.code.layout(path)
        for _ in range(3):
            statement = layout.statement_at(call.start)
            scope = Scope(layout, statement)
            if scope.node is None:
                raise CannotPlaceError("no function makes the batches")
            returned = [
                node for node in _own_statements(scope.node.body) if isinstance(node, ir.Return)
            ]
            rows = [one.value for one in returned if isinstance(one.value, ir.Sequence)]
            if rows and len(rows) == len(returned) and all(len(r.elements) == size for r in rows):
                self._add(path, layout, scope, call, rows)
                return
            path, call = self._only_call(scope.node)
            layout = self.code.layout(path)
        raise CannotPlaceError("the function that makes the batches was not found")

    def _padding_call(self) -> tuple[str, ir.Call]:
        place = self.padding.steps[0].place
        layout = self.code.layout(place.path)
        call = call_at(layout, place.start, place.end)
        if _last_name(call.func) not in ("pad_sequence", "pad_sequences"):
            raise CannotPlaceError("the sequences before the padding have no name")
        return place.path, call

    def _only_call(self, function: ir.FunctionDef) -> tuple[str, ir.Call]:
        sites = self.program.passages.sites_of(function)
        if len(sites) != 1:
            raise CannotPlaceError("several functions share the one that pads")
        place = sites[0].place
        return place.path, call_at(self.code.layout(place.path), place.start, place.end)

    def _add(
        self, path: str, layout: Layout, scope: Scope, call: ir.Call, rows: list[ir.Sequence]
    ) -> None:
        """Return the lengths too; count them before the padding where nobody did."""
        statement = layout.statement_at(call.start)
        source = next((one.value for one in call.args if one.keyword in (None, "sequences")), None)
        if source is None:
            raise CannotPlaceError("the sequences before the padding have no name")
        known = _known_lengths(layout, scope, source, rows)
        if known is None:
            name = scope.fresh("lengths", "seq_lengths")
            known = name
            line = f"{name} = {{torch.tensor}}({_counted(layout, scope, source)})"
            self.operations.append(
                operations.Insert(path, statement.node.start, statement.node.end, (line,), "before")
            )
        self.operations += [_appended(path, layout, row, known) for row in rows]


def _known_lengths(
    layout: Layout, scope: Scope, source: ir.Expr, rows: list[ir.Sequence]
) -> str | None:
    """Code for lengths that the function counts already: `lengths = [len(x) for x in xs]`."""
    text = layout.text[source.start : source.end]
    for node in ir.nodes_in(scope.body):
        if not isinstance(node, ir.Assign) or len(node.targets) != 1 or node.value is None:
            continue
        target = node.targets[0]
        if not isinstance(target, ir.Name) or scope.bindings(target.id) != 1:
            continue
        value, is_tensor = node.value, False
        if isinstance(value, ir.Call) and _last_name(value.func) in _MADE_FROM and value.args:
            value, is_tensor = value.args[0].value, True
        if not isinstance(value, ir.Comprehension) or value.kind != "list":
            continue
        counted = value.element
        over = layout.text[value.generators[0].iter.start : value.generators[0].iter.end]
        is_length = isinstance(counted, ir.Call) and _last_name(counted.func) == "len"
        if not is_length or over != text:
            continue
        binding = layout.statement_at(node.start)
        if all(runs_before(binding, layout.statement_at(row.start)) for row in rows):
            return target.id if is_tensor else f"{{torch.tensor}}({target.id})"
    return None


def _counted(layout: Layout, scope: Scope, source: ir.Expr) -> str:
    """`[len(x) for x in sequences]`"""
    text = layout.text[source.start : source.end]
    if isinstance(source, ir.Name):
        if not _can_be_read_twice(scope, source.id):
            raise CannotPlaceError("the sequences may be read once only")
        item = "x" if source.id != "x" else "sequence"
        return f"[len({item}) for {item} in {text}]"
    if not isinstance(source, ir.Comprehension) or source.kind not in ("list", "generator"):
        raise CannotPlaceError("the sequences before the padding have no name")
    element = source.element
    if isinstance(element, ir.Call) and _last_name(element.func) in _MADE_FROM and element.args:
        element = element.args[0].value
    clauses = layout.text[source.element.end : source.generators[-1].end].strip(" )")
    counted = layout.text[element.start : element.end]
    if "\n" in clauses or "\n" in counted:
        raise CannotPlaceError("the sequences before the padding stretch over several lines")
    return f"[len({counted}) {clauses}]"


def _can_be_read_twice(scope: Scope, name: str) -> bool:
    """Whether a name surely stands for a list or tuple, not for what is used up by reading."""
    if scope.parameter(name) is not None and scope.bindings(name) == 1:
        return True
    found = False
    for node in ir.nodes_in(scope.body):
        if not isinstance(node, ir.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ir.Name) and target.id == name:
                found = True
                if not _is_kept(node.value):
                    return False
            elif any(isinstance(one, ir.Name) and one.id == name for one in ir.nodes_in(target)):
                found = True  # what is unpacked from `zip(*batch)` is a tuple
    return found


def _is_kept(value: ir.Expr | None) -> bool:
    if isinstance(value, ir.Call):
        return _last_name(value.func) in ("list", "tuple", "sorted", *_PADS)
    return isinstance(value, (ir.Sequence, ir.Comprehension)) and not (
        isinstance(value, ir.Comprehension) and value.kind == "generator"
    )


_PADS = ("pad_sequence",)


def _own_statements(body: tuple[ir.Stmt, ...]) -> Iterator[ir.Node]:
    """The statements of a function, without those of functions in it."""
    waiting: list[object] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ir.FunctionDef, ir.ClassDef, ir.Lambda)):
            continue
        if isinstance(node, ir.Node):
            yield node
            waiting.extend(getattr(node, name) for name in node.__struct_fields__)
        elif isinstance(node, tuple):
            waiting.extend(node)


def _known_uses(scope: Scope, name: str, size: int) -> Iterator[tuple[int, int]]:
    """Where a batch is indexed from the front, or unpacked."""
    for node in ir.nodes_in(scope.body):
        if isinstance(node, ir.Subscript) and _is_name(node.value, name):
            index = node.index[0] if len(node.index) == 1 else None
            number = index.value if isinstance(index, ir.Const) else None
            if isinstance(number, int) and 0 <= number < size:
                yield node.value.start, node.value.end
        elif isinstance(node, ir.Assign) and _is_name(node.value, name):
            whole = all(isinstance(target, ir.Sequence) for target in node.targets)
            if whole and node.value is not None:
                yield node.value.start, node.value.end
        elif isinstance(node, ir.Assign):
            for target in node.targets:
                if _is_name(target, name):
                    yield target.start, target.end


def _is_name(node: object, name: str) -> bool:
    return isinstance(node, ir.Name) and node.id == name


def _appended(path: str, layout: Layout, row: ir.Sequence, code: str) -> operations.Replace:
    """One more element of a tuple or list."""
    last = row.elements[-1]
    closed = _CLOSED.match(layout.text, last.end, row.end)
    end = last.end if closed is None else closed.end()
    while layout.text.count("(", row.start, end) < layout.text.count(")", row.start, end):
        end = layout.text.rindex(")", last.end, end)
    if layout.text.startswith("(", row.start) and end == row.end:
        end = layout.text.rindex(")", last.end, end)
    text = layout.text[last.start : end].rstrip(" ,")
    return operations.Replace(path, last.start, end, f"{text}, {code}")


def _last_name(function: ir.Expr) -> str:
    if isinstance(function, ir.Attribute):
        return function.attr
    return function.id if isinstance(function, ir.Name) else ""
