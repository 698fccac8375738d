"""Discovery: the files of a project, and those that the command line asks about."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from rnnlint.project.config import Settings
from rnnlint.project.discovery import (
    Asked,
    discover,
    group_by_root,
    project_root,
    select_reported,
)


def lay(root: Path, *paths: str, **texts: str) -> None:
    """Write files; those given by name alone are empty."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    for name, text in texts.items():
        (root / name).write_text(text)


def settings_for(root: Path, **changes: object) -> Settings:
    return Settings(directory=str(root), **changes)  # type: ignore[arg-type]


def found(root: Path, **changes: object) -> list[str]:
    return [file.path for file in discover(root, settings_for(root, **changes)).files]


# --- the scan ----------------------------------------------------------------------


def test_python_files_and_notebooks_are_found_in_order(tmp_path: Path) -> None:
    lay(tmp_path, "z.py", "a/b.py", "a/c.ipynb", "a/d.pyi", "a/e.txt", "f.PY")
    assert found(tmp_path) == ["a/b.py", "a/c.ipynb", "z.py"]


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    lay(tmp_path, "a.py")
    before = discover(tmp_path, settings_for(tmp_path)).files
    assert discover(tmp_path, settings_for(tmp_path)).files == before
    os.utime(tmp_path / "a.py", ns=(1, 1))
    assert discover(tmp_path, settings_for(tmp_path)).files != before


def test_default_and_own_excludes_hold(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "a.py",
        "venv/a.py",
        "node_modules/x/a.py",
        "old/a.py",
        "gen/a_pb2.py",
        "sub/old.py",
    )
    assert found(tmp_path) == ["a.py", "gen/a_pb2.py", "old/a.py", "sub/old.py"]
    assert found(tmp_path, extend_exclude=("old", "*_pb2.py")) == ["a.py", "sub/old.py"]
    assert found(tmp_path, extend_exclude=("sub/*.py",)) == ["a.py", "gen/a_pb2.py", "old/a.py"]
    assert "venv/a.py" in found(tmp_path, exclude=())


def test_excludes_are_relative_to_the_settings(tmp_path: Path) -> None:
    lay(tmp_path, "a/skip.py", "a/b/skip.py", "skip.py")
    settings = Settings(directory=str(tmp_path / "a"), extend_exclude=("/skip.py",))
    assert [f.path for f in discover(tmp_path, settings).files] == ["a/b/skip.py", "skip.py"]


def test_gitignore_files_hold_at_every_depth(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "a.py",
        "data/a.py",
        "sub/data/a.py",
        "sub/keep.py",
        "sub/made.py",
        "sub/x/made.py",
    )
    (tmp_path / ".gitignore").write_text("# made\n/data/\nmade.py\n")
    (tmp_path / "sub" / "x" / ".gitignore").write_text("!made.py\n")
    assert found(tmp_path) == ["a.py", "sub/data/a.py", "sub/keep.py", "sub/x/made.py"]
    assert "data/a.py" in found(tmp_path, respect_gitignore=False)


def test_git_agrees_about_what_is_ignored(tmp_path: Path) -> None:
    lay(
        tmp_path,
        *("a.py", "b1.py", "build2/a.py", "docs/a.py", "docs/sub/a.py", "x/docs/a.py"),
        *("deep/one/two.py", "logs/keep.py", "logs/other.py", "sp ace.py", "log/b.py"),
    )
    lines = ["b[0-9].py", "build?/", "/docs/*", "!/docs/sub", "deep/**/two.py", "logs/*"]
    lines += ["!logs/keep.py", "sp\\ ace.py", "log"]
    (tmp_path / ".gitignore").write_text("\n".join(lines))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert found(tmp_path) == sorted(listed.stdout.splitlines())


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    lay(tmp_path, "pkg/a.py")
    (tmp_path / "pkg" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "alias.py").symlink_to(tmp_path / "pkg" / "a.py")
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "self.py").symlink_to(tmp_path / "self.py")
    (tmp_path / "folder.py").mkdir()
    assert found(tmp_path) == ["alias.py", "pkg/a.py"]


def test_a_folder_that_vanishes_does_not_end_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, "a.py", "gone/b.py", "stays/c.py")
    scandir = os.scandir

    def vanishing(path: str) -> object:
        if os.path.basename(path) == "gone":
            raise FileNotFoundError(2, "No such file or directory")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert found(tmp_path) == ["a.py", "stays/c.py"]


