"""A client of the language server, as tests use it: over pipes, through the real protocol."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from lsprotocol import types
from pygls.lsp.client import LanguageClient

CHECKOUT = Path(__file__).parent.parent
PATIENCE = 120.0
"""Seconds in which something that must happen does, on whatever machine."""
NOTEBOOKS = types.NotebookDocumentClientCapabilities(
    synchronization=types.NotebookDocumentSyncClientCapabilities()
)


class Editor(LanguageClient):
    """An editor: what it was told, and how to wait for more."""

    def __init__(self, root: Path) -> None:
        super().__init__("editor", "1")
        self.published: dict[str, types.PublishDiagnosticsParams] = {}
        self.count = 0
        """How often anything was published."""
        self.messages: list[str] = []
        self.watched: list[str] = []
        self._news = asyncio.Event()
        self._versions: dict[str, int] = {}
        self.root = root
        """The folder that paths are relative to."""

        def publish(params: types.PublishDiagnosticsParams) -> None:
            self.published[params.uri] = params
            self.count += 1
            self._news.set()

        def show(params: types.ShowMessageParams) -> None:
            self.messages.append(params.message)
            self._news.set()

        def register(params: types.RegistrationParams) -> None:
            self.watched += [each.method for each in params.registrations]
            self._news.set()

        self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(publish)
        self.feature(types.WINDOW_SHOW_MESSAGE)(show)
        self.feature(types.CLIENT_REGISTER_CAPABILITY)(register)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, which what the server says may bring about."""
        while not holds():
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)

    # --- documents ---

    def uri(self, path: str) -> str:
        return (self.root / path).as_uri()

    def open(self, path: str, text: str | None = None) -> str:
        """Show a file, as it is on the disk or otherwise; return its address."""
        uri = self.uri(path)
        if text is None:
            text = (self.root / path).read_bytes().decode()
        self._versions[uri] = 1
        item = types.TextDocumentItem(uri, "python", 1, text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def change(self, uri: str, *changes: types.TextDocumentContentChangeEvent | str) -> int:
        """Type something; return the version that the document has now."""
        self._versions[uri] += 1
        document = types.VersionedTextDocumentIdentifier(self._versions[uri], uri)
        self.text_document_did_change(
            types.DidChangeTextDocumentParams(
                document,
                [
                    types.TextDocumentContentChangeWholeDocument(each)
                    if isinstance(each, str)
                    else each
                    for each in changes
                ],
            )
        )
        return self._versions[uri]

    def close(self, uri: str) -> None:
        document = types.TextDocumentIdentifier(uri)
        self.text_document_did_close(types.DidCloseTextDocumentParams(document))

    def touched(self, *paths: str) -> None:
        """Tell that files changed on the disk."""
        changed = types.FileChangeType.Changed
        events = [types.FileEvent(self.uri(path), changed) for path in paths]
        self.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams(events))

    # --- what was said ---

    def diagnostics(self, uri: str) -> list[types.Diagnostic]:
        return list(self.published[uri].diagnostics) if uri in self.published else []

    def codes(self, uri: str) -> list[str]:
        return sorted(str(each.code) for each in self.diagnostics(uri))

    async def analysed(self, uri: str, version: int) -> None:
        """Wait until a version of a document has been looked at."""
        await self.until(lambda: uri in self.published and self.published[uri].version == version)

    async def actions(
        self, uri: str, line: int | None = None, only: list[str] | None = None
    ) -> list[types.CodeAction]:
        """The actions on a line, or anywhere."""
        first, last = (0, 10_000) if line is None else (line, line)
        stretch = types.Range(types.Position(first, 0), types.Position(last, 0))
        found = await self.text_document_code_action_async(
            types.CodeActionParams(
                types.TextDocumentIdentifier(uri), stretch, types.CodeActionContext([], only)
            )
        )
        return [each for each in found or () if isinstance(each, types.CodeAction)]

    async def resolved(self, action: types.CodeAction) -> types.WorkspaceEdit:
        """The edits of an action."""
        edit = (await self.code_action_resolve_async(action)).edit
        assert edit is not None
        return edit


@asynccontextmanager
async def serving(
    root: Path,
    *,
    folders: list[Path] | None = None,
    encodings: list[str] | None = None,
    resolves: bool = True,
    options: Any = None,
) -> AsyncIterator[Editor]:
    """An editor with its server, in a folder; both are gone at the end, and well."""
    editor = Editor(root)
    await editor.start_io(
        sys.executable, "-m", "rnnlint", "server", env={**os.environ, "PYTHONPATH": str(CHECKOUT)}
    )
    capabilities = types.ClientCapabilities(
        general=types.GeneralClientCapabilities(position_encodings=encodings),
        notebook_document=NOTEBOOKS,
        workspace=types.WorkspaceClientCapabilities(
            workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True),
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(
                dynamic_registration=True
            ),
        ),
        text_document=types.TextDocumentClientCapabilities(
            code_action=types.CodeActionClientCapabilities(
                resolve_support=types.ClientCodeActionResolveOptions(["edit"]) if resolves else None
            )
        ),
    )
    await editor.initialize_async(
        types.InitializeParams(
            capabilities=capabilities,
            workspace_folders=[
                types.WorkspaceFolder(folder.as_uri(), folder.name)
                for folder in ([root] if folders is None else folders)
            ],
            initialization_options=options,
        )
    )
    process = editor._server
    assert isinstance(process, asyncio.subprocess.Process)
    try:
        editor.initialized(types.InitializedParams())
        yield editor
        await editor.shutdown_async(None)
        editor.exit(None)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test that waits for the server."""
    asyncio.run(test())


def edited(text: str, edits: Any) -> str:
    """A text of ASCII after edits, as an editor would carry them out."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def offset(position: types.Position) -> int:
        return min(starts[min(position.line, len(lines))] + position.character, len(text))

    for edit in sorted(edits, key=lambda one: attrs.astuple(one.range.start), reverse=True):
        text = text[: offset(edit.range.start)] + edit.new_text + text[offset(edit.range.end) :]
    return text
