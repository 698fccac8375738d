"""The documents that an editor shows: files, and notebooks cell by cell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePath

import msgspec
from lsprotocol import types
from pygls import uris
from pygls.workspace import TextDocument, Workspace

from rnnlint.project.source import declared_encoding
from rnnlint.server.positions import Units, changed

_BOM = "\ufeff"
_PYTHON = ("python", "")
_SUFFIXES = (".py", ".pyi", ".pyw")


class Cell(msgspec.Struct, frozen=True):
    """A cell of a notebook that is open."""

    uri: str
    version: int | None
    text: str
    is_python: bool


class Document(msgspec.Struct, frozen=True):
    """A file that is open, as the editor has it."""

    uri: str
    path: str
    """Absolute."""
    version: int | None
    text: str = ""
    cells: tuple[Cell, ...] | None = None
    """Those of a notebook; its `text` is empty."""

    @property
    def data(self) -> bytes:
        """What would be on disk if it were saved, as far as an analysis can tell."""
        if self.cells is not None:
            return _notebook(self.cells)
        data = self.text.encode("utf-8", "replace")
        # A mark says what the encoding is, whatever the first lines say.
        return data if declared_encoding(data) == "utf-8" else _BOM.encode() + data


class Documents(Workspace):
    """The documents, kept up to date as editors tell it.

    Lines end where the protocol says: for pygls a form feed ends one, too, so that what is
    typed behind one would end up elsewhere.
    """

    def update_text_document(
        self,
        text_doc: types.VersionedTextDocumentIdentifier,
        change: types.TextDocumentContentChangeEvent,
    ) -> None:
        document = self.get_text_document(text_doc.uri)
        text = changed(document.source, change, Units(self.position_encoding))
        self.put_text_document(
            types.TextDocumentItem(
                uri=document.uri,
                language_id=document.language_id or "",
                version=text_doc.version,
                text=text,
            )
        )

    def text_of(self, uri: str) -> str | None:
        """The text of a file or cell; None if it is not open."""
        return next((text.source for text in self.text_documents.values() if text.uri == uri), None)

    def open_documents(self) -> Iterator[Document]:
        """The files and notebooks in Python that are open."""
        texts = {text.uri: text for text in self.text_documents.values()}
        for notebook in self.notebook_documents.values():
            cells = tuple(_cell(cell, texts.pop(cell.document, None)) for cell in notebook.cells)
            path = path_of(notebook.uri)
            if path is not None:
                yield Document(notebook.uri, path, notebook.version, cells=cells)
        for text in texts.values():
            path = path_of(text.uri)
            is_python = text.language_id == "python" or text.uri.endswith(_SUFFIXES)
            if path is not None and is_python:
                yield Document(text.uri, path, text.version, text.source)


def _cell(cell: types.NotebookCell, text: TextDocument | None) -> Cell:
    if text is None:
        return Cell(cell.document, None, "", False)
    is_python = (text.language_id or "").lower() in _PYTHON
    is_code = cell.kind == types.NotebookCellKind.Code
    return Cell(cell.document, text.version, text.source, is_code and is_python)


def _notebook(cells: tuple[Cell, ...]) -> bytes:
    """A notebook file with these cells, each at its place."""
    written: list[dict[str, object]] = [
        {
            "cell_type": "code" if cell.is_python else "raw",
            "metadata": {},
            "source": cell.text.encode("utf-8", "replace").decode(),
        }
        for cell in cells
    ]
    return msgspec.json.encode({"cells": written, "metadata": {}, "nbformat": 4})


def path_of(uri: str) -> str | None:
    """The absolute path of what an address names; None if it is no file on this machine."""
    path = uris.to_fs_path(uri)
    return os.path.normpath(path) if path else None


def uri_of(path: str) -> str:
    """The address of a file that no editor has named."""
    return str(uris.from_fs_path(path) or PurePath(path).as_uri())