def test_many_files_are_scanned_in_a_moment(tmp_path: Path) -> None:
    for folder in range(50):
        (tmp_path / f"pkg{folder}").mkdir()
        for name in range(40):
            (tmp_path / f"pkg{folder}" / f"m{name}.py").touch()
    (tmp_path / ".gitignore").write_text("*.py[cod]\n.env\n*.egg-info/\n/site\n")
    start = time.process_time()
    assert len(found(tmp_path)) == 2000
    assert time.process_time() - start < 0.5


# --- roots ----------------------------------------------------------------------------


def test_the_root_is_the_repository(tmp_path: Path) -> None:
    lay(tmp_path, "repo/.git/HEAD", "repo/sub/setup.py", "repo/sub/pkg/a.py")
    assert project_root(tmp_path / "repo/sub/pkg/a.py", tmp_path) == tmp_path / "repo"


def test_without_a_repository_the_nearest_project_file_marks_the_root(tmp_path: Path) -> None:
    lay(tmp_path, "outer/pyproject.toml", "outer/inner/setup.cfg", "outer/inner/pkg/a.py")
    assert project_root(tmp_path / "outer/inner/pkg", tmp_path) == tmp_path / "outer/inner"


def test_without_any_mark_the_working_directory_or_the_folder_is_the_root(tmp_path: Path) -> None:
    lay(tmp_path, "here/pkg/a.py", "there/a.py")
    assert project_root(tmp_path / "here/pkg/a.py", tmp_path / "here") == tmp_path / "here"
    assert project_root(tmp_path / "there/a.py", tmp_path / "here") == tmp_path / "there"


def test_paths_are_grouped_by_their_root(tmp_path: Path) -> None:
    lay(tmp_path, "one/setup.py", "one/a.py", "two/setup.py", "two/b.py", "two/c.py")
    groups, notices = group_by_root(["one/a.py", "two/*.py", "absent.py", "*.txt"], tmp_path)
    assert groups == {
        tmp_path / "one": [str(tmp_path / "one/a.py")],
        tmp_path / "two": [str(tmp_path / f"two/{name}.py") for name in ("b", "c", "setup")],
    }
    assert [(notice.path, notice.fatal) for notice in notices] == [
        ("absent.py", True),
        ("*.txt", True),
    ]


# --- what is asked for -------------------------------------------------------------------


def asked(root: Path, paths: Iterable[str], **changes: object) -> Asked:
    settings = settings_for(root, **changes)
    absolute = [os.path.normpath(root / path) for path in paths]
    return select_reported(absolute, root, discover(root, settings), settings)


def test_files_and_folders_are_selected(tmp_path: Path) -> None:
    lay(tmp_path, "a.py", "pkg/b.py", "pkg/sub/c.ipynb", "pkgs/d.py")
    assert asked(tmp_path, ["pkg"]).reported == {"pkg/b.py", "pkg/sub/c.ipynb"}
    assert asked(tmp_path, ["a.py", "pkg/sub"]).reported == {"a.py", "pkg/sub/c.ipynb"}
    assert len(asked(tmp_path, ["."]).reported) == 4


def test_a_named_file_bypasses_excludes_unless_they_are_forced(tmp_path: Path) -> None:
    lay(tmp_path, "build/a.py", "a.py")
    named = asked(tmp_path, ["build/a.py"])
    assert named.reported == {"build/a.py"}
    assert [file.path for file in named.extra] == ["build/a.py"]
    assert asked(tmp_path, ["build/a.py"], force_exclude=True).reported == frozenset()


def test_a_named_folder_bypasses_excludes_unless_they_are_forced(tmp_path: Path) -> None:
    lay(tmp_path, "build/a.py", "build/venv/b.py", "a.py")
    assert asked(tmp_path, ["build"]).reported == {"build/a.py"}
    assert asked(tmp_path, ["build"], force_exclude=True).reported == frozenset()


def test_a_script_is_python_by_its_first_line(tmp_path: Path) -> None:
    lay(tmp_path, script="#!/usr/bin/env python3\n", shell="#!/bin/sh\n")
    assert asked(tmp_path, ["script"]).reported == {"script"}
    skipped = asked(tmp_path, ["shell"])
    assert skipped.reported == frozenset()
    assert not skipped.notices[0].fatal
    assert "no Python file" in skipped.notices[0].message
