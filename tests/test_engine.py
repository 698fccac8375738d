"""The engine: what is reported of a file depends neither on what was asked nor from where."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from trained import DATA, FAULT, MODEL, TORCH, TRAIN, check, codes, lay, training_project

from rnnlint import engine
from rnnlint.diagnostic import Diagnostic, Fix, Span
from rnnlint.project.config import ConfigError

CHECKOUT = Path(__file__).parent.parent
ARTICLE = CHECKOUT / "fixtures" / "article"

# --- what is reported does not depend on what was asked ---------------------------------


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


def _projects(home: Path) -> Iterator[Path]:
    """Projects of every shape, each with findings that have their causes in other files."""
    for name in ("padding", "initialisation", "gradients"):
        shutil.copytree(ARTICLE / name, home / name)
        yield lay(home / name, {"pyproject.toml": "[project]\nname = 'article'\n"})
    sources = training_project(home / "sources", "src/acme/", "acme.")
    yield lay(sources, {"src/acme/__init__.py": "", "setup.py": ""})
    package = training_project(home / "package", "acme/parts/", "acme.parts.")
    yield lay(package, {"acme/__init__.py": "", "acme/parts/__init__.py": ""})
    relative = training_project(home / "relative", "acme/", ".")
    yield lay(relative, {"acme/__init__.py": "", ".git/HEAD": "", "acme/setup.py": ""})
    nested = training_project(home / "nested", "inner/")
    yield lay(nested, {"pyproject.toml": "", "inner/rnnlint.toml": 'ignore = ["RNN301"]\n'})
    cells = [{"cell_type": "code", "source": "from data import *\nfrom model import *"}]
    cells += [{"cell_type": "code", "source": TRAIN.partition("Tagger\n\n\n")[2]}]
    notebook = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4})
    files = {"data.py": DATA, "model.py": MODEL, "train.ipynb": notebook, "setup.cfg": ""}
    yield lay(home / "notebook", files)


PROJECTS = "padding initialisation gradients sources package relative nested notebook".split()


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.name: path for path in _projects(tmp_path_factory.mktemp("projects"))}


def placed(outcome: engine.Outcome, cwd: Path) -> list[Diagnostic]:
    """The diagnostics with absolute paths, which no longer depend on the working directory."""

    def absolute(span: Span) -> Span:
        return replace(span, path=os.path.normpath(cwd / span.path))

    def moved(fix: Fix | None) -> Fix | None:
        if fix is None:
            return None
        places = [os.path.normpath(cwd / edit.path) for edit in fix.edits]
        pairs = zip(fix.edits, places, strict=True)
        return replace(fix, edits=tuple(replace(edit, path=path) for edit, path in pairs))

    return [
        replace(
            d,
            span=absolute(d.span),
            trail=tuple(replace(step, span=absolute(step.span)) for step in d.trail),
            fix=moved(d.fix),
        )
        for d in outcome.diagnostics
    ]


@pytest.mark.parametrize("name", PROJECTS)
def test_one_file_is_told_what_the_project_is_told_of_it(
    projects: dict[str, Path], elsewhere: Path, name: str
) -> None:
    root = projects[name]
    whole = placed(check(root, no_cache=True), root)
    files = sorted(path for path in root.rglob("*") if path.suffix in (".py", ".ipynb"))
    assert whole
    for file in files:
        expected = [d for d in whole if d.span.path == str(file)]
        inside = str(file.relative_to(root))
        for cwd, given in (
            (root, inside),
            (elsewhere, str(file)),
            (root.parent, f"{name}/{inside}"),
        ):
            outcome = check(cwd, given, no_cache=True)
            assert placed(outcome, cwd) == expected, (cwd, given)
            assert outcome.summary.analysed == 1
    named = check(root, *(str(file.relative_to(root)) for file in files), no_cache=True)
    assert placed(named, root) == whole
    assert placed(check(elsewhere, str(root), no_cache=True), elsewhere) == whole


def test_the_fixtures_where_they_lie(elsewhere: Path) -> None:
    whole = placed(check(CHECKOUT, "fixtures/article", no_cache=True), CHECKOUT)
    assert len(whole) >= 9
    for cwd, given in ((elsewhere, str(ARTICLE)), (ARTICLE / "padding", ".."), (ARTICLE, ".")):
        assert placed(check(cwd, given), cwd) == whole
    for file in sorted(ARTICLE.rglob("*.py")):
        expected = [d for d in whole if d.span.path == str(file)]
        assert placed(check(file.parent, file.name), file.parent) == expected


def test_paths_are_shown_from_the_working_directory(tmp_path: Path) -> None:
    training_project(tmp_path / "project")
    lay(tmp_path, {"project/setup.py": "", "beside/x.txt": ""})
    for cwd, prefix in ((tmp_path, "project/"), (tmp_path / "beside", "../project/")):
        outcome = check(cwd, f"{prefix}model.py")
        assert {d.span.path for d in outcome.diagnostics} == {f"{prefix}model.py"}
        trails = {step.span.path for d in outcome.diagnostics for step in d.trail}
        assert f"{prefix}data.py" in trails
        assert {f"{prefix}model.py", f"{prefix}data.py"} <= outcome.excerpts.keys()


def test_two_projects_in_one_call(tmp_path: Path) -> None:
    for name in ("one", "two"):
        training_project(lay(tmp_path / name, {"setup.py": ""}))
    lay(tmp_path / "two", {"rnnlint.toml": 'select = ["RNN201"]\n'})
    apart = [*check(tmp_path, "one").diagnostics, *check(tmp_path, "two").diagnostics]
    both = check(tmp_path, "two", "one")
    assert sorted(both.diagnostics, key=repr) == sorted(apart, key=repr)
    assert [d.level.rank for d in both.diagnostics] == sorted(d.level.rank for d in apart)
    assert {d.code for d in both.diagnostics if d.span.path.startswith("two/")} == {"RNN201"}
    assert (both.summary.analysed, both.summary.cached) == (8, True)


def test_a_missing_path_spoils_nothing_else(tmp_path: Path) -> None:
    training_project(tmp_path)
    outcome = check(tmp_path, "absent.py", "model.py", "no/*.py")
    assert [(n.path, n.fatal) for n in outcome.notices] == [("absent.py", True), ("no/*.py", True)]
    assert codes(outcome) == codes(check(tmp_path), "model.py") != []
    assert check(tmp_path, "absent.py").notices == outcome.notices[:1]


# --- settings --------------------------------------------------------------------------


def test_the_nearest_settings_hold(tmp_path: Path) -> None:
    files = dict.fromkeys(("a.py", "sub/b.py", "sub/deep/c.py", "sub/d.py"), TORCH + FAULT)
    lay(tmp_path, files)
    lay(tmp_path, {"rnnlint.toml": 'ignore = ["RNN503"]\n', "sub/rnnlint.toml": ""})
    lay(tmp_path, {"sub/pyproject.toml": "[tool.other]\n", "sub/deep/pyproject.toml": ""})
    assert {d.span.path for d in check(tmp_path).diagnostics} == {
        "sub/b.py",
        "sub/d.py",
        "sub/deep/c.py",
    }
    lay(tmp_path, {"sub/deep/pyproject.toml": '[tool.rnnlint]\nextend = "../../rnnlint.toml"\n'})
    assert {d.span.path for d in check(tmp_path).diagnostics} == {"sub/b.py", "sub/d.py"}
    lay(tmp_path, {"sub/rnnlint.toml": 'per-file-ignores = { "b.py" = ["RNN5"] }\n'})
    assert {d.span.path for d in check(tmp_path).diagnostics} == {"sub/d.py"}
    lay(tmp_path, {"sub/rnnlint.toml": 'extend-exclude = ["d.py"]\n'})
    assert {d.span.path for d in check(tmp_path).diagnostics} == {"sub/b.py"}
    assert check(tmp_path, isolated=True).summary.analysed == 4
    assert len(check(tmp_path, isolated=True).diagnostics) == 4


def test_selection(tmp_path: Path) -> None:
    training_project(tmp_path)
    everything = codes(check(tmp_path))
    assert {"RNN101", "RNN201"} <= set(everything)

    def with_inline(*inline: str) -> list[str]:
        return codes(check(tmp_path, inline_config=inline))

    assert with_inline('select = ["RNN101"]') == ["RNN101"]
    assert with_inline('select = ["RNN1"]') == [c for c in everything if c < "RNN2"]
    assert with_inline('ignore = ["RNN1"]') == [c for c in everything if c > "RNN2"]
    assert with_inline('ignore = ["ALL"]', 'extend-select = ["RNN201"]') == ["RNN201"]
    ignores = 'per-file-ignores = { "*.py" = ["ALL"] }'
    assert with_inline(ignores) == []
    with pytest.raises(ConfigError, match="unknown rule 'RNN1O1' in select; did you mean"):
        with_inline('select = ["RNN1O1"]')


def test_a_settings_file_is_found_from_the_working_directory(tmp_path: Path) -> None:
    training_project(lay(tmp_path, {"conf/only.toml": 'select = ["RNN201"]\n'}))
    lay(tmp_path, {"rnnlint.toml": 'select = ["RNN101"]\n'})
    assert os.getcwd() != str(tmp_path)
    assert codes(check(tmp_path, config="conf/only.toml")) == ["RNN201"]
    assert codes(check(tmp_path / "conf", "../model.py", config="only.toml")) == []


# --- standard input ------------------------------------------------------------------------


def test_standard_input_stands_for_a_file(tmp_path: Path) -> None:
    training_project(tmp_path)
    before = check(tmp_path)
    longer = f"# one more line\n{MODEL}".encode()
    overlaid = check(tmp_path, "-", stdin=longer, stdin_filename="model.py")
    on_disk = [d for d in before.diagnostics if d.span.path == "model.py"]
    assert [(d.code, d.message) for d in overlaid.diagnostics] == [
        (d.code, d.message) for d in on_disk
    ]
    assert [d.span.location.row - 1 for d in overlaid.diagnostics] == [
        d.span.location.row for d in on_disk
    ]
    after = check(tmp_path)
    assert (after.summary.cached, after.diagnostics) == (True, before.diagnostics)


def test_standard_input_may_have_a_new_name_or_none(tmp_path: Path) -> None:
    source = (TORCH + FAULT).encode()
    assert {d.span.path for d in check(tmp_path, "-", stdin=source).diagnostics} == {"stdin.py"}
    outcome = check(tmp_path, "-", stdin=source, stdin_filename="new/folder/a.py")
    assert {d.span.path for d in outcome.diagnostics} == {"new/folder/a.py"}
    assert check(tmp_path, "-", stdin=b"").diagnostics == ()
    assert check(tmp_path, "-", stdin=b"\0").notices[0].fatal
    with pytest.raises(engine.UsageError, match="name no other path"):
        check(tmp_path, "-", "a.py", stdin=source)
