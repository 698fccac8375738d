"""Path patterns: those of `.gitignore` files and of the settings.

Both use git's syntax, and are asked as git asks them: of each folder on the way to a file, and
then of the file.  What a pattern says of a folder decides nothing about what is in it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from rnnlint.project.wildmatch import escaped, translated

_SPECIAL = frozenset("*?[]!/\\# ")


class Patterns:
    """The patterns of one file, relative to that file's folder; the last that matches decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = tuple(lines)
        self._compiled: dict[bool, tuple[tuple[bool, re.Pattern[str]], ...]] = {}

    def decide(self, path: str, is_folder: bool) -> bool | None:
        """True when `path` is matched, False when a `!pattern` takes it back, None for neither."""
        compiled = self._compiled.get(is_folder)
        if compiled is None:
            compiled = self._compiled[is_folder] = _compile(self._lines, is_folder)
        for excludes, expression in compiled:
            if expression.fullmatch(path):
                return excludes
        return None

    def covers(self, path: str) -> bool:
        """Whether a file or a folder around it is matched."""
        parts = path.split("/")
        folders = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return any(self.decide(folder, True) for folder in folders) or bool(
            self.decide(path, False)
        )


class Exclusions:
    """The `exclude` globs of the settings, asked with paths relative to the project root."""

    def __init__(self, globs: Iterable[str], directory: Path, root: Path) -> None:
        plain: set[str] = set()
        others: list[str] = []
        for glob in globs:
            name = glob[:-1] if glob.endswith("/") else glob
            if name and _SPECIAL.isdisjoint(name):
                plain.add(name)
            else:
                others.append(glob)
        self._names = frozenset(plain)
        self._others = Patterns(others) if others else None
        self._rebase = rebasing(root, directory)

    def match(self, path: str, is_folder: bool) -> bool:
        """Whether `path` itself is excluded (its parent folders are not looked at)."""
        if path.rpartition("/")[2] in self._names:
            return True
        if self._others is None:
            return False
        rebased = self._rebase(path)
        return rebased is not None and self._others.decide(rebased, is_folder) is True


def rebasing(root: Path, directory: Path) -> Callable[[str], str | None]:
    """A function from paths relative to `root` to paths relative to `directory`.

    It gives None for paths outside `directory`.
    """
    origin, target = root.as_posix(), directory.as_posix()
    if origin == target:
        return lambda path: path
    base = target.rstrip("/") + "/"

    def rebase(path: str) -> str | None:
        absolute = posixpath.join(origin, path)
        return absolute[len(base) :] if absolute.startswith(base) else None

    return rebase


def per_file_ignores(
    ignores: Mapping[str, tuple[str, ...]], directory: Path, root: Path
) -> Callable[[str], frozenset[str]]:
    """A function that gives the codes which the settings ignore in a file.

    Its argument is a path relative to the project root.  A glob that starts with `!` stands for
    all files that it does not match.
    """
    rebase = rebasing(root, directory)
    entries = [
        (Patterns([glob.removeprefix("!")]), glob.startswith("!"), frozenset(codes))
        for glob, codes in ignores.items()
    ]

    def ignored(path: str) -> frozenset[str]:
        rebased = rebase(path) if entries else None
        found: frozenset[str] = frozenset()
        for patterns, negated, codes in entries:
            matched = rebased is not None and patterns.covers(rebased)
            if matched != negated:
                found |= codes
        return found

    return ignored


def moved(glob: str, origin: Path, target: Path) -> str | None:
    """A glob relative to the folder `origin` as one relative to `target`.

    A glob without a slash holds at every depth, wherever it stands.  None is for one that can
    match nothing in `target`.
    """
    body = glob.removeprefix("!")
    if origin == target or "/" not in body[:-1]:
        return glob
    segments = body.removeprefix("/").split("/")
    if target in origin.parents:
        segments = [*map(escaped, origin.relative_to(target).parts), *segments]
    elif origin in target.parents:
        seen = _seen_from_below(segments, target.relative_to(origin).parts)
        if seen is None:
            return None
        segments = seen
    else:
        return None
    return f"{glob[: len(glob) - len(body)]}/{'/'.join(segments)}"


def _seen_from_below(segments: list[str], folders: Sequence[str]) -> list[str] | None:
    """What is left of a glob in a folder below its own."""
    for depth, folder in enumerate(folders):
        if segments[depth] == "**":
            return segments[depth:]
        if not Patterns(["/" + segments[depth]]).decide(folder, True):
            return None
        if segments[depth + 1 :] in ([], [""]):
            return ["**"]  # it matches a folder around, and so all there is
    return segments[len(folders) :]


def _compile(lines: tuple[str, ...], for_folders: bool) -> tuple[tuple[bool, re.Pattern[str]], ...]:
    """Fold neighbouring patterns of one sign into one expression each, last patterns first."""
    groups: list[tuple[bool, list[str]]] = []
    for pattern in filter(None, map(translated, reversed(lines))):
        if pattern.folders_only and not for_folders:
            continue
        if not groups or groups[-1][0] is not pattern.excludes:
            groups.append((pattern.excludes, []))
        groups[-1][1].append(pattern.expression)
    return tuple((excludes, re.compile("|".join(parts), re.DOTALL)) for excludes, parts in groups)
