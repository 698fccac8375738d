"""Measures how soon the language server answers an edit, beside a cold `rnnlint check`.

    python benchmarks/server.py [TREE [FILE]] [--edits 200]

Without a tree, one of 50 generated files is made.  The server is driven through its protocol:
the clock runs from the moment a change of the file is sent until what is found in that very
version has arrived, so it holds the server's own wait for more typing, too.  Edits go to
places all over the file, and none is of comments alone: a statement is put into a method, then
a name in it changed, then it is taken out.  On a machine that others use, compare the ratios,
not the milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compare import run
from lsprotocol import types
from pygls.lsp.client import LanguageClient
from readme import put_table
from synthesis import write_tree

CHECKOUT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
TARGET = 0.150
"""Seconds in which half of the edits are to be answered."""
PAUSE = 0.05
"""Seconds between an answer and the next edit."""
COLD_RUNS = 3


class Editor(LanguageClient):
    """A client that waits for what is found in a version of a document."""

    def __init__(self) -> None:
        super().__init__("benchmark", "1")
        self.looked_at: int | None = None
        self.arrived = asyncio.Event()

        def publish(params: types.PublishDiagnosticsParams) -> None:
            if params.version is not None:
                self.looked_at = params.version
                self.arrived.set()

        self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(publish)

    async def answered(self, version: int) -> None:
        while self.looked_at != version:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 120)


def edits(text: str, count: int) -> Iterator[types.TextDocumentContentChangePartial]:
    """Changes all over a text, after each third of which it is what it was."""
    randomness = random.Random(count)
    lines = text.split("\n")
    rows = [row for row, line in enumerate(lines) if line.startswith("        self.")]
    for number in range(count):
        if number % 3 == 0:
            row = randomness.choice(rows)
            yield change(row, 0, row, 0, "        size = self.hidden_size\n")
        elif number % 3 == 1:
            yield change(row, 10, row, 10, "s")
        else:
            yield change(row, 0, row + 1, 0, "")


def change(
    row: int, column: int, last_row: int, last_column: int, text: str
) -> types.TextDocumentContentChangePartial:
    stretch = types.Range(types.Position(row, column), types.Position(last_row, last_column))
    return types.TextDocumentContentChangePartial(text=text, range=stretch)


@dataclass(frozen=True)
class Measured:
    """Seconds on the clock, and those of processors that an edit took on the average."""

    first: float
    edits: list[float]
    processor: float | None


async def measure(tree: Path, file: Path, count: int) -> Measured:
    """Drive a server from its start to its end."""
    editor = Editor()
    begun = time.perf_counter()
    await editor.start_io(sys.executable, "-m", "rnnlint", "server", env=ENVIRONMENT)
    await editor.initialize_async(
        types.InitializeParams(
            capabilities=types.ClientCapabilities(),
            workspace_folders=[types.WorkspaceFolder(tree.as_uri(), tree.name)],
        )
    )
    editor.initialized(types.InitializedParams())
    text = file.read_text(encoding="utf-8")
    uri = file.as_uri()
    editor.text_document_did_open(
        types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, "python", 0, text))
    )
    await editor.answered(0)
    first = time.perf_counter() - begun
    process = editor._server
    assert isinstance(process, asyncio.subprocess.Process)
    used = processor_seconds(process.pid)
    seconds: list[float] = []
    for version, edit in enumerate(edits(text, count), start=1):
        await asyncio.sleep(PAUSE)
        begun = time.perf_counter()
        document = types.VersionedTextDocumentIdentifier(version, uri)
        editor.text_document_did_change(types.DidChangeTextDocumentParams(document, [edit]))
        await editor.answered(version)
        seconds.append(time.perf_counter() - begun)
    used_since = processor_seconds(process.pid)
    await editor.shutdown_async(None)
    editor.exit(None)
    await process.wait()
    processor = None if used is None or used_since is None else (used_since - used) / count
    return Measured(first, seconds, processor)


def processor_seconds(process: int) -> float | None:
    """What a process has used of processors; None where nobody says."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cold_check(tree: Path) -> tuple[float, float]:
    """Seconds that a whole run takes that finds no cache, on the clock and of processors."""
    taken = run([sys.executable, "-m", "rnnlint", "check", "--no-cache", "--quiet"], cwd=tree)
    return taken.wall, taken.cpu


def table(cold: tuple[float, float], measured: Measured) -> str:
    """What was measured, beside a cold check."""
    clock, processor = cold
    edits = measured.edits
    rows = [
        ("cold `rnnlint check`", clock, clock),
        ("from the server's start to its first answer", measured.first, clock),
        (f"answer to an edit, median of {len(edits)}", statistics.median(edits), clock),
        ("answer to an edit, 95th percentile", statistics.quantiles(edits, n=20)[-1], clock),
    ]
    if measured.processor is not None:
        rows.append(("cold check, of processors", processor, processor))
        rows.append(("answer to an edit, of processors, mean", measured.processor, processor))
    lines = ["| | seconds | of a cold check |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {a:.3f} | {a / b:.3f} |" for name, a, b in rows)])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tree", type=Path, nargs="?")
    parser.add_argument("file", type=Path, nargs="?", help="which file of the tree is edited")
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--update", action="store_true", help="write the table into README.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tree = options.tree
        if tree is None:
            tree = Path(scratch, "generated")
            write_tree(tree, 50)
            (tree / "rnnlint.toml").touch()
        tree = tree.resolve()
        file = tree / (options.file or "project_000/model.py")
        print(f"{file.relative_to(tree)}: {len(file.read_text().splitlines())} lines")
        cold = min(cold_check(tree) for _ in range(COLD_RUNS))
        measured = asyncio.run(measure(tree, file, options.edits))
    print(table(cold, measured))
    if options.update:
        put_table("server", table(cold, measured))
    median = statistics.median(measured.edits)
    print(f"target: median below {TARGET:g} s: {'met' if median < TARGET else 'MISSED'}")
    return 0 if median < TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
