"""The language server, through its protocol: what it repairs, silences and explains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from lsprotocol import types
from served import CHECKOUT, Editor, edited, run, serving

from rnnlint.engine import Request, check

GRADIENTS = CHECKOUT / "fixtures" / "article" / "gradients"
PADDING = CHECKOUT / "fixtures" / "article" / "padding"


@pytest.fixture
def gradients(tmp_path: Path) -> Path:
    """A project that nothing is unsafe to repair in."""
    root = tmp_path / "project"
    shutil.copytree(GRADIENTS, root)
    (root / "pyproject.toml").touch()
    return root


@pytest.fixture
def padding(tmp_path: Path) -> Path:
    """A project whose repairs reach over files."""
    root = tmp_path / "project"
    shutil.copytree(PADDING, root)
    (root / "pyproject.toml").touch()
    return root


def carry_out(edit: types.WorkspaceEdit, editor: Editor) -> dict[str, int | None]:
    """Write edits to the disk; return the versions that they are for, by name of file."""
    versions: dict[str, int | None] = {}
    for change in edit.document_changes or ():
        assert isinstance(change, types.TextDocumentEdit)
        uri = change.text_document.uri
        path = editor.root / uri.rpartition("/")[2]
        path.write_text(edited(path.read_text(), change.edits))
        versions[path.name] = change.text_document.version
    return versions


def found_in(root: Path) -> list[str]:
    outcome = check(Request(cwd=str(root), no_cache=True))
    return [diagnostic.code for diagnostic in outcome.diagnostics]


def test_a_quick_fix_repairs_over_files_and_says_for_which_versions(padding: Path) -> None:
    async def test() -> None:
        async with serving(padding) as editor:
            model = editor.open("model.py")
            await editor.until(lambda: "RNN101" in editor.codes(model))
            line = next(d.range.start.line for d in editor.diagnostics(model) if d.code == "RNN101")
            actions = await editor.actions(model, line, ["quickfix"])
            (action,) = (a for a in actions if a.title.startswith("RNN101: run"))
            assert action.title.endswith("(unsafe)")
            assert not action.is_preferred
            assert action.edit is None
            assert [d.code for d in action.diagnostics or ()] == ["RNN101"]
            versions = carry_out(await editor.resolved(action), editor)
            assert versions["model.py"] == 1
            assert set(versions) > {"model.py"}
            assert {version for name, version in versions.items() if name != "model.py"} == {None}
            assert "RNN101" not in found_in(padding)

    run(test)


def test_everything_that_is_safe_in_a_file_is_repaired_at_once(gradients: Path) -> None:
    async def test() -> None:
        async with serving(gradients) as editor:
            train = editor.open("train.py")
            await editor.until(lambda: "RNN201" in editor.codes(train))
            for only in (["source.fixAll.rnnlint"], ["source.fixAll"], ["source"]):
                (action,) = await editor.actions(train, only=only)
                assert action.kind == "source.fixAll.rnnlint"
            assert await editor.actions(train, only=["source.organizeImports"]) == []
            # What was typed since then counts.
            editor.change(train, "# new\n" + (gradients / "train.py").read_text())
            edit = await editor.resolved(action)
            (change,) = edit.document_changes or ()
            assert isinstance(change, types.TextDocumentEdit)
            assert change.text_document.version == 2
            text = edited("# new\n" + (gradients / "train.py").read_text(), change.edits)
            assert text.startswith("# new\n")
            editor.change(train, text)
            await editor.until(lambda: "RNN201" not in editor.codes(train))
            assert await editor.actions(train, only=["source.fixAll.rnnlint"]) == []

    run(test)


def test_an_editor_that_cannot_wait_for_edits_gets_them_at_once(gradients: Path) -> None:
    async def test() -> None:
        async with serving(gradients, resolves=False) as editor:
            train = editor.open("train.py")
            await editor.until(lambda: "RNN201" in editor.codes(train))
            actions = await editor.actions(train)
            assert actions
            assert all(action.edit is not None for action in actions)

    run(test)


def test_a_finding_is_silenced_where_it_is(gradients: Path) -> None:
    async def test() -> None:
        async with serving(gradients) as editor:
            train = editor.open("train.py")
            await editor.until(lambda: "RNN201" in editor.codes(train))
            actions = await editor.actions(train, only=["quickfix"])
            (action,) = (a for a in actions if a.title.startswith("RNN201: ignore"))
            carry_out(await editor.resolved(action), editor)
            text = (gradients / "train.py").read_text()
            assert "loss.backward()  # rnnlint: ignore[RNN201]\n" in text
            version = editor.change(train, text)
            await editor.analysed(train, version)
            assert "RNN201" not in editor.codes(train)
            # An action from before is about what is no more.
            late = await editor.code_action_resolve_async(action)
            assert late.edit is None

    run(test)


def test_what_the_baseline_knows_is_neither_shown_nor_touched(tmp_path: Path) -> None:
    """Of two equal findings it knows one, and the other is the one that actions are about."""
    layer = "nn.LSTM(8, 16, dropout=0.5)\n"
    (tmp_path / "pyproject.toml").write_text('[tool.rnnlint]\nbaseline = "rnnlint-baseline.json"\n')
    (tmp_path / "model.py").write_text(f"from torch import nn\n{layer}")
    known = {"path": "model.py", "code": "RNN503", "line": layer.strip()}
    baseline = tmp_path / "rnnlint-baseline.json"
    baseline.write_text(json.dumps({"version": 1, "findings": [known]}))

    async def test() -> None:
        async with serving(tmp_path) as editor:
            model = editor.open("model.py")
            await editor.analysed(model, 1)
            assert editor.codes(model) == []
            assert await editor.actions(model) == []

            text = f"from torch import nn\n{layer}{layer}"
            version = editor.change(model, text)
            await editor.analysed(model, version)
            (found,) = editor.diagnostics(model)
            assert found.range.start.line == 2
            assert await editor.actions(model, 1, ["quickfix"]) == []
            fix, ignore = await editor.actions(model, only=["quickfix"])
            (everything,) = await editor.actions(model, only=["source.fixAll"])
            mended, silent = layer.replace(", dropout=0.5", ""), f"{layer.strip()}  # rnnlint: "
            for action, after in (
                (fix, mended),
                (everything, mended),
                (ignore, f"{silent}ignore[RNN503]\n"),
            ):
                (change,) = (await editor.resolved(action)).document_changes or ()
                assert isinstance(change, types.TextDocumentEdit)
                assert edited(text, change.edits) == f"from torch import nn\n{layer}{after}"

            baseline.write_text(json.dumps({"version": 1, "findings": []}))
            editor.touched(baseline.name)
            await editor.until(lambda: len(editor.codes(model)) == 2)

    run(test)


def test_the_page_of_a_rule_is_shown_where_it_is_named(gradients: Path) -> None:
    text = (
        "x = 1  # rnnlint: ignore[RNN201, default-recurrent-init] because\n"
        "y = 2  # as RNN503 says\n"
        "z = missing_lr_scheduler  # default-recurrent-init\n"
    )

    async def test() -> None:
        async with serving(gradients) as editor:
            uri = editor.open("named.py", text)

            async def page(line: int, word: str) -> str:
                column = text.split("\n")[line].index(word) + 1
                hover = await editor.text_document_hover_async(
                    types.HoverParams(
                        types.TextDocumentIdentifier(uri), types.Position(line, column)
                    )
                )
                if hover is None:
                    return ""
                assert isinstance(hover.contents, types.MarkupContent)
                return hover.contents.value

            assert (await page(0, "RNN201")).startswith("# RNN201 missing-gradient-clipping")
            assert (await page(0, "default")).startswith("# RNN401 default-recurrent-init")
            both = await page(0, "ignore")
            assert "# RNN201 " in both
            assert "# RNN401 " in both
            assert (await page(1, "RNN503")).startswith("# RNN503 dropout-without-effect")
            assert await page(0, "x") == await page(2, "missing") == await page(2, "init") == ""

    run(test)
