"""The language server, through its protocol: what is published, and when."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lsprotocol import types
from served import CHECKOUT, run, serving
from trained import TAGGER

ARTICLE = CHECKOUT / "fixtures" / "article" / "padding"
UNFOUNDED = "dropout=0.5"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose model runs over padding that its data module makes."""
    root = tmp_path / "project"
    shutil.copytree(ARTICLE, root)
    (root / "pyproject.toml").touch()
    return root


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project with one finding."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "model.py").write_text(TAGGER)
    return tmp_path


def insertion(line: int, character: int, text: str) -> types.TextDocumentContentChangePartial:
    place = types.Position(line, character)
    return types.TextDocumentContentChangePartial(text=text, range=types.Range(place, place))


def test_findings_are_shown_with_their_evidence_across_files(project: Path) -> None:
    async def test() -> None:
        async with serving(project) as editor:
            model = editor.uri("model.py")
            await editor.until(lambda: "RNN101" in editor.codes(model))
            (found,) = (d for d in editor.diagnostics(model) if d.code == "RNN101")
            assert found.source == "rnnlint"
            assert found.severity == types.DiagnosticSeverity.Warning
            assert found.code_description is not None
            assert found.code_description.href.endswith("/rnn101-unpacked-padded-input/")
            assert found.range == types.Range(types.Position(17, 20), types.Position(17, 39))
            places = [each.location.uri for each in found.related_information or ()]
            assert editor.uri("data.py") in places
            assert editor.uri("train.py") in places

    run(test)


def test_a_change_in_one_file_moves_the_findings_of_another(project: Path) -> None:
    async def test() -> None:
        async with serving(project) as editor:
            model = editor.uri("model.py")
            await editor.until(lambda: "RNN101" in editor.codes(model))
            data = editor.open("data.py")
            text = (project / "data.py").read_text()
            editor.change(data, text.replace("padded = pad_sequence(", "padded = torch.stack("))
            await editor.until(lambda: "RNN101" not in editor.codes(model))
            editor.change(data, text)
            await editor.until(lambda: "RNN101" in editor.codes(model))
            # What was never saved is gone when it is closed.
            editor.change(data, "")
            await editor.until(lambda: "RNN101" not in editor.codes(model))
            editor.close(data)
            await editor.until(lambda: "RNN101" in editor.codes(model))

    run(test)


def test_the_newest_state_wins_and_no_change_is_lost(small: Path) -> None:
    async def test() -> None:
        async with serving(small) as editor:
            model = editor.open("model.py")
            await editor.analysed(model, 1)
            for _ in range(30):
                editor.change(model, insertion(0, 0, "#"))
                version = editor.change(model, insertion(0, 1, "\n"))
            await editor.analysed(model, version)
            (found,) = editor.diagnostics(model)
            assert found.range.start.line == 36
            assert editor.count < 40

    run(test)


def test_several_changes_at_once_are_made_in_their_order(small: Path) -> None:
    async def test() -> None:
        async with serving(small) as editor:
            model = editor.open("model.py")
            delete = types.TextDocumentContentChangePartial(
                text="", range=types.Range(types.Position(0, 0), types.Position(2, 0))
            )
            version = editor.change(model, insertion(0, 0, "# one\n# two\n"), delete)
            await editor.analysed(model, version)
            (found,) = editor.diagnostics(model)
            assert found.range.start.line == 6

    run(test)


def test_lines_end_where_the_protocol_says(small: Path) -> None:
    """For `str.splitlines` a form feed and a separator of lines end one, too."""

    async def test() -> None:
        async with serving(small) as editor:
            model = editor.open("model.py", f'"""A\x0cb\u2028c\x0bd."""\r{TAGGER}')
            version = editor.change(model, insertion(1, 0, "import torch\r\n"))
            await editor.analysed(model, version)
            (found,) = editor.diagnostics(model)
            assert found.range.start.line == 8

    run(test)


