"""What library calls mean, as data: one table a library.

A table maps dotted names to `Entry` values.  An entry names one of the interpreter's
effects and carries what the effect needs to know: the class's parameters in order, the
name of a loss.  Teaching rnnlint a new framework means adding a table here.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """The meaning of one library name."""

    effect: str
    kind: str = ""
    parameters: tuple[str, ...] = ()


Table = dict[str, Entry]


def entries(effect: str, names: str, prefix: str = "", parameters: str = "") -> Table:
    """One entry for each of `names`, whose kind is the name itself."""
    given = tuple(parameters.split())
    return {f"{prefix}{name}": Entry(effect, name, given) for name in names.split()}


def _load() -> tuple[Table, dict[str, str]]:
    from rnnlint.semantics.catalogue import (
        accelerate,
        allennlp,
        companion,
        fastai,
        ignite,
        lightning,
        numeric,
        skorch,
        torch,
        torchtext,
        transformers,
    )

    table: Table = {}
    aliases: dict[str, str] = {}
    for library in (
        torch, lightning, transformers, accelerate, ignite, fastai, skorch, torchtext, numeric,
        allennlp, companion,
    ):  # fmt: skip
        table.update(library.TABLE)
        aliases.update(library.ALIASES)
    return table, aliases


TABLE, ALIASES = _load()
"""All entries, and the prefixes by which a library's names are also known."""


@lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """The name under which a library object is listed."""
    for prefix in _prefixes(name):
        replaced = ALIASES.get(prefix)
        if replaced is not None:
            return canonical(replaced + name[len(prefix) :])
    return name


def _prefixes(name: str) -> list[str]:
    """`a.b.c` -> ["a.b.c", "a.b", "a"]"""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def find(name: str) -> Entry | None:
    """The entry of a library name, through its aliases."""
    entry = TABLE.get(name)
    if entry is not None:
        return entry
    return TABLE.get(canonical(name))
