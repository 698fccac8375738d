"""The server itself: hears what the editor says, and answers when the worker is done."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec
from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, default_converter
from pygls.workspace import Workspace

from rnnlint import __version__
from rnnlint.diagnostic import Notice
from rnnlint.project.config import CONFIG_NAMES
from rnnlint.project.discovery import SUFFIXES
from rnnlint.server.actions import KINDS, Offers, changes_of, choice_of
from rnnlint.server.analyst import Analyst, Examined
from rnnlint.server.documents import Document, Documents, path_of
from rnnlint.server.hovering import page_at
from rnnlint.server.positions import Lines, Units
from rnnlint.server.publishing import Published, published
from rnnlint.server.state import State, options_from
from rnnlint.server.worker import Worker

NAME = "rnnlint"
WATCHED = (
    *(f"**/*{suffix}" for suffix in SUFFIXES),
    *(f"**/{name}" for name in (*CONFIG_NAMES, ".gitignore", "rnnlint-baseline.json")),
)
"""What says on the disk what is found."""
_NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithNotebook(
            notebook=types.NotebookDocumentFilterNotebookType(notebook_type="jupyter-notebook"),
            cells=[types.NotebookCellLanguage(language="python")],
        ),
        types.NotebookDocumentFilterWithNotebook(
            notebook=types.NotebookDocumentFilterPattern(pattern="**/*.ipynb"),
            cells=[types.NotebookCellLanguage(language="python")],
        ),
    ],
    save=True,
)


class Protocol(LanguageServerProtocol):
    """The protocol, over documents whose lines end where they should."""

    _documents: Documents | None = None

    @property
    def workspace(self) -> Workspace:
        if self._documents is None:
            given = super().workspace
            self._documents = Documents(
                given.root_uri,
                workspace_folders=[*given.folders.values()],
                position_encoding=given.position_encoding,
            )
        return self._documents


class Server(LanguageServer):
    """One editor's server."""

    def __init__(self) -> None:
        super().__init__(
            NAME,
            __version__,
            notebook_document_sync=_NOTEBOOKS,
            protocol_cls=Protocol,
            converter_factory=default_converter,
        )
        self.state = State()
        self.exit_code = 1
        """What the process is to end with: 0 once the editor has asked it to shut down."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._analyst = Analyst(self._complain)
        self._worker = Worker(self._analyse)
        self._examined: list[Examined] = []
        """Touched by the worker's thread alone, as is what follows."""
        self._published: dict[str, Published] = {}
        self._full_scan = -1
        self._told: set[Notice] = set()

    @property
    def documents(self) -> Documents:
        """What is open."""
        assert isinstance(self.workspace, Documents)
        return self.workspace

    # --- what is heard ---

    def begin(self, params: types.InitializeParams) -> None:
        """Take down what the editor is, and what it wants."""
        self._loop = asyncio.get_running_loop()
        self.state = State(options=options_from(params.initialization_options))

    def refresh(self, *, scan: bool = False) -> None:
        """Have what is open looked at, and the disk as well if something there may be new."""
        documents = self.documents
        folders = [path_of(folder.uri) for folder in documents.folders.values()]
        if not folders and documents.root_uri:
            folders = [path_of(documents.root_uri)]
        self.state = msgspec.structs.replace(
            self.state,
            folders=tuple(sorted({folder for folder in folders if folder is not None})),
            documents=tuple(documents.open_documents()),
            scan=self.state.scan + scan,
        )
        self._worker.submit(self.state)

    def configure(self, values: object) -> None:
        """Take over what the user sets in the editor."""
        options = options_from(values)
        if options != self.state.options:
            self.state = msgspec.structs.replace(self.state, options=options)
            self.refresh(scan=True)

    async def watch(self) -> None:
        """Ask the editor to tell when files and settings change on the disk."""
        workspace = self.client_capabilities.workspace
        watching = workspace.did_change_watched_files if workspace else None
        if watching is None or not watching.dynamic_registration:
            return
        options = types.DidChangeWatchedFilesRegistrationOptions(
            watchers=[types.FileSystemWatcher(glob_pattern=glob) for glob in WATCHED]
        )
        registration = types.Registration(
            id="watched", method=types.WORKSPACE_DID_CHANGE_WATCHED_FILES, register_options=options
        )
        await self.client_register_capability_async(types.RegistrationParams([registration]))

    def stop(self) -> None:
        """Take no more work."""
        self.exit_code = 0
        self._worker.stop()

    # --- what is asked ---

    @property
    def units(self) -> Units:
        """Those in which the editor counts columns."""
        return Units(self.documents.position_encoding)

    async def actions(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """The actions for a stretch of a document."""
        uri, stretch, only = params.text_document.uri, params.range, params.context.only
        eagerly = not self._resolves_edits()
        kinds = None if only is None else [str(getattr(kind, "value", kind)) for kind in only]

        def offered() -> list[types.CodeAction]:
            offers = self._offers(uri)
            found = list(offers.actions(uri, stretch, kinds)) if offers is not None else []
            return [self._resolved(action) for action in found] if eagerly else found

        actions = await asyncio.wrap_future(self._worker.ask(offered))
        return [action for action in actions if action.edit is not None] if eagerly else actions

    async def resolve(self, action: types.CodeAction) -> types.CodeAction:
        """An action with its edits."""
        return await asyncio.wrap_future(self._worker.ask(lambda: self._resolved(action)))

    def hover(self, params: types.HoverParams) -> types.Hover | None:
        """The page of the rule that is named at a place."""
        text = self.documents.text_of(params.text_document.uri)
        if text is None:
            return None
        offset = Lines(text, self.units).offset(params.position)
        plugins = self._examined[0].project.settings.plugins if self._examined else ()
        page = page_at(text, offset, plugins)
        if page is None:
            return None
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, page))

    def _resolves_edits(self) -> bool:
        text_document = self.client_capabilities.text_document
        action = text_document.code_action if text_document else None
        support = action.resolve_support if action else None
        return support is not None and "edit" in support.properties

    def _knows_versions(self) -> bool:
        workspace = self.client_capabilities.workspace
        edit = workspace.workspace_edit if workspace else None
        return bool(edit and edit.document_changes)

    # --- in the worker's thread ---

    def _analyse(self, state: State, check: Callable[[], None]) -> None:
        examined = self._analyst.examine(state, check)
        check()
        self._examined = examined
        units = self.units
        found: dict[str, Published] = {}
        for each in examined:
            found.update(published(each, units))
        # While something is being typed that does not parse, what is said of other files stays.
        if state.scan == self._full_scan:
            broken = _broken(examined)
            if broken:
                found = {**self._published, **{uri: found[uri] for uri in broken}}
        else:
            self._full_scan = state.scan
        self._publish(found)
        self._tell([notice for each in examined for notice in each.findings.notices])

    def _publish(self, found: dict[str, Published]) -> None:
        for uri in sorted({*found, *self._published}):
            now = found.get(uri, Published(None))
            if now != self._published.get(uri):
                self._send(
                    self.text_document_publish_diagnostics,
                    types.PublishDiagnosticsParams(uri, list(now.diagnostics), now.version),
                )
        self._published = found

    def _tell(self, notices: list[Notice]) -> None:
        for notice in notices:
            if notice.fatal and notice not in self._told:
                self._log(f"{notice.path}: {notice.message}", types.MessageType.Warning)
        self._told = set(notices)

    def _complain(self, reason: str) -> None:
        message = f"rnnlint: {reason}"
        params = types.ShowMessageParams(types.MessageType.Error, message)
        self._send(self.window_show_message, params)

    def _log(self, message: str, kind: types.MessageType) -> None:
        self._send(self.window_log_message, types.LogMessageParams(kind, message))

    def _send(self, send: Callable[[Any], object], params: object) -> None:
        """Send something from the thread in which everything is sent."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(send, params)

    def _offers(self, uri: str) -> Offers | None:
        for examined in self._examined:
            for path, document in examined.documents.items():
                if uri in _uris(document):
                    return Offers(examined, path, self.units)
        return None

    def _resolved(self, action: types.CodeAction) -> types.CodeAction:
        choice = choice_of(action)
        offers = None if choice is None else self._offers(choice.uri)
        if choice is None or offers is None:
            return action
        edit = offers.edit(choice)
        if edit is not None and not self._knows_versions():
            edit = changes_of(edit)
        action.edit = edit
        return action


def _uris(document: Document) -> tuple[str, ...]:
    return (document.uri, *(cell.uri for cell in document.cells or ()))


def _broken(examined: list[Examined]) -> list[str]:
    """The addresses of open documents that cannot be parsed as they are."""
    return [
        uri
        for each in examined
        for path, document in each.documents.items()
        if path in each.findings.unparsed
        for uri in _uris(document)
        if document.cells is None
    ]


def build() -> Server:
    """A server with all that it understands."""
    server = Server()

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.begin(params)

    @server.feature(types.INITIALIZED)
    async def initialized(params: types.InitializedParams) -> None:
        server.refresh(scan=True)
        await server.watch()

    for method in (
        types.TEXT_DOCUMENT_DID_OPEN,
        types.TEXT_DOCUMENT_DID_CLOSE,
        types.TEXT_DOCUMENT_DID_SAVE,
        types.NOTEBOOK_DOCUMENT_DID_OPEN,
        types.NOTEBOOK_DOCUMENT_DID_CLOSE,
        types.NOTEBOOK_DOCUMENT_DID_SAVE,
        types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
        types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS,
    ):

        @server.feature(method)
        def disk_changed(params: Any) -> None:
            server.refresh(scan=True)

    for method in (types.TEXT_DOCUMENT_DID_CHANGE, types.NOTEBOOK_DOCUMENT_DID_CHANGE):

        @server.feature(method)
        def typed(params: Any) -> None:
            server.refresh()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    def configured(params: types.DidChangeConfigurationParams) -> None:
        server.configure(params.settings)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=list(KINDS), resolve_provider=True),
    )
    async def actions(params: types.CodeActionParams) -> list[types.CodeAction]:
        return await server.actions(params)

    @server.feature(types.CODE_ACTION_RESOLVE)
    async def resolve(action: types.CodeAction) -> types.CodeAction:
        return await server.resolve(action)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        return server.hover(params)

    @server.feature(types.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.stop()

    return server


def serve() -> int:
    """Serve the editor at the other end of the standard streams; return the exit code."""
    incoming, outgoing = _streams_of_our_own()
    server = build()
    server.start_io(incoming, outgoing)
    return server.exit_code


def _streams_of_our_own() -> tuple[BinaryIO, BinaryIO]:
    """The standard streams, which nothing else can write to or read from any more.

    What a plugin prints would be taken for a part of the protocol.
    """
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return incoming, outgoing
