"""The sift: which files of a project have to be parsed.

Parsing costs a hundred times what reading costs.  The first mesh keeps the files whose bytes
name a recurrent layer.  The second follows names, without parsing: upwards to the files that
import a recurrent class or what is built on one, through re-exports, and downwards to the files
that those import, where the data, the loops and the configuration are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from rnnlint.diagnostic import Notice
from rnnlint.project.discovery import ProjectFile
from rnnlint.project.facts import (
    Block,
    FileFacts,
    facts_of,
    mentions_name,
    mentions_training,
    module_uses,
    names_layer,
    program_bytes,
    top_level_blocks,
)
from rnnlint.project.imports import ImportGraph, ModuleImport
from rnnlint.project.notebook import NotebookError
from rnnlint.project.source import content_digest

Read = Callable[[str], "bytes | Notice"]
"""Gives the bytes of a project file, or says why it cannot."""


class FileRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The facts about a file and the state of the file that they were gathered from."""

    mtime_ns: int
    size: int
    digest: str
    facts: FileFacts


class SiftResult(msgspec.Struct, frozen=True):
    """What passed the sift, and what the next run may reuse."""

    selected: tuple[str, ...]
    """The files to parse, in the order of their paths."""
    reasons: dict[str, str]
    """Why each of them was selected, in words."""
    recurrent: tuple[str, ...]
    """Those of them that name a recurrent layer themselves."""
    records: dict[str, FileRecord]
    notices: tuple[Notice, ...]


def sift(
    files: Sequence[ProjectFile], read: Read, known: Mapping[str, FileRecord] | None = None
) -> SiftResult:
    """Select the files that have to be parsed.

    `known` holds the records of an earlier run: files with an unchanged stamp are not read.
    """
    records, notices = survey(files, read, known or {})
    recurrent = sorted(path for path, record in records.items() if record.facts.recurrent)
    reasons = dict.fromkeys(recurrent, "names a recurrent layer")
    if recurrent:
        graph = ImportGraph(file.path for file in files)
        programs = _Programs(read)
        importers = _Upwards(records, graph, programs).follow(recurrent)
        reasons.update((path, why) for path, why in importers.items() if path not in reasons)
        imported = _Downwards(records, graph, programs).follow(sorted(reasons))
        reasons.update((path, why) for path, why in imported.items() if path not in reasons)
    return SiftResult(
        selected=tuple(sorted(reasons)),
        reasons=dict(sorted(reasons.items())),
        recurrent=tuple(recurrent),
        records=records,
        notices=tuple(notices),
    )


def survey(
    files: Iterable[ProjectFile], read: Read, known: Mapping[str, FileRecord]
) -> tuple[dict[str, FileRecord], list[Notice]]:
    """The record of each file that can be read, and notices about the others."""
    records: dict[str, FileRecord] = {}
    notices: list[Notice] = []
    for file in files:
        old = known.get(file.path)
        if old is None or (old.mtime_ns, old.size) != (file.mtime_ns, file.size):
            data = read(file.path)
            if isinstance(data, Notice):
                notices.append(data)
                continue
            digest = content_digest(data)
            same = old is not None and old.digest == digest
            facts = old.facts if old is not None and same else facts_of(file.path, data)
            old = FileRecord(file.mtime_ns, file.size, digest, facts)
        if old.facts.problem:
            notices.append(Notice(file.path, old.facts.problem, old.facts.problem_is_fatal))
        records[file.path] = old
    return records, notices


