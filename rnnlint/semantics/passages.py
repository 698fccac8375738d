"""The ways that padded batches take: who calls whom with them, and which names hold them.

A repair that tells a layer where its sequences end has to hand the lengths along the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rnnlint.lowering import ir
from rnnlint.semantics import naming, tensors, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.naming import Scope
from rnnlint.semantics.values import Place, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

MAX_VISITS = 4
"""How often the names around one call are taken down."""


class Site(msgspec.Struct):
    """A place from which a function of the project is called.

    `scopes` are the names there, once for each time that a padded batch was handed over.
    """

    place: Place
    function: values.Function
    scopes: list[Scope] = msgspec.field(default_factory=list)


class Lookup(msgspec.Struct, frozen=True):
    """An embedding, or a pretrained model, looks the ids of a padded batch up."""

    place: Place
    embedding: values.Layer | values.Thing
    ids: Tensor


class Holder(msgspec.Struct, frozen=True):
    """An assignment target, or a parameter, that is given a tuple or list with padded tensors."""

    place: Place
    items: tuple[Value, ...]


class Passages:
    """What was seen of them in one run."""

    def __init__(self) -> None:
        self._sites: dict[int, dict[Place, Site]] = {}
        self.lookups: dict[Place, Lookup] = {}
        self.holders: dict[Place, list[Holder]] = {}
        self.callees: dict[Place, dict[int, values.Function]] = {}
        """The functions that each call may lead to."""
        self.unknown: set[Place] = set()
        """Calls of what was not seen."""
        self.chained: set[Place] = set()
        """Calls of containers, which call their children with one argument."""

    def sites_of(self, node: ir.FunctionDef | ir.Lambda) -> list[Site]:
        """The places from which a function is called, as far as they were seen."""
        return list(self._sites.get(id(node), {}).values())

    def note_call(
        self, run: Interpreter, function: values.Function, arguments: Arguments, place: Place
    ) -> None:
        """Take down who calls a function of the project, and what is known there."""
        sites = self._sites.setdefault(id(function.node), {})
        site = sites.get(place)
        if site is None:
            site = sites[place] = Site(place, function)
        self.callees.setdefault(place, {})[id(function.node)] = function
        if len(site.scopes) < MAX_VISITS and any(map(_is_batch, arguments.all())):
            site.scopes.append(naming.innermost_scope(run, place.path))

    def note_lookup(
        self, embedding: values.Layer | values.Thing, ids: Tensor, place: Place
    ) -> None:
        """Take down which embedding, or which pretrained model, a padded batch goes through."""
        if ids.padding is not None:
            self.lookups[place] = Lookup(place, embedding, ids)

    def note_binding(self, place: Place, value: Value) -> None:
        """Take down which name is given a batch."""
        items = value.items if isinstance(value, values.Tuple) else None
        if isinstance(value, values.ListObject):
            items = value.fields["items"]
        if items and any(map(_is_batch, items)):
            known = self.holders.setdefault(place, [])
            if len(known) < MAX_VISITS:
                known.append(Holder(place, items))


def _is_batch(value: Value) -> bool:
    """Whether a value is, or directly holds, a padded tensor."""
    if isinstance(value, values.Thing):
        return value.kind in ("text_batch", "encoding")
    return any(tensor.padding is not None for tensor in tensors.tensors_in(value))
