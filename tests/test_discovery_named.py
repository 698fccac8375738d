"""What is named by hand: where its project begins, and what is said when it is not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from closed import close

from rnnlint import engine
from rnnlint.diagnostic import Notice
from rnnlint.project.discovery import group_by_root, project_root

FAULTY = "from torch import nn\nprobe = nn.GRU(3, 4, dropout=0.5)\n"


def lay(root: Path, *paths: str, text: str = FAULTY) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def check(folder: Path, *paths: str, inline: tuple[str, ...] = ()) -> engine.Outcome:
    return engine.check(
        engine.Request(paths=paths, cwd=str(folder), no_cache=True, inline_config=inline)
    )


def found_in(outcome: engine.Outcome) -> list[str]:
    return [diagnostic.span.path for diagnostic in outcome.diagnostics]


# --- roots ----------------------------------------------------------------------------


def test_the_whole_disk_is_no_project(tmp_path: Path) -> None:
    lay(tmp_path, "app/pkg/__init__.py", "app/pkg/train.py")
    top = Path(tmp_path.anchor)
    assert project_root(tmp_path / "app/pkg/train.py", top) == tmp_path / "app"
    assert project_root(top, top) == top


def test_the_home_folder_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    lay(tmp_path, "app/train.py")
    assert project_root(tmp_path / "app/train.py", tmp_path) == tmp_path / "app"
    assert project_root(tmp_path / "app", tmp_path) == tmp_path / "app"
    (tmp_path / "pyproject.toml").touch()
    assert project_root(tmp_path / "app/train.py", tmp_path) == tmp_path


def test_a_working_directory_far_above_is_no_project(tmp_path: Path) -> None:
    lay(tmp_path, "a/b/c/d/train.py")
    assert project_root(tmp_path / "a/b/c/near.py", tmp_path) == tmp_path
    assert project_root(tmp_path / "a/b/c/d/train.py", tmp_path) == tmp_path / "a/b/c/d"


# --- what cannot be read --------------------------------------------------------------


def test_what_must_not_be_read_is_told_as_the_system_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, "closed/a.py", "open.py")
    close(tmp_path / "closed", monkeypatch)
    groups, notices = group_by_root(["closed", "closed/a.py", "open.py/x", "nul\0"], tmp_path)
    assert list(groups.values()) == [[str(tmp_path / "closed")]]
    assert notices == [
        Notice("closed/a.py", "cannot be read: Permission denied", fatal=True),
        Notice("open.py/x", "no such file or folder; check the spelling", fatal=True),
        Notice("nul\0", "no such file or folder; check the spelling", fatal=True),
    ]


@pytest.mark.parametrize(
    ("named", "fatal"), [(".", True), ("pkg", True), ("pkg/closed", True), ("a.py", False)]
)
def test_a_folder_that_cannot_be_listed_is_fatal_where_it_was_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, fatal: bool
) -> None:
    lay(tmp_path, "rnnlint.toml", text="")
    lay(tmp_path, "pkg/closed/b.py", "a.py", "pkg/c.py")
    close(tmp_path / "pkg" / "closed", monkeypatch)
    (notice,) = check(tmp_path, named).notices
    assert (notice.path, notice.fatal) == ("pkg/closed", fatal)
    assert notice.message == "the folder cannot be read: Permission denied"


def test_an_excluded_folder_that_cannot_be_listed_is_fatal_when_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, "rnnlint.toml", text="")
    lay(tmp_path, "build/a.py")
    close(tmp_path / "build", monkeypatch)
    message = "the folder cannot be read: Permission denied"
    assert check(tmp_path, "build").notices == (Notice("build", message, fatal=True),)


def test_a_file_that_cannot_be_opened_is_fatal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "script").symlink_to(tmp_path / "nowhere")
    (notice,) = check(tmp_path, "script").notices
    assert (notice.message, notice.fatal) == ("cannot be read: No such file or directory", True)


# --- what is no Python, or is left out ---------------------------------------------------


def test_python_under_other_endings_is_read_when_it_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "a.pyi", "b.pyw", "c.py")
    assert found_in(check(tmp_path)) == ["c.py"]
    outcome = check(tmp_path, "a.pyi", "b.pyw")
    assert (found_in(outcome), outcome.notices) == (["a.pyi", "b.pyw"], ())


def test_what_is_no_python_is_skipped(tmp_path: Path) -> None:
    lay(tmp_path, "a.py", "notes.txt")
    outcome = check(tmp_path, "a.py", "notes.txt")
    assert found_in(outcome) == ["a.py"]
    assert [(n.path, n.fatal, n.skips) for n in outcome.notices] == [("notes.txt", False, True)]


def test_forced_excludes_leave_the_rest_alone_and_say_what_excludes(tmp_path: Path) -> None:
    lay(tmp_path, "rnnlint.toml", text='extend-exclude = ["old"]\n')
    lay(tmp_path, ".gitignore", text="made.py\n")
    lay(tmp_path, "sub/rnnlint.toml", text='exclude = ["own.py"]\n')
    lay(tmp_path, "script", text="#!/usr/bin/env python\n" + FAULTY)
    lay(tmp_path, "sub/old/a.py", "old/a.py", "made.py", "sub/made.py", "sub/own.py", "venv/a.py")
    named = ["script", "stub.pyi", "old/a.py", "made.py", "sub/made.py", "sub/own.py", "venv"]
    lay(tmp_path, "stub.pyi")
    outcome = check(tmp_path, *named, inline=("force-exclude = true",))
    assert found_in(outcome) == ["script", "stub.pyi"]
    by_settings = "is excluded by 'exclude' or 'extend-exclude' in the settings"
    by_git = "is excluded by a .gitignore file; see 'respect-gitignore'"
    assert {notice.path: notice.message for notice in outcome.notices} == {
        "old/a.py": by_settings,
        "made.py": by_git,
        "sub/made.py": by_git,
        "sub/own.py": by_settings,
        "venv": by_settings,
    }
    assert not any(notice.fatal for notice in outcome.notices)


def test_links_to_folders_are_told(tmp_path: Path) -> None:
    lay(tmp_path, "real/sub/a.py", "project/rnnlint.toml", text="")
    lay(tmp_path, "real/sub/a.py", "project/pkg/b.py")
    for name in ("data", "venv", "pkg/link"):
        (tmp_path / "project" / name).symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "project" / "gone").symlink_to(tmp_path / "nowhere")
    message = "is a link to a folder, which is not followed; name it to have it read"
    project = tmp_path / "project"
    assert check(project).notices == (Notice("data", message), Notice("pkg/link", message))
    assert check(project, "pkg").notices == (Notice("pkg/link", message),)
    named = check(project, "data")
    assert (found_in(named), named.notices) == (["data/sub/a.py"], ())
    assert os.path.islink(project / "data")
