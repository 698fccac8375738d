"""What `rnnlint check --fix --unsafe-fixes` does to real projects, counted by rule.

    python benchmarks/repairs.py TREE [TREE ...] [--safe] [--notebooks] [--diffs FOLDER]

Each tree is copied first, and nothing is written to it.  On the copy, all repairs are carried
out, and then it is looked at from outside: every file that changed compiles if it did before and
keeps its line ends, every notebook is the same but for the code of its cells, no rule finds more
than before (but for advice on layers that are trained at last), and a second repair changes
nothing.  What does not hold is told, and the exit code is 1.  With `--diffs`, the difference of
each tree is put into a folder, to be read as the tree's maintainer would; with `--notebooks`,
findings are counted in notebooks alone.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # what stands beside is measured

from rnnlint import engine, repair, saving
from rnnlint.diagnostic import Applicability, Diagnostic, Level, Withheld
from rnnlint.engine import Outcome, Request
from rnnlint.opening import open_request

NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", "venv", "node_modules", "*_cache")
LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass
class Counts:
    """How often each rule found something, offered a repair, and was let do it."""

    counted: str
    """How the names of files end whose findings are counted."""
    found: Counter[str] = field(default_factory=Counter)
    safe: Counter[str] = field(default_factory=Counter)
    unsafe: Counter[str] = field(default_factory=Counter)
    fixed: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)

    def add(self, before: Outcome, repaired: Outcome) -> None:
        for diagnostic in self._within(before.diagnostics):
            self.found[diagnostic.code] += 1
            if diagnostic.fix is not None:
                safe = diagnostic.fix.applicability is Applicability.SAFE
                (self.safe if safe else self.unsafe)[diagnostic.code] += 1
        self.fixed.update(each.code for each in self._within(repaired.fixed))
        withheld = [each.diagnostic for each in repaired.withheld]
        self.withheld.update(each.code for each in self._within(withheld))

    def _within(self, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
        return [each for each in diagnostics if each.span.path.endswith(self.counted)]

    def table(self) -> str:
        head = "| rule | found | safe | unsafe | offered | fixed | withheld |"
        rows = [
            f"| {code} | {found} | {self.safe[code]} | {self.unsafe[code]} "
            f"| {(self.safe[code] + self.unsafe[code]) / found:.0%} "
            f"| {self.fixed[code]} | {self.withheld[code]} |"
            for code, found in sorted(self.found.items())
        ]
        return "\n".join([head, "|---" * 7 + "|", *rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trees", nargs="+", type=Path)
    parser.add_argument("--safe", action="store_true", help="safe repairs alone")
    parser.add_argument("--notebooks", action="store_true", help="count those in notebooks alone")
    parser.add_argument("--diffs", type=Path, help="a folder for the differences")
    arguments = parser.parse_args()
    counts = Counts(".ipynb" if arguments.notebooks else "")
    sound = True
    for tree in arguments.trees:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, tree.resolve().name)
            shutil.copytree(tree, copy, symlinks=True, ignore=NOT_COPIED)
            faults, withheld, difference = repaired(copy, counts, unsafe=not arguments.safe)
        for fault in faults:
            sound = False
            print(f"{tree.name}: {fault}")
        for each in withheld:
            where = f"{each.diagnostic.span.path}:{each.diagnostic.span.location.row}"
            print(f"{tree.name}: withheld {each.diagnostic.code} at {where}: {each.reason}")
        if arguments.diffs is not None and difference:
            arguments.diffs.mkdir(parents=True, exist_ok=True)
            path = arguments.diffs / f"{tree.name}.diff"
            path.write_text(difference, encoding="utf-8", errors="replace")
    print(counts.table())
    return 0 if sound else 1


def repaired(
    root: Path, counts: Counts, *, unsafe: bool
) -> tuple[list[str], tuple[Withheld, ...], str]:
    """Repair a tree in place: what is wrong with the result, what was withheld, what changed."""
    before = _contents(root)
    found = engine.check(_request(root, unsafe=unsafe))
    outcome = _repair(root, unsafe=unsafe)
    counts.add(found, outcome)
    after = _contents(root)
    now = engine.check(_request(root, unsafe=unsafe))
    faults = [*_damage(before, after), *_worse(found, now, _uncovers(outcome))]
    _repair(root, unsafe=unsafe)
    faults += [f"{path} changes once more" for path in _changed(after, _contents(root))]
    return faults, outcome.withheld, _difference(before, after)


def _request(root: Path, *, unsafe: bool) -> Request:
    setting = f"unsafe-fixes = {str(unsafe).lower()}"
    return Request(cwd=str(root), inline_config=(setting,), isolated=True, no_cache=True)


def _repair(root: Path, *, unsafe: bool) -> Outcome:
    opened = open_request(_request(root, unsafe=unsafe))
    saved = [saving.save(each) for each in repair.repair(opened, repair.fixes)]
    return saving.report(opened, saved, 0.0)


def _contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[str]:
    paths = before.keys() | after.keys()
    return sorted(path for path in paths if before.get(path) != after.get(path))


def _damage(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    for path in _changed(before, after):
        if path not in before or path not in after:
            yield f"{path} is new or gone"
            continue
        if path.endswith(".ipynb"):
            if _without_code(before[path]) != _without_code(after[path]):
                yield f"{path} changes in more than its code"
            continue
        if _compiles(before[path]) and not _compiles(after[path]):
            yield f"{path} does not compile any more"
        ends = set(LINE_END.findall(before[path]))
        if ends and not set(LINE_END.findall(after[path])) <= ends:
            yield f"{path} has other line ends"


def _without_code(data: bytes) -> str:
    """A notebook as it is but for the code of its cells."""
    notebook = json.loads(data)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = []
    return json.dumps(notebook)


def _code(data: bytes) -> bytes:
    """The cells of a notebook, one below the other, with the number of each."""
    parts = [
        f"# --- cell {number}\n{''.join(cell['source'])}\n"
        for number, cell in enumerate(json.loads(data)["cells"])
        if cell["cell_type"] == "code"
    ]
    return "".join(parts).encode("utf-8", errors="replace")


def _compiles(data: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(data, "changed", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
    return True


def _uncovers(outcome: Outcome) -> bool:
    """Whether something was repaired that kept code from being trained, and so judged."""
    return any(each.fix is not None and each.fix.uncovers for each in outcome.fixed)


def _worse(before: Outcome, after: Outcome, uncovered: bool) -> Iterator[str]:
    had = Counter(diagnostic.code for diagnostic in before.diagnostics)
    has = Counter(
        diagnostic.code
        for diagnostic in after.diagnostics
        if diagnostic.level is Level.ERROR or not uncovered
    )
    for code, number in sorted((has - had).items()):
        yield f"{number} more of {code} than before"


def _difference(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    lines: list[str] = []
    for path in _changed(before, after):
        shown = _code if path.endswith(".ipynb") else bytes
        old, new = (_lines(shown(contents[path])) for contents in (before, after))
        lines += difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", n=5)
    return "".join(_ended(lines))


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", errors="replace").splitlines(keepends=True)


def _ended(lines: Iterable[str]) -> Iterator[str]:
    return (line if line.endswith("\n") else f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
