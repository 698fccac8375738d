"""A file of findings that are known, so that only new ones are reported.

Findings are recognised by their rule, their file and the text of their line, whichever number
the line has.  Equal ones are counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from rnnlint.diagnostic import Diagnostic
from rnnlint.project.config import ConfigError
from rnnlint.reporting.fingerprints import Excerpts, Identity, identity

Known = Counter[Identity]
"""How many findings with each identity are known; paths are relative to the baseline's folder."""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    path: str
    code: str
    line: str
    count: int = 1


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    findings: tuple[_Entry, ...]


def read(file: Path) -> Known:
    """Read a baseline.

    Raises:
        ConfigError: there is none, or it is not what rnnlint writes.
    """
    where = os.path.relpath(file)
    try:
        stored = msgspec.json.decode(file.read_bytes(), type=_File)
    except FileNotFoundError as error:
        raise ConfigError(
            f"the baseline {where} does not exist; write it with --write-baseline"
        ) from error
    except OSError as error:
        raise ConfigError(f"the baseline {where} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{where} is not a baseline ({error}); name another file, or write it anew with "
            "--write-baseline once it is out of the way"
        ) from error
    known: Known = Counter()
    for entry in stored.findings:
        known[Identity(entry.path, entry.code, entry.line)] += entry.count
    return known


def write(file: Path, known: Known) -> None:
    """Write a baseline, one finding a line, so that versions of it can be merged.

    Raises:
        ConfigError: it cannot be written.
    """
    entries = [
        _Entry(same.path, same.code, same.line, known[same])
        for same in sorted(known)
        if known[same]
    ]
    lines = ",\n".join(f"    {msgspec.json.encode(entry).decode()}" for entry in entries)
    inside = f"\n{lines}\n  " if lines else ""
    text = f'{{\n  "version": 1,\n  "findings": [{inside}]\n}}\n'
    beside = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigError(
            f"cannot write the baseline {os.path.relpath(file)}: {error.strerror}; name another"
        ) from error


def identities(
    diagnostics: Iterable[Diagnostic], excerpts: Excerpts, root: Path, folder: Path
) -> list[Identity]:
    """What findings of a project are recognised by, seen from the folder of a baseline."""
    way = Path(os.path.relpath(root, folder))
    return [_moved(identity(each, excerpts), way) for each in diagnostics]


def split(
    diagnostics: Sequence[Diagnostic], identities: Sequence[Identity], known: Known
) -> tuple[list[Diagnostic], Known]:
    """The findings that are new, in their order, and what of the known ones was not found.

    Of equal findings the first ones of the file are the known ones.
    """
    left = Counter(known)
    new: set[int] = set()
    for index in sorted(range(len(diagnostics)), key=lambda at: diagnostics[at].sort_key):
        if left[identities[index]] > 0:
            left[identities[index]] -= 1
        else:
            new.add(index)
    return [each for index, each in enumerate(diagnostics) if index in new], +left


def _moved(same: Identity, way: Path) -> Identity:
    path = Path(os.path.normpath(way / same.path)).as_posix()
    return msgspec.structs.replace(same, path=path)
