"""The import graph: which file of the project an import leads to.

Nothing is parsed and nothing is imported: paths say which modules exist, and regular
expressions over bytes say what a file imports.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

import msgspec


class ModuleImport(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`import module`, or `from {'.' * level}{module} import names`."""

    module: str
    level: int
    names: tuple[str, ...] | None
    """None for `import module`; ("*",) for a star import."""
    aliases: tuple[tuple[str, str], ...] = ()
    """What was renamed: (name, alias).  For `import a.b as c` it is (("a.b", "c"),)."""

    def bound(self) -> Iterator[tuple[str, str]]:
        """The pairs (name in the module, name it is bound to here) of a `from` import."""
        renamed = dict(self.aliases)
        for name in self.names or ():
            yield name, renamed.get(name, name)

    @property
    def handle(self) -> str:
        """The name by which `import module` makes the module reachable, dotted if need be."""
        return self.aliases[0][1] if self.aliases else self.module


class ImportGraph:
    """Resolves imports between the files of one project, given by their relative paths."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._files = frozenset(path for path in paths if path.endswith(".py"))
        folders: set[str] = set()
        for path in self._files:
            folder = posixpath.dirname(path)
            while folder and folder not in folders:
                folders.add(folder)
                folder = posixpath.dirname(folder)
        self._folders = frozenset(folders)
        self._homes = self._homes_of_names()
        self._roots = self._source_roots()
        self._known: dict[tuple[str, str, int], tuple[str, ...]] = {}

    @property
    def source_roots(self) -> frozenset[str]:
        """The folders whose modules are top-level modules, the project root ("") among them."""
        return self._roots

    def resolve(self, importer: str, module: str, level: int) -> str | None:
        """The file that an import in `importer` leads to; None when it is not in the project.

        The answer is the path of a module, of a package's `__init__.py`, or of the folder of a
        namespace package with a slash at its end.  Of several candidates the nearest to the
        importer wins: its own folder, the folders above it, then the other source roots.
        An absolute import never leads a file to itself.
        """
        folder = importer.rpartition("/")[0]
        key = (folder, module, level)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = tuple(self._candidates(folder, module, level))
        for candidate in found:
            if candidate != importer or level:
                return candidate
        return None

    def _candidates(self, folder: str, module: str, level: int) -> list[str]:
        path = module.replace(".", "/")
        if level:
            base = _ancestor(folder, level - 1)
            bases = [] if base is None else [base]
        else:
            bases = self._bases(folder, module.partition(".")[0])
        regular: list[str] = []
        namespaces: list[str] = []
        for base in bases:
            stem = f"{base}/{path}" if base and path else base or path
            package = f"{stem}/__init__.py" if stem else "__init__.py"
            if package in self._files:
                regular.append(package)
            elif f"{stem}.py" in self._files:
                regular.append(f"{stem}.py")
            elif not stem or stem in self._folders:
                namespaces.append(f"{stem}/" if stem else "./")
        # As in Python, a namespace package is what remains when nothing better was found.
        return regular + namespaces

    def _bases(self, folder: str, name: str) -> list[str]:
        """The folders in which an import in `folder` finds a top-level `name`, nearest first."""
        homes = self._homes.get(name)
        if homes is None:
            return []  # most imports lead out of the project
        own = [folder, *_parents(folder)]
        others = [root for root in homes if root in self._roots and root not in own]
        others.sort(key=lambda root: (-_shared(folder, root), root.count("/"), root))
        return [base for base in own if base in homes] + others

    def _homes_of_names(self) -> dict[str, set[str]]:
        """The folders that hold a module or a package of each name."""
        homes: dict[str, set[str]] = {}
        for path in (*self._files, *self._folders):
            folder, _, name = path.removesuffix(".py").rpartition("/")
            homes.setdefault(name, set()).add(folder)
        return homes

    def _source_roots(self) -> frozenset[str]:
        """The root, `src`, and each folder that holds a top-level package."""
        roots = {""}
        if "src" in self._folders:
            roots.add("src")
        packages = {posixpath.dirname(path) for path in self._files if _is_init(path)}
        for package in packages:
            parent = posixpath.dirname(package)
            if package and parent not in packages:
                roots.add(parent)
        return frozenset(roots)


def _is_init(path: str) -> bool:
    return path.endswith("/__init__.py") or path == "__init__.py"


def _parents(folder: str) -> Iterator[str]:
    while folder:
        folder = posixpath.dirname(folder)
        yield folder


def _ancestor(folder: str, steps: int) -> str | None:
    """The folder so many steps up; None above the project root."""
    for _ in range(steps):
        if not folder:
            return None
        folder = posixpath.dirname(folder)
    return folder


def _shared(first: str, second: str) -> int:
    """How many leading folders two paths share."""
    count = 0
    for one, other in zip(first.split("/"), second.split("/"), strict=False):
        if one != other or not one:
            break
        count += 1
    return count


# --- imports of a file that is not parsed ---------------------------------------

_WORD = re.compile(rb"import\b")
_BEFORE, _BEHIND = 300, 8_000
"""How many bytes around the word are looked at: without a bound, hostile files take minutes."""
_LAZY = re.compile(rb"lazy(?:[ \t]+|$)")
_FROM = re.compile(rb"from(?=[ \t.])([. \t]*)([\w.]*)")
# A list ends where no name can follow.  The bracket or colon that ends one spoils its last item.
_NAMES = re.compile(
    rb"[ \t]*(?:\\\r?\n[ \t]*)*"
    rb"(?:\(([^()#]*(?:#[^\r\n]*(?![^\r\n])[^()#]*)*)\)"
    rb"|([^\n\r;#\\:(]*(?:\\\r?\n[^\n\r;#\\:(]*)*[:(]?))"
)
_COMMENT = re.compile(rb"#[^\r\n]*")
_ALIASED = re.compile(r"([\w.]+|\*)(?:\s+as\s+(\w+))?\s*$")


def module_imports(data: bytes) -> tuple[ModuleImport, ...]:
    """What the imports anywhere in a Python file say, read from its bytes.

    An import inside a string is taken for one: that may cost time, never a finding.
    """
    found: list[ModuleImport] = []
    for word in _WORD.finditer(data):
        clause = _clause(data, word.start())
        if clause is None:
            continue
        if not clause:
            found.extend(_plain_imports(_name_list(data, word.end())))
            continue
        origin = _FROM.fullmatch(clause)
        if origin is not None:
            level, module = origin[1].count(b"."), origin[2].decode("utf-8", "replace")
            found.extend(_from_import(module, level, _name_list(data, word.end())))
    return tuple(found)


def _clause(data: bytes, position: int) -> bytes | None:
    """What stands before the word `import` in its statement, None when that is a comment."""
    floor = max(position - _BEFORE, 0)
    start = max(data.rfind(b"\n", floor, position) + 1, floor)
    head = data[start:position]
    if b"#" in head:
        return None
    if not head.strip() and data[max(start - 3, 0) : start].rstrip(b"\r\n").endswith(b"\\"):
        # `from package \` and `import name` on the next line.
        start = max(data.rfind(b"\n", floor, start - 1) + 1, floor)
        head = data[start:position].replace(b"\\", b" ")
    # The statement may be the last of several in its line, or stand in a one-line block.
    clause = head[max(head.rfind(b";"), head.rfind(b":")) + 1 :].strip()
    lazy = _LAZY.match(clause)
    return clause if lazy is None else clause[lazy.end() :]


def _name_list(data: bytes, position: int) -> list[tuple[str, str]]:
    """The names behind the word `import`, with their aliases ("" for none)."""
    match = _NAMES.match(data, position, position + _BEHIND)
    text = b"" if match is None else match[1] if match[1] is not None else match[2]
    if b"#" in text:
        text = _COMMENT.sub(b"", text)
    names: list[tuple[str, str]] = []
    for item in text.decode("utf-8", "replace").replace("\\", " ").split(","):
        aliased = _ALIASED.match(item.strip())
        if aliased is not None:
            names.append((aliased[1], aliased[2] or ""))
    return names


def _from_import(module: str, level: int, names: list[tuple[str, str]]) -> Iterator[ModuleImport]:
    if not names or not (module or level):
        return
    aliases = tuple((name, alias) for name, alias in names if alias)
    yield ModuleImport(module, level, tuple(name for name, _ in names), aliases)


def _plain_imports(names: list[tuple[str, str]]) -> Iterator[ModuleImport]:
    for name, alias in names:
        yield ModuleImport(name, 0, None, ((name, alias),) if alias else ())