@pytest.mark.parametrize(
    ("encodings", "extra"),
    [
        pytest.param(None, 1, id="UTF-16 when nothing is said"),
        pytest.param(["utf-8", "utf-16"], 3, id="UTF-8"),
        pytest.param(["utf-32"], 0, id="UTF-32"),
        pytest.param(["ebcdic"], 1, id="what nobody knows"),
    ],
)
def test_columns_are_counted_in_the_units_agreed_on(
    small: Path, encodings: list[str] | None, extra: int
) -> None:
    async def test() -> None:
        async with serving(small, encodings=encodings) as editor:
            before = "'\U0001d11e'; "
            line = f"{before}tagger = nn.LSTM(8, 16, num_layers=1, {UNFOUNDED})\n"
            model = editor.open("model.py", f"from torch import nn\n{line}")
            await editor.analysed(model, 1)
            (found,) = editor.diagnostics(model)
            assert found.range.start == types.Position(1, line.index("nn.LSTM") + extra)
            # And what is typed behind it ends up there.
            start = types.Position(1, line.index(UNFOUNDED) + extra)
            change = types.TextDocumentContentChangePartial(
                text="dropout=0.0)", range=types.Range(start, types.Position(1, 10_000))
            )
            version = editor.change(model, change)
            await editor.analysed(model, version)
            assert editor.codes(model) == []

    run(test)


def test_settings_are_read_again_when_they_change(small: Path) -> None:
    async def test() -> None:
        async with serving(small) as editor:
            model = editor.open("model.py")
            await editor.until(lambda: editor.codes(model) == ["RNN503"])
            await editor.until(lambda: bool(editor.watched))
            assert editor.watched == ["workspace/didChangeWatchedFiles"]
            (small / "pyproject.toml").write_text('[tool.rnnlint]\nignore = ["RNN503"]\n')
            editor.touched("pyproject.toml")
            await editor.until(lambda: editor.codes(model) == [])
            (small / "pyproject.toml").write_text("")
            editor.touched("pyproject.toml")
            await editor.until(lambda: editor.codes(model) == ["RNN503"])
            (small / ".gitignore").write_text("model.py\n")
            editor.touched(".gitignore")
            await editor.until(lambda: editor.codes(model) == [])

    run(test)


def test_settings_that_cannot_be_used_are_a_message(small: Path) -> None:
    async def test() -> None:
        async with serving(small) as editor:
            model = editor.open("model.py")
            await editor.until(lambda: editor.codes(model) == ["RNN503"])
            (small / "pyproject.toml").write_text('[tool.rnnlint]\nselect = ["RNN999"]\n')
            editor.touched("pyproject.toml")
            await editor.until(lambda: len(editor.messages) == 1)
            (small / "pyproject.toml").write_text("[tool.rnnlint\n")
            editor.touched("pyproject.toml")
            await editor.until(lambda: len(editor.messages) == 2)
            assert "RNN999" in editor.messages[0]
            assert "not valid TOML" in editor.messages[1]
            # The last that could be used hold, and each fault is told once.
            version = editor.change(model, insertion(0, 0, "\n"))
            await editor.analysed(model, version)
            assert editor.codes(model) == ["RNN503"]
            assert len(editor.messages) == 2
            (small / "pyproject.toml").write_text('[tool.rnnlint]\nignore = ["RNN503"]\n')
            editor.touched("pyproject.toml")
            await editor.until(lambda: editor.codes(model) == [])

    run(test)


def test_the_editor_has_settings_too(small: Path) -> None:
    async def test() -> None:
        async with serving(small, options={"ignore": ["RNN503"]}) as editor:
            model = editor.open("model.py")
            await editor.analysed(model, 1)
            assert editor.codes(model) == []
            editor.workspace_did_change_configuration(
                types.DidChangeConfigurationParams({"rnnlint": {"extendSelect": []}})
            )
            await editor.until(lambda: editor.codes(model) == ["RNN503"])

    run(test)


def test_while_a_file_does_not_parse_the_others_keep_what_is_said_of_them(project: Path) -> None:
    async def test() -> None:
        async with serving(project) as editor:
            model = editor.uri("model.py")
            await editor.until(lambda: "RNN101" in editor.codes(model))
            data = editor.open("data.py")
            await editor.analysed(data, 1)
            version = editor.change(data, insertion(0, 0, "def half("))
            await editor.analysed(data, version)
            assert editor.codes(data) == ["RNN001"]
            assert "RNN101" in editor.codes(model)
            version = editor.change(data, (project / "data.py").read_text())
            await editor.analysed(data, version)
            assert "RNN001" not in editor.codes(data)

    run(test)


