"""The language server, through its protocol: notebooks, whose cells are one program."""

from __future__ import annotations

import json
from pathlib import Path

from lsprotocol import types
from served import Editor, run, serving

CELLS = (
    "from torch import nn\n%matplotlib inline",
    "size = '\U0001d11e'; tagger = nn.LSTM(8, 16, num_layers=1, dropout=0.5)",
    "print(tagger)",
)


class Shown:
    """A notebook in an editor."""

    def __init__(self, editor: Editor, path: str, texts: tuple[str, ...]) -> None:
        self.editor = editor
        self.uri = editor.uri(path)
        self.version = 1
        self.uris = [f"vscode-notebook-cell:{self.uri[5:]}#{n}" for n in range(len(texts))]
        editor.notebook_document_did_open(
            types.DidOpenNotebookDocumentParams(
                types.NotebookDocument(
                    self.uri, "jupyter-notebook", 1, [cell(uri) for uri in self.uris]
                ),
                [item(uri, text) for uri, text in zip(self.uris, texts, strict=True)],
            )
        )

    def change(self, cells: types.NotebookDocumentCellChanges) -> None:
        self.version += 1
        self.editor.notebook_document_did_change(
            types.DidChangeNotebookDocumentParams(
                types.VersionedNotebookDocumentIdentifier(self.version, self.uri),
                types.NotebookDocumentChangeEvent(cells=cells),
            )
        )


def cell(uri: str) -> types.NotebookCell:
    return types.NotebookCell(types.NotebookCellKind.Code, uri)


def item(uri: str, text: str) -> types.TextDocumentItem:
    return types.TextDocumentItem(uri, "python", 1, text)


def test_of_a_notebook_that_is_not_open_the_file_speaks(tmp_path: Path) -> None:
    """Its cells have no addresses, so words say where."""
    (tmp_path / "pyproject.toml").touch()
    cells = [{"cell_type": "code", "metadata": {}, "source": text} for text in CELLS]
    (tmp_path / "train.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4})
    )

    async def test() -> None:
        async with serving(tmp_path) as editor:
            book = editor.uri("train.ipynb")
            await editor.until(lambda: editor.codes(book) == ["RNN503"])
            (found,) = editor.diagnostics(book)
            column = CELLS[1].index("nn.LSTM") + 1
            assert found.message.startswith(f"cell 1:1:{column}: dropout=0.5 ")
            assert found.range == types.Range(types.Position(0, 0), types.Position(0, 0))

            second = Shown(editor, "train.ipynb", CELLS).uris[1]
            await editor.until(lambda: editor.codes(second) == ["RNN503"])
            await editor.until(lambda: editor.codes(book) == [])
            (found,) = editor.diagnostics(second)
            assert found.message.startswith("dropout=0.5 ")

            editor.notebook_document_did_close(
                types.DidCloseNotebookDocumentParams(
                    types.NotebookDocumentIdentifier(book),
                    [types.TextDocumentIdentifier(second)],
                )
            )
            await editor.until(lambda: editor.codes(book) == ["RNN503"])
            await editor.until(lambda: editor.codes(second) == [])

    run(test)


def test_findings_stand_in_their_cells_and_are_repaired_there(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()

    async def test() -> None:
        async with serving(tmp_path) as editor:
            notebook = Shown(editor, "train.ipynb", CELLS)
            first, second, _ = notebook.uris
            await editor.until(lambda: editor.codes(second) == ["RNN503"])
            assert editor.codes(first) == []
            (found,) = editor.diagnostics(second)
            # Two units of UTF-16 for one character.
            assert found.range.start == types.Position(0, CELLS[1].index("nn.LSTM") + 1)

            (action,) = await editor.actions(second, only=["source.fixAll"])
            (change,) = (await editor.resolved(action)).document_changes or ()
            assert isinstance(change, types.TextDocumentEdit)
            assert change.text_document.uri == second
            (edit,) = change.edits
            assert isinstance(edit, types.TextEdit)
            assert edit.new_text == CELLS[1].replace(", dropout=0.5", "")

            # A cell that does not parse is left out; the others are a program all the same.
            broken = types.TextDocumentContentChangePartial(
                text="(", range=types.Range(types.Position(0, 0), types.Position(0, 0))
            )
            document = types.VersionedTextDocumentIdentifier(2, notebook.uris[2])
            notebook.change(
                types.NotebookDocumentCellChanges(
                    text_content=[types.NotebookDocumentCellContentChanges(document, [broken])]
                )
            )
            await editor.until(lambda: editor.codes(notebook.uris[2]) == ["RNN001"])
            assert editor.codes(second) == ["RNN503"]

            # Cells come and go: without its import, nobody knows what `nn` is.
            structure = types.NotebookDocumentCellChangeStructure(
                types.NotebookCellArrayChange(0, 1, []),
                did_close=[types.TextDocumentIdentifier(first)],
            )
            notebook.change(types.NotebookDocumentCellChanges(structure=structure))
            await editor.until(lambda: editor.codes(second) == [])

    run(test)
