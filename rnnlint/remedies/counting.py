"""Lengths that are counted from ids: how many of a sequence are not padding."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from rnnlint.fixing import operations
from rnnlint.fixing.code import Code
from rnnlint.fixing.layout import Layout, Statement
from rnnlint.fixing.scopes import Scope, chain_to, origins, runs_before
from rnnlint.lowering import ir
from rnnlint.remedies.told import Told
from rnnlint.semantics import modules, values
from rnnlint.semantics.passages import Lookup
from rnnlint.semantics.values import Place

_REPEATABLE = re.compile(r"[A-Za-z_][\w.]*(?:\.(?:t|long|int|clone|contiguous)\(\))*")
_TO_LONG = re.compile(r"\.(?:long|int|clone|contiguous)\(\)")
_TEXT_FIELD = "this Field pads every batch"
_KEEP_AN_ID = (
    "Albert", "Bert", "Camembert", "DistilBert", "Electra", "Longformer", "MPNet", "Roberta",
    "XLMRoberta",
)  # fmt: skip
"""Pretrained models that were trained with padding: others have no id for it (GPT-2), or may not
(whatever `AutoModel` loads)."""


def counted(
    code: Code,
    lookups: Collection[Lookup],
    value: Place,
    known: dict[str, str] | None = None,
) -> Told | None:
    """Lengths counted in the function around a value, from the ids that it was looked up by.

    Args:
        code: the project.
        lookups: where embeddings look padded ids up.
        value: what the layer runs over, or what is handed on to it.
        known: names of lengths that are counted already, by their ids; one more is added.
    """
    known = {} if known is None else known
    layout = code.layout(value.path)
    here = layout.statement_at(value.start)
    scope = Scope(layout, here)
    chain = chain_to(here.node, value.start, value.end)
    if not chain:
        return None
    found: dict[str, Told] = {}
    made_of = origins(scope, chain[-1], here.node.start)
    calls = {(one.start, one.end) for whole in made_of for one in ir.nodes_in(whole)}
    for lookup in lookups:
        if lookup.place.path != value.path:
            continue
        if (lookup.place.start, lookup.place.end) in calls:
            several = sum(one.place.path == value.path for one in lookups) > 1
            told = _from_lookup(layout, scope, lookup, here, known, several=several)
            if told is None:
                return None
            found[told[0]] = told[1]
    if len(found) != 1:
        return None
    ((ids, only),) = found.items()
    known[f"{value.path}: {ids}"] = only.lengths
    return only


def _from_lookup(
    layout: Layout,
    scope: Scope,
    lookup: Lookup,
    here: Statement,
    known: dict[str, str],
    *,
    several: bool,
) -> tuple[str, Told] | None:
    """The ids, and the lengths that are counted from them."""
    there = layout.statement_at(lookup.place.start)
    if Scope(layout, there).node is not scope.node:
        return None
    if there.node is not here.node and not runs_before(there, here):
        return None
    if not isinstance(there.node, (ir.Assign, ir.Return, ir.ExprStmt)):
        return None
    chain = chain_to(there.node, lookup.place.start, lookup.place.end)
    call = chain[-1] if chain else None
    if not isinstance(call, ir.Call) or len(call.args) != 1 or call.args[0].star:
        return None
    ids = layout.text[call.args[0].value.start : call.args[0].value.end]
    padding_id = _padding_id(layout, lookup, call)
    batch_axis = lookup.ids.batch_axis
    if padding_id is None or batch_axis is None or not _REPEATABLE.fullmatch(ids):
        return None
    ids = _TO_LONG.sub("", ids)
    counted_already = known.get(f"{lookup.place.path}: {ids}")
    if counted_already is not None:
        name = counted_already
        return ids, Told(name, name, f"{name}.cpu()")
    own = f"{re.findall(r'[A-Za-z_]+', ids)[-1]}_lengths"
    wanted = (own,) if several else ("lengths", own)
    name = scope.fresh(*wanted, "seq_lengths", besides=set(known.values()))
    line = f"{name} = ({ids} != {padding_id}).sum(dim={1 - batch_axis}).clamp(min=1)"
    if padding_id.isdecimal():
        line += f"  # {padding_id} is the id of padding"
    inserted = operations.Insert(
        lookup.place.path, there.node.start, there.node.end, (line,), "before"
    )
    return ids, Told(name, name, f"{name}.cpu()", before=(inserted,))


def _padding_id(layout: Layout, lookup: Lookup, call: ir.Call) -> str | None:
    """Code for the id of padding, where it is surely no token's.

    An embedding with a row for padding says which it is, and so does the configuration of a
    pretrained model.  A Field keeps an id for it.
    """
    padding, embedding = lookup.ids.padding, lookup.embedding
    if padding is None:
        return None
    function = layout.text[call.func.start : call.func.end]
    if isinstance(embedding, values.Thing):
        is_set = embedding.name.startswith(_KEEP_AN_ID)
        return f"{function}.config.pad_token_id" if is_set else None
    filler = padding.filler if isinstance(padding.filler, values.Const) else None
    own = modules.option(embedding, "padding_idx")
    if "padding_idx" in embedding.options and own != values.NONE:
        if isinstance(own, values.Const) and filler is not None and own.value != filler.value:
            return None
        return f"{function}.padding_idx"
    if filler is None or not _is_reserved(padding.steps):
        return None
    return str(filler.value) if isinstance(filler.value, int) else None


def _is_reserved(steps: Iterable[values.Step]) -> bool:
    return any(step.words == _TEXT_FIELD for step in steps)
