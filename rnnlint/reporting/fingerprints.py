"""What tells a finding from others, and stays the same when its line moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec

from rnnlint.diagnostic import Diagnostic
from rnnlint.reporting.report import excerpt_key

Excerpts = Mapping[str, Mapping[int, str]]


class Identity(msgspec.Struct, frozen=True, order=True):
    """What is the same of a finding wherever its line stands; equal findings share it."""

    path: str
    code: str
    line: str
    """The text of the line, without regard to its indentation and spacing."""


def identity(diagnostic: Diagnostic, excerpts: Excerpts) -> Identity:
    """What a finding is recognised by, however the lines around it change."""
    span = diagnostic.span
    text = excerpts.get(excerpt_key(span), {}).get(span.location.row, "")
    return Identity(span.path, diagnostic.code, " ".join(text.split()))


def fingerprints(diagnostics: Sequence[Diagnostic], excerpts: Excerpts) -> list[str]:
    """A name for each finding, in their order, that no other one of them has.

    Findings with the same identity are told apart by which of them comes first in the file.
    """
    seen: Counter[Identity] = Counter()
    names: dict[int, str] = {}
    for index in sorted(range(len(diagnostics)), key=lambda at: diagnostics[at].sort_key):
        same = identity(diagnostics[index], excerpts)
        names[index] = _digest(same, seen[same])
        seen[same] += 1
    return [names[index] for index in range(len(diagnostics))]


def _digest(same: Identity, number: int) -> str:
    parts = (same.path, same.code, same.line, str(number))
    return blake2b("\0".join(parts).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
