"""Lengths that some code can name, and how a repair writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from rnnlint.fixing import operations
from rnnlint.fixing.bindings import binds
from rnnlint.fixing.layout import Layout, Statement
from rnnlint.fixing.scopes import Scope, chain_to, origins, runs_before
from rnnlint.lowering import ir
from rnnlint.semantics import lengths, naming, values
from rnnlint.semantics.values import Place, Tensor, Value

_SAYS_LENGTHS = re.compile(r"(?i)(.*_)?(lens|lengths|seq_?lens|len_\w+|\w+_lens?)")
_SAYS_BOUND = re.compile(r"(?i)(.*_)?(max|min|seq|total|fixed|num|n)_?len(gth)?")
_SAYS_MASK = re.compile(r"(?i)(.*_)?masks?")
_UNNAMED = re.compile(r"_+")


class Told(msgspec.Struct, frozen=True):
    """The lengths as the code around the layer can name them."""

    lengths: str
    """A tensor of lengths, on any device."""
    counts: str
    """The same, where none is zero."""
    for_packing: str
    """The same for `pack_padded_sequence`: on the CPU."""
    before: tuple[operations.AnyOperation, ...] = ()
    """What makes them known."""
    is_certain: bool = False
    """Whether they are the lengths of this batch beyond doubt, and a tensor."""


def named(name: str, *, is_list: bool = False, is_certain: bool = False) -> Told:
    """Lengths that have a name."""
    if is_list:
        tensor = f"{{torch.tensor}}({name})"
        return Told(tensor, tensor, name)
    counts = f"{name}.clamp(min=1)"
    return Told(name, counts, f"{counts}.cpu()", is_certain=is_certain)


class Around:
    """The code around one place, and what its names stand for whenever it runs.

    Args:
        layout: the layout of the file.
        statement: the statement.
        path: the file.
        offset: the place.
        scopes: what the names stood for, each time.
    """

    def __init__(
        self,
        layout: Layout,
        path: str,
        offset: int,
        statement: Statement,
        scopes: Sequence[naming.Scope],
    ) -> None:
        self.offset = offset
        self.layout = layout
        self.path = path
        self.statement = statement
        self.scopes = scopes
        self.scope = Scope(layout, statement)

    def lengths(self, value: ir.Node) -> Told | None:
        """The lengths of a batch, by what the names here stand for, else by what they say."""
        if self.is_cut(value):
            return None
        rows = self.taken_rows(value)
        if rows is not None:
            return self._of_rows(rows, self.words(value))
        hint = self.words(value)
        certain = list(self._named(hint))
        if certain:
            names = [name for name, _ in certain]
            # What unpacking gives back beside the output is often called `_`.
            chosen = _nearest([one for one in names if not _UNNAMED.fullmatch(one)] or names, hint)
            if chosen is None:
                return None
            return self._told(chosen, dict(certain)[chosen], is_alone=len(certain) == 1)
        return self._in_dict(value) or self._mask() or self._counted(value) or self._said(hint)

    # --- some rows of all ---

    def is_cut(self, value: ir.Node) -> bool:
        """Whether it has but some steps of its batch: `targets[:, :-1]`."""
        return any(
            isinstance(self._part(node, batch.time_axis), ir.Slice)
            for batch, node in self._indexed(value)
        )

    def taken_rows(self, value: ir.Node) -> ir.Expr | None:
        """The index that takes it out of a larger batch: `x[i : i + 32]`."""
        for batch, node in self._indexed(value):
            part = self._part(node, batch.batch_axis)
            index = self.scopes[0].value(self.text(part)) if part is not None else None
            sorts = isinstance(index, Tensor) and index.order in ("permutation", "inverse")
            if part is not None and not sorts:
                return part
        return None

    def _indexed(self, value: ir.Node) -> Iterator[tuple[Tensor, ir.Subscript]]:
        """Where a padded batch is indexed among the expressions of which a value is made."""
        for node in ir.nodes_in(tuple(self.origins(value))):
            if isinstance(node, ir.Subscript) and self.scopes:
                known = self.scopes[0].value(self.text(node.value))
                if isinstance(known, Tensor) and known.padding is not None:
                    yield known, node

    def _part(self, node: ir.Subscript, axis: int | None) -> ir.Expr | None:
        """What an index takes of an axis, if not all of it."""
        part = node.index[axis] if axis is not None and axis < len(node.index) else None
        is_whole = isinstance(part, ir.Slice) and part.lower is None and part.upper is None
        return None if is_whole else part

    def _of_rows(self, rows: ir.Expr, hint: str) -> Told | None:
        """The lengths of these rows: they have a name, or the lengths of all are indexed alike."""
        known = dict(self._named(hint))
        near = [name for name in known if self._is_taken_by(name, rows)]
        chosen = _nearest(near or list(known), hint)
        if chosen is None or _UNNAMED.fullmatch(chosen):
            return None
        is_list = not isinstance(known[chosen], Tensor)
        if near:
            return named(chosen, is_list=is_list)
        index = self.scopes[0].value(self.text(rows))
        if not isinstance(rows, ir.Slice) and (is_list or not isinstance(index, Tensor)):
            return None
        return named(f"{chosen}[{self.text(rows)}]", is_list=is_list)

    def _is_taken_by(self, name: str, rows: ir.Expr) -> bool:
        """Whether what a name stands for was taken out of more by the same index."""
        node = self.binding(name)
        value = node.value if isinstance(node, ir.Assign) else None
        made_of = self.origins(value) if value is not None else []
        return any(
            isinstance(one, ir.Subscript) and self.text(rows) in map(self.text, one.index)
            for one in ir.nodes_in(tuple(made_of))
        )

    # --- where they are known ---

    def _in_dict(self, value: ir.Node) -> Told | None:
        """`batch["lengths"]`, where the batch is a dict and the value comes out of it."""
        for node in ir.nodes_in(tuple(self.origins(value))):
            owner = node.value if isinstance(node, ir.Subscript) else None
            key = node.index[0] if isinstance(node, ir.Subscript) else None
            if not isinstance(owner, ir.Name) or not self.is_bound(owner.id):
                continue
            if not isinstance(key, ir.Const) or not isinstance(key.value, str):
                continue
            keys = self._keys_of_lengths(owner.id)
            chosen = _nearest(keys, key.value)
            if chosen is not None:
                quote = self.layout.text[key.end - 1]
                is_certain = len(keys) == 1 and _says_lengths(chosen)
                return named(f"{owner.id}[{quote}{chosen}{quote}]", is_certain=is_certain)
        return None

    def _keys_of_lengths(self, name: str) -> list[str]:
        """The keys under which a dict surely holds the lengths of its batch."""
        found: list[set[str]] = []
        for scope in self.scopes:
            known = scope.value(name)
            entries = known.fields["entries"] if isinstance(known, values.DictObject) else {}
            found.append({
                key
                for key, one in entries.items()
                if isinstance(key, str) and isinstance(one, Tensor) and one.lengths
            })  # fmt: skip
        return sorted(set.intersection(*found)) if found else []

    def node(self, value: Place) -> ir.Node | None:
        """The expression of the statement that lies exactly there."""
        chain = chain_to(self.statement.node, value.start, value.end)
        return chain[-1] if chain else None

    def text(self, value: ir.Node) -> str:
        """How an expression is written."""
        return self.layout.text[value.start : value.end]

    def words(self, value: ir.Node) -> str:
        """The names of what a value is made of, as a hint at what its lengths are called."""
        made_of = tuple(self.origins(value))
        names = {one.id: None for one in ir.nodes_in(made_of) if isinstance(one, ir.Name)}
        return " ".join(names)

    def origins(self, value: ir.Node) -> list[ir.Node]:
        """The expressions of which a value is made."""
        return origins(self.scope, value, self.statement.node.start)

    def _named(self, hint: str) -> Iterator[tuple[str, Value]]:
        for name in self.names_of(_is_lengths):
            given = [scope.value(name) for scope in self.scopes]
            if _SAYS_MASK.fullmatch(name):
                continue
            is_list = any(isinstance(one, values.ListObject) for one in given)
            if is_list and not (_says_lengths(name) or self._is_beside(name, hint)):
                continue
            if self.is_bound(name) and given[0] is not None:
                yield name, given[0]

    def names_of(self, is_wanted: Callable[[Value], bool]) -> Iterator[str]:
        """The names without a dot that have a wanted value on every way to the place."""
        for name in self.scopes[0].names_of(is_wanted) if self.scopes else ():
            given = [scope.value(name) for scope in self.scopes]
            if "." not in name and all(one is not None and is_wanted(one) for one in given):
                yield name

    def is_bound(self, name: str) -> bool:
        """Whether a name surely has its value when the statement runs."""
        parameter = self.scope.parameter(name)
        if parameter is not None and parameter.kind in ("positional", "keyword-only"):
            return parameter.default is None
        return self._generated(name) is not None or self.binding(name) is not None

    def _generated(self, name: str) -> ir.Expr | None:
        """The target of a comprehension around the place that binds a name."""
        for node in ir.nodes_in((self.statement.node,)):
            if isinstance(node, ir.Comprehension) and node.start <= self.offset < node.end:
                for one in node.generators:
                    bound = {n.id for n in ir.nodes_in(one.target) if isinstance(n, ir.Name)}
                    if name in bound:
                        return one.target
        return None

    def binding(self, name: str) -> ir.Stmt | None:
        """The statement that last binds a name before the statement runs."""
        found: list[ir.Stmt] = []
        for node in self.scope.nodes():
            if not isinstance(node, (ir.Assign, ir.For, ir.With)) or not binds(node, name):
                continue
            if any(parent is node for parent in self.statement.parents):
                found.append(node)
                continue
            binding = self.layout.statement_at(node.start)
            if binding.node is node and runs_before(binding, self.statement):
                found.append(node)
        return max(found, key=lambda one: one.start, default=None)

    def _is_beside(self, name: str, hint: str) -> bool:
        """Whether a name comes out of one tuple with the batch."""
        targets = self._targets(name)
        bound = {one.id for one in ir.nodes_in(targets) if isinstance(one, ir.Name)}
        return not bound.isdisjoint(hint.split())

    def _targets(self, name: str) -> tuple[ir.Expr, ...]:
        """The targets that bind a name before the statement runs."""
        generated = self._generated(name)
        if generated is not None:
            return (generated,)
        node = self.binding(name)
        if isinstance(node, ir.For):
            return (node.target,)
        return node.targets if isinstance(node, ir.Assign) else ()

    def _told(self, name: str, value: Value, *, is_alone: bool) -> Told | None:
        is_list = not isinstance(value, Tensor)
        if not _UNNAMED.fullmatch(name):
            return named(name, is_list=is_list, is_certain=is_alone and _says_lengths(name))
        target = self._unnamed(name)
        if target is None:
            return None
        fresh = self.scope.fresh("lengths", "seq_lengths")
        told = named(fresh, is_list=is_list)
        renamed = operations.Replace(self.path, target.start, target.end, fresh)
        return msgspec.structs.replace(told, before=(renamed,))

    def _unnamed(self, name: str) -> ir.Name | None:
        """Where `_` is bound, if that is one place of one target."""
        targets = self._targets(name)
        found = [one for one in ir.nodes_in(targets) if isinstance(one, ir.Name) and one.id == name]
        return found[0] if len(found) == 1 else None

    # --- masks ---

    def _mask(self) -> Told | None:
        """`attention_mask`: 1 on real tokens."""
        for name in self.names_of(_is_attention_mask):
            if name.endswith("mask") and self.is_bound(name):
                return self._introduced(f"{name}.sum(dim=1)")
        return None

    def _counted(self, value: ir.Node) -> Told | None:
        """Where the function counts a mask elsewhere: `torch.sum(masks, dim=1)`."""
        for node in self.scope.nodes():
            mask = _summed_mask(node) if isinstance(node, ir.Call) else None
            if mask is None or not isinstance(node, ir.Call):
                continue
            code = self.layout.text[node.start : node.end]
            if self.is_bound(mask):
                return self._introduced(code)
            parameter = self.scope.parameter(mask)
            is_given = all(scope.value(mask) != values.NONE for scope in self.scopes)
            if parameter is not None and self.scope.bindings(mask) == 1 and is_given:
                if not isinstance(value, ir.Name):
                    continue
                whole = f"{{torch.full}}(({value.id}.size(0),), {value.id}.size(1))"
                return self._introduced(f"{code} if {mask} is not None else {whole}")
        return None

    def _introduced(self, code: str) -> Told:
        """Lengths that get a name before the statement."""
        fresh = self.scope.fresh("lengths", "seq_lengths")
        line = operations.Insert(
            self.path, self.statement.node.start, self.statement.node.end,
            (f"{fresh} = {code}",), "before",
        )  # fmt: skip
        return msgspec.structs.replace(named(fresh), before=(line,))

    # --- names ---

    def _said(self, hint: str) -> Told | None:
        """Where a name says that it is the lengths, and nothing else is known of it."""
        if not self.scopes:
            return None
        found = [
            name
            for name in self.scope.names()
            if _says_lengths(name)
            and self.is_bound(name)
            and all(_may_be_lengths(scope.value(name)) for scope in self.scopes)
        ]
        chosen = _nearest(sorted(found), hint)
        if chosen is None:
            return None
        tensor = f"{{torch.as_tensor}}({chosen})"
        counts = f"{tensor}.clamp(min=1)"
        return Told(tensor, counts, f"{counts}.cpu()")


def _is_lengths(value: Value) -> bool:
    return value.lengths if isinstance(value, Tensor) else lengths.is_list(value)


def _is_attention_mask(value: Value) -> bool:
    return isinstance(value, Tensor) and value.mask and value.batch_axis == 0


def _may_be_lengths(value: Value | None) -> bool:
    if value is None or isinstance(value, values.Unknown):
        return True
    return isinstance(value, Tensor) and not value.calls and value.padding is None


def _says_lengths(name: str) -> bool:
    return bool(_SAYS_LENGTHS.fullmatch(name)) and not _SAYS_BOUND.fullmatch(name)


def _summed_mask(node: ir.Call) -> str | None:
    """The mask in `masks.sum(dim=1)` or `torch.sum(masks, dim=1)`."""
    function = node.func
    if not isinstance(function, ir.Attribute) or function.attr != "sum":
        return None
    arguments = [one.value for one in node.args if one.keyword is None and not one.star]
    by_name = {one.keyword: one.value for one in node.args if one.keyword is not None}
    source: ir.Expr = function.value
    if isinstance(source, ir.Name) and source.id == "torch" and arguments:
        source, *arguments = arguments
    axis = by_name.pop("dim", None) or (arguments.pop(0) if arguments else None)
    over_time = ir.integer(axis) in (1, -1)
    if arguments or by_name or not over_time or not isinstance(source, ir.Name):
        return None
    return source.id if _SAYS_MASK.fullmatch(source.id) else None


def _nearest(names: Sequence[str], hint: str) -> str | None:
    """The name that has most in common with that of the batch; None where several have."""
    if len(names) <= 1:
        return names[0] if names else None
    wanted = set(_words(hint))
    scored = sorted(((len(wanted & set(_words(name))), name) for name in names), reverse=True)
    return scored[0][1] if scored[0][0] > scored[1][0] else None


def _words(name: str) -> Iterable[str]:
    return (word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name))


def at(layout: Layout, path: str, offset: int, scopes: Sequence[naming.Scope]) -> Around:
    """The code around an offset.

    Raises:
        CannotPlaceError: there is no statement.
    """
    return Around(layout, path, offset, layout.statement_at(offset), scopes)