class _Programs:
    """The programs that the second mesh looks into, each read once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._texts: dict[str, str] = {}
        self._blocks: dict[str, tuple[Block, ...]] = {}
        self._defined: dict[str, frozenset[str]] = {}

    def text(self, path: str) -> str:
        """The program; "" when it has become unreadable since the survey."""
        text = self._texts.get(path)
        if text is None:
            data = self._read(path)
            try:
                program = b"" if isinstance(data, Notice) else program_bytes(path, data)
            except NotebookError:
                program = b""
            text = self._texts[path] = program.decode("utf-8", "replace")
        return text

    def blocks(self, path: str) -> tuple[Block, ...]:
        blocks = self._blocks.get(path)
        if blocks is None:
            blocks = self._blocks[path] = top_level_blocks(self.text(path))
        return blocks

    def defined(self, path: str) -> frozenset[str]:
        """The names that the top-level statements of a file define, imports aside."""
        names = self._defined.get(path)
        if names is None:
            found = (name for block in self.blocks(path) for name in block.names)
            names = self._defined[path] = frozenset(found)
        return names


_Uses = dict[str, dict["str | None", set[str]]]
"""Of a module held under one name: which modules below it are used, which names of them (None
for the module as a value), and what the top-level statements around those uses define."""


class _Upwards:
    """Follows recurrent names to the files that import them.

    A name is recurrent when its definition names a recurrent layer, or mentions a name that is
    recurrent already: a subclass, a factory, a training function.
    """

    def __init__(
        self, records: Mapping[str, FileRecord], graph: ImportGraph, programs: _Programs
    ) -> None:
        self._records = records
        self._graph = graph
        self._programs = programs
        self._importers = _importers(records, graph)
        self._names: dict[str, set[str]] = {}
        self._uses: dict[tuple[str, str], _Uses] = {}
        self.reasons: dict[str, str] = {}
        """The importing files, with the reason for each."""

    def follow(self, recurrent: Iterable[str]) -> dict[str, str]:
        """The importing files, with the reason for each."""
        grown = [path for path in recurrent if self._grow(path, self._seeds(path))]
        while grown:
            target = grown.pop()
            for link in self._links(target):
                gained = self._gained(link, target)
                if gained is None:
                    continue
                self.reasons.setdefault(link.importer, f"imports a recurrent name from {target}")
                if self._grow(link.importer, gained):
                    grown.append(link.importer)
        return self.reasons

    def _links(self, target: str) -> Iterator[_Link]:
        """The imports through which names of `target` can be reached."""
        yield from self._importers.get(target, ())
        folder = target.rpartition("/")[0]
        while True:
            # `import package` reaches `package.module.Name`.
            for package in (f"{folder}/__init__.py", f"{folder}/"):
                if package != target:
                    links = self._importers.get(package, ())
                    yield from (link for link in links if link.handle is not None)
            if not folder:
                return
            folder = folder.rpartition("/")[0]

    def _seeds(self, path: str) -> set[str]:
        """The names whose definitions name a recurrent layer themselves."""
        seeds = {
            name
            for block in self._programs.blocks(path)
            if block.names and names_layer(block.text.encode())
            for name in block.names
        }
        # `from torch.nn import LSTM`: a bare `LSTM(...)` names the layer, too.
        for statement in self._records[path].facts.imports:
            if statement.module.startswith("torch.nn"):
                seeds.update(
                    alias for name, alias in statement.bound() if names_layer(f".{name}(".encode())
                )
        return seeds

    def _gained(self, link: _Link, target: str) -> set[str] | None:
        """The names that an import makes recurrent in its file; None when it has no part in it.

        `target` is the file whose recurrent names have grown.
        """
        if link.handle is not None:
            return self._gained_by_use(link, link.handle, target)
        recurrent = self._names[target]
        if link.statement.names == ("*",):
            return set(recurrent) or None
        taken = {alias for name, alias in link.statement.bound() if name in recurrent}
        return taken - link.modules or None

    def _gained_by_use(self, link: _Link, handle: str, target: str) -> set[str] | None:
        """The names whose definitions use something recurrent of an imported module."""
        recurrent = self._names[target]
        gained: set[str] = set()
        reached = link.target == target and link.importer.endswith("__init__.py")
        if reached:
            gained.add(handle.partition(".")[0])
        for attribute, users in self._uses_of(link, handle).get(target, {}).items():
            if attribute is None or attribute in recurrent:
                gained |= users
                reached = True
        return gained if reached else None

    def _uses_of(self, link: _Link, handle: str) -> _Uses:
        key = (link.importer, handle)
        uses = self._uses.get(key)
        if uses is None:
            uses = self._uses[key] = {}
            blocks = self._programs.blocks(link.importer)
            starts = [block.start for block in blocks]
            for position, attributes in module_uses(self._programs.text(link.importer), handle):
                module, attribute = self._followed(link.target, attributes)
                users = uses.setdefault(module, {}).setdefault(attribute, set())
                block = bisect_right(starts, position) - 1
                if block >= 0:
                    users.update(blocks[block].names)
        return uses

    def _followed(self, module: str, attributes: tuple[str, ...]) -> tuple[str, str | None]:
        """The module that `module.a.b` leads to, and the name taken from it, if any."""
        for attribute in attributes:
            below = self._graph.resolve(module, attribute, 1) if _is_package(module) else None
            if below is None or below == module:
                return module, attribute
            module = below
        return module, None

    def _grow(self, path: str, gained: set[str]) -> bool:
        """Add recurrent names to a file, with all that is built on them there."""
        names = self._names.setdefault(path, set())
        fresh = gained - names
        if not fresh:
            return False
        blocks = [block for block in self._programs.blocks(path) if block.names]
        while fresh:
            names |= fresh
            mentioning = (
                block.names
                for block in blocks
                if not names.issuperset(block.names)
                and any(mentions_name(block.text, name) for name in fresh)
            )
            fresh = {name for found in mentioning for name in found} - names
        return True


class _Downwards:
    """Follows the imports of the selected files to where their names are defined."""

    def __init__(
        self, records: Mapping[str, FileRecord], graph: ImportGraph, programs: _Programs
    ) -> None:
        self._records = records
        self._graph = graph
        self._programs = programs

    def follow(self, selected: Iterable[str]) -> dict[str, str]:
        """The imported files, with the reason for each.

        Of the files that selected files import directly all are taken, for a constant may
        matter as much as a function; further away only those about data or training.
        """
        start = list(selected)
        reasons = dict.fromkeys(start, "")
        pending = deque((path, 0) for path in start)
        while pending:
            importer, distance = pending.popleft()
            if _passes_through(importer, self._records[importer].facts):
                continue
            for path in self._providers(importer):
                if path in reasons:
                    continue
                if distance and not self._matters(path):
                    continue
                reasons[path] = f"imported by {importer}"
                pending.append((path, distance + 1))
        return {path: why for path, why in reasons.items() if why}

    def _matters(self, path: str) -> bool:
        """Whether a file that is imported at second hand is worth reading."""
        return _passes_through(path, self._records[path].facts) or mentions_training(
            self._programs.text(path)
        )

    def _providers(self, importer: str) -> Iterator[str]:
        """The files that define what a file imports, and the re-exports on the way."""
        for statement in self._records[importer].facts.imports:
            target = self._graph.resolve(importer, statement.module, statement.level)
            if statement.names is None:
                # `import package` makes all that it re-exports reachable.
                yield from self._chain(importer, statement, target, "*", set())
                continue
            for name in statement.names:
                yield from self._chain(importer, statement, target, name, set())

    def _chain(
        self,
        importer: str,
        statement: ModuleImport,
        target: str | None,
        name: str,
        seen: set[tuple[str, str]],
    ) -> Iterator[str]:
        """The files from `target` to the one that defines `name`."""
        if target is None:
            return
        yield from self._existing(target)
        if name != "*" and _is_package(target):
            yield from self._existing(_submodule(self._graph, importer, statement, name))
        if target not in self._records or (target, name) in seen:
            return
        seen.add((target, name))
        if name in self._programs.defined(target):
            return
        for inner in self._records[target].facts.imports:
            for original, alias in inner.bound():
                if original == "*" or alias == name or name == "*":
                    wanted = name if original == "*" else original
                    origin = self._graph.resolve(target, inner.module, inner.level)
                    if original != "*" or self._offers(origin, name):
                        yield from self._chain(target, inner, origin, wanted, seen)

    def _offers(self, path: str | None, name: str) -> bool:
        """Whether a star import of `path` can bring `name` along."""
        if path is None or path not in self._records:
            return False
        facts = self._records[path].facts
        return (
            name == "*"
            or name in self._programs.defined(path)
            or any(name == a or a == "*" for i in facts.imports for _, a in i.bound())
        )

    def _existing(self, path: str | None) -> Iterator[str]:
        if path is not None and path in self._records:
            yield path


class _Link(msgspec.Struct, frozen=True, gc=False):
    """An import of a file of the project."""

    importer: str
    statement: ModuleImport
    target: str
    handle: str | None
    """The name by which the importer holds the whole module; None when it takes names of it."""
    modules: frozenset[str] = frozenset()
    """Those of the names taken that are modules."""


def _importers(records: Mapping[str, FileRecord], graph: ImportGraph) -> dict[str, list[_Link]]:
    """The imports that lead to each file of the project."""
    importers: dict[str, list[_Link]] = {}
    for importer, record in records.items():
        for statement in record.facts.imports:
            for link in _links(graph, importer, statement):
                importers.setdefault(link.target, []).append(link)
    return importers


def _links(graph: ImportGraph, importer: str, statement: ModuleImport) -> Iterator[_Link]:
    """The files that one import leads to."""
    if statement.names is None:
        yield from _module_links(graph, importer, statement)
        return
    target = graph.resolve(importer, statement.module, statement.level)
    if target is None:
        return
    modules: set[str] = set()
    if _is_package(target):
        for name, alias in statement.bound():
            module = _submodule(graph, importer, statement, name)
            if module is not None and module != target:
                modules.add(alias)
                yield _Link(importer, statement, module, alias)
    yield _Link(importer, statement, target, None, frozenset(modules))


def _module_links(graph: ImportGraph, importer: str, statement: ModuleImport) -> Iterator[_Link]:
    """`import a.b` holds `a`, through which `a.b` and more is reached; `... as c` holds `a.b`."""
    module = statement.module if statement.aliases else statement.module.partition(".")[0]
    handle = statement.handle if statement.aliases else module
    target = graph.resolve(importer, module, 0)
    if target is not None:
        yield _Link(importer, statement, target, handle)


def _submodule(graph: ImportGraph, importer: str, statement: ModuleImport, name: str) -> str | None:
    """The module that `from package import name` may mean."""
    if name == "*":
        return None
    dotted = f"{statement.module}.{name}" if statement.module else name
    return graph.resolve(importer, dotted, statement.level)


def _passes_through(path: str, facts: FileFacts) -> bool:
    """Whether a file is there for its re-exports: names are followed through it one by one."""
    return path.endswith("__init__.py") and not facts.recurrent


def _is_package(target: str) -> bool:
    return target.endswith(("__init__.py", "/"))
