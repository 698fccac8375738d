"""Measures rnnlint against the floor under it, its neighbours and its targets, in one run.

    python benchmarks/compare.py TREE [TREE ...]
    python benchmarks/compare.py --synthetic 2000 --synthetic 50
    python benchmarks/compare.py TREE --torchfix path/to/an/environment/with/torchfix

Every row is a whole command, from its start to its end, so that all pay for their
interpreter and imports.  Times are the best of the repeats, which a busy machine
disturbs least; compare the ratios, not the seconds.  No peak is below that of this
script, which Linux counts to the processes that it starts.  The trees are copied first
and nothing is written to them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthesis import write_tree

BENCHMARKS = Path(__file__).resolve().parent
CHECKOUT = BENCHMARKS.parent
sys.path.insert(0, str(CHECKOUT))  # what stands beside this folder is measured

from rnnlint.lowering.pool import SMALL_BATCH, available_processors  # noqa: E402
from rnnlint.project.config import load_settings  # noqa: E402
from rnnlint.project.discovery import discover  # noqa: E402
from rnnlint.project.sift import sift  # noqa: E402

NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", "venv", "node_modules", "*_cache")
EDITED_LINES = 500
FINISHED = (0, 1, 2)
"""rnnlint ends with 2 where a file could not be read, and has done all its work."""
MEBIBYTE_IN_KIBIBYTES = 1024


@dataclass(frozen=True)
class Sample:
    """One command: seconds on the clock and on processors, and its largest process in MiB."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Row:
    """What one kind of run cost: the best of each figure, the worst peak."""

    name: str
    wall: float
    cpu: float
    peak: float
    repeats: int


@dataclass(frozen=True)
class Target:
    """A promise about a figure, and whether it was kept."""

    promise: str
    figure: float
    bound: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


@dataclass(frozen=True)
class Tree:
    """A copy of what is measured, and what rnnlint reads of it."""

    name: str
    root: Path
    cache: Path
    files: int
    candidates: tuple[Path, ...]

    @property
    def candidate_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.candidates)