def test_what_could_crash_the_parser_is_a_finding(small: Path) -> None:
    async def test() -> None:
        async with serving(small) as editor:
            model = editor.open("model.py")
            await editor.analysed(model, 1)
            hostile = f"x = {'(' * 20_000}{')' * 20_000}\n"
            version = editor.change(model, insertion(0, 0, hostile))
            await editor.analysed(model, version)
            assert editor.codes(model) == ["RNN001"]
            version = editor.change(model, TAGGER)
            await editor.analysed(model, version)
            assert editor.codes(model) == ["RNN503"]

    run(test)


def test_files_come_and_go(small: Path) -> None:
    async def test() -> None:
        async with serving(small) as editor:
            model = editor.uri("model.py")
            await editor.until(lambda: editor.codes(model) == ["RNN503"])
            (small / "model.py").rename(small / "tagger.py")
            editor.touched("model.py", "tagger.py")
            tagger = editor.uri("tagger.py")
            await editor.until(lambda: editor.codes(tagger) == ["RNN503"])
            assert editor.codes(model) == []
            opened = editor.open("unsaved.py", TAGGER)
            await editor.until(lambda: editor.codes(opened) == ["RNN503"])
            (small / "tagger.py").unlink()
            editor.touched("tagger.py")
            await editor.until(lambda: editor.codes(tagger) == [])
            assert editor.codes(opened) == ["RNN503"]

    run(test)


def test_several_folders_and_files_outside_them(tmp_path: Path) -> None:
    async def test() -> None:
        folders = [tmp_path / "one", tmp_path / "two"]
        elsewhere = tmp_path / "elsewhere"
        for folder in (*folders, elsewhere):
            folder.mkdir()
            (folder / "model.py").write_text(TAGGER)
        (elsewhere / "other.py").write_text(TAGGER)
        async with serving(tmp_path, folders=folders) as editor:
            one, two = (editor.uri(f"{name}/model.py") for name in ("one", "two"))
            await editor.until(lambda: editor.codes(one) == editor.codes(two) == ["RNN503"])
            loose = editor.open("elsewhere/model.py")
            await editor.until(lambda: editor.codes(loose) == ["RNN503"])
            # Nobody asked about its neighbours.
            assert editor.codes(editor.uri("elsewhere/other.py")) == []
            editor.close(loose)
            await editor.until(lambda: editor.codes(loose) == [])
            editor.workspace_did_change_workspace_folders(
                types.DidChangeWorkspaceFoldersParams(
                    types.WorkspaceFoldersChangeEvent(
                        added=[], removed=[types.WorkspaceFolder(folders[1].as_uri(), "two")]
                    )
                )
            )
            await editor.until(lambda: editor.codes(two) == [])
            assert editor.codes(one) == ["RNN503"]

    run(test)


def test_a_file_in_another_encoding_is_what_the_editor_shows(small: Path) -> None:
    async def test() -> None:
        async with serving(small) as editor:
            text = f"# coding: latin-1\n# \xe4\n{TAGGER}"
            (small / "model.py").write_bytes(text.encode("latin-1"))
            model = editor.open("model.py", text.replace("\xe4", "\u20ac"))
            await editor.analysed(model, 1)
            (found,) = editor.diagnostics(model)
            assert found.range.start.line == 8

    run(test)


def test_a_server_that_is_left_ends() -> None:
    """The exit code says whether the editor took its leave."""
    command = [sys.executable, "-m", "rnnlint", "server", "--stdio"]
    left = subprocess.run(command, cwd=CHECKOUT, input=b"", capture_output=True, timeout=60)
    assert left.returncode == 1, left.stderr
    assert left.stdout == b""
    body = b'{"jsonrpc":"2.0","method":"exit"}'
    message = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    left = subprocess.run(command, cwd=CHECKOUT, input=message, capture_output=True, timeout=60)
    assert left.returncode == 1, left.stderr