def run(command: Sequence[str | Path], cwd: Path, stdin: str = "") -> Sample:
    """Run a command to its end; an exit code above 1 is a failure of the benchmark."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
        source.write(stdin.encode())
        source.seek(0)
        begin = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            stdin=source,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": ""},
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in FINISHED:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
            sys.exit(f"'{command[0]} ...' in {cwd} ended with {process.returncode}: {said[-2000:]}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / MEBIBYTE_IN_KIBIBYTES)


def best(name: str, taken: Sequence[Sample]) -> Row:
    return Row(
        name,
        min(sample.wall for sample in taken),
        min(sample.cpu for sample in taken),
        max(sample.peak for sample in taken),
        len(taken),
    )


def rnnlint(tree: Tree) -> Sample:
    # As an installed script would, without the current folder on the path.
    start = "import sys; sys.path.remove(''); from rnnlint.cli import main; main()"
    flags = ("--quiet", "--output-format", "concise", "--cache-dir", str(tree.cache))
    return run([sys.executable, "-c", start, "check", *flags, tree.root], cwd=tree.root)


def measure(tree: Tree, options: argparse.Namespace) -> dict[str, Row]:
    """Take every kind of run in turn, round by round, so that a busy minute strikes all."""
    kinds = kinds_of_run(tree, options)
    taken: dict[str, list[Sample]] = {name: [] for name in kinds}
    for _ in range(options.repeats):
        for name, take in kinds.items():
            taken[name].append(take())
    if options.torchfix is not None:
        torchfix = Path(options.torchfix).resolve() / "bin" / "torchfix"
        fix: list[str | Path] = [torchfix, "--select", "ALL", tree.root]
        taken["TorchFix"] = [run(fix, tree.root)]
    return {name: best(name, samples) for name, samples in taken.items()}


def kinds_of_run(tree: Tree, options: argparse.Namespace) -> dict[str, Callable[[], Sample]]:
    """The kinds of run, each after what it needs: warm ones follow a cold one."""
    listed = "".join(f"{path}\n" for path in tree.candidates)
    processes = str(processes_for(tree, options.processes))
    parse: list[str | Path] = [sys.executable, BENCHMARKS / "parse_only.py", processes]
    edited = file_to_edit(tree)

    def cold() -> Sample:
        shutil.rmtree(tree.cache, ignore_errors=True)
        return rnnlint(tree)

    def after_an_edit() -> Sample:
        edit(edited)
        return rnnlint(tree)

    kinds = {
        "interpreter": lambda: run([sys.executable, "-c", ""], tree.root),
        "LibCST parse": lambda: run(parse, tree.root, listed),
        "rnnlint, cold": cold,
        "rnnlint, warm": lambda: rnnlint(tree),
        "rnnlint, one edit": after_an_edit,
    }
    if ruff := find_ruff():
        lint = [ruff, "check", "--isolated", "--no-cache", "--exit-zero", "--quiet", str(tree.root)]
        kinds["ruff check"] = lambda: run(lint, tree.root)
    return kinds


def processes_for(tree: Tree, available: int) -> int:
    """As many processes as rnnlint uses: little is parsed where it stands."""
    return available if tree.candidate_bytes > SMALL_BATCH else 1


def find_ruff() -> str | None:
    beside = Path(sysconfig.get_path("scripts")) / "ruff"
    return str(beside) if beside.exists() else shutil.which("ruff")


def file_to_edit(tree: Tree) -> Path:
    """The candidate whose length is closest to 500 lines."""

    def distance(path: Path) -> int:
        return abs(path.read_bytes().count(b"\n") - EDITED_LINES)

    return min(tree.candidates, key=distance)


def edit(path: Path) -> None:
    """Write one more line at the end of a file; of a notebook, at the end of its last code cell."""
    line = "\n# one more line\n"
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        path.write_text(text + line, encoding="utf-8")
        return
    notebook = json.loads(text)
    cell = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    cell["source"] = "".join(cell["source"]) + line
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def targets(tree: Tree, rows: dict[str, Row]) -> list[Target]:
    cold, warm, edit = rows["rnnlint, cold"], rows["rnnlint, warm"], rows["rnnlint, one edit"]
    parse, start = rows["LibCST parse"], rows["interpreter"]
    found = [
        Target("cold, in bare LibCST parses of its candidates (CPU)", cold.cpu / parse.cpu, 1.6),
        Target("cold, in bare LibCST parses of its candidates (wall)", cold.wall / parse.wall, 1.6),
        Target("peak memory of a process, MiB", max(row.peak for row in (cold, warm, edit)), 300),
    ]
    if tree.files >= 1_000:
        found.append(Target("warm, in interpreter starts (CPU)", warm.cpu / start.cpu, 12))
        found.append(Target("warm, in interpreter starts (wall)", warm.wall / start.wall, 12))
    if tree.files <= 100:
        found.append(Target("after one edit, CPU seconds", edit.cpu, 0.5))
    if "TorchFix" in rows and tree.files > 100:
        faster = rows["TorchFix"].cpu / cold.cpu
        found.append(Target("times faster than TorchFix (CPU)", faster, 15, at_least=True))
    return found


def print_report(tree: Tree, rows: dict[str, Row], processes: int) -> None:
    size = tree.candidate_bytes / 1e6
    print(f"\n{tree.name}: {tree.files} Python files")
    print(
        f"rnnlint reads {len(tree.candidates)} of them ({size:.2f} MB); "
        f"LibCST parses these on {processes} process{'es' if processes > 1 else ''}\n"
    )
    cold = rows["rnnlint, cold"]
    print(f"{'':20} {'wall s':>9} {'CPU s':>9} {'peak MiB':>9} {'CPU / cold':>11} {'runs':>5}")
    for row in rows.values():
        ratio = row.cpu / cold.cpu
        print(
            f"{row.name:20} {row.wall:9.3f} {row.cpu:9.3f} {row.peak:9.0f} {ratio:11.2f} "
            f"{row.repeats:5}"
        )
    print()
    for target in targets(tree, rows):
        verdict = "kept" if target.kept else "MISSED"
        sign = ">=" if target.at_least else "<="
        print(f"{verdict:7} {target.promise:55} {target.figure:8.2f}  {sign} {target.bound:g}")


def trees(options: argparse.Namespace, scratch: Path) -> Iterator[Tree]:
    for number, given in enumerate(options.trees):
        root = scratch / f"tree-{number}" / given.resolve().name
        shutil.copytree(given, root, ignore=NOT_COPIED, ignore_dangling_symlinks=True)
        yield open_tree(str(given), root)
    for files in options.synthetic:
        root = scratch / f"synthetic-{files}"
        write_tree(root, files, every_file_mentions_torch=options.every_file_mentions_torch)
        yield open_tree(f"{files} generated files", root)


def open_tree(name: str, root: Path) -> Tree:
    # A project of its own, whatever lies above the folder for temporary files.
    (root / "rnnlint.toml").touch()
    files = sum(1 for _ in root.rglob("*.py"))
    candidates = candidates_of(root)
    if not candidates:
        sys.exit(f"{name}: no file with recurrent training code; there is nothing to measure")
    return Tree(name, root, root.parent / f"{root.name}-cache", files, candidates)


def candidates_of(root: Path) -> tuple[Path, ...]:
    """The files that rnnlint has to parse."""
    found = discover(root, load_settings(root))
    result = sift(found.files, lambda path: (root / path).read_bytes())
    return tuple(root / path for path in result.selected)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("trees", nargs="*", type=Path, metavar="TREE")
    parser.add_argument(
        "--synthetic",
        type=int,
        action="append",
        default=[],
        metavar="FILES",
        help="generate a tree",
    )
    parser.add_argument(
        "--every-file-mentions-torch", action="store_true", help="of the generated trees"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processes", type=int, default=available_processors())
    parser.add_argument("--torchfix", metavar="ENVIRONMENT", help="where TorchFix is installed")
    options = parser.parse_args()
    if not options.trees and not options.synthetic:
        parser.error("name a TREE, or generate one with --synthetic FILES")
    for missing in (tree for tree in options.trees if not tree.is_dir()):
        parser.error(f"{missing} is no folder")
    with tempfile.TemporaryDirectory(prefix="rnnlint-benchmark-") as scratch:
        for tree in trees(options, Path(scratch)):
            processes = processes_for(tree, options.processes)
            print_report(tree, measure(tree, options), processes)
            shutil.rmtree(tree.root)


if __name__ == "__main__":
    main()
