"""Path patterns mean what git takes them for, and keep their meaning in another folder."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pytest

from rnnlint.project.patterns import Patterns, moved, per_file_ignores


def ignored(patterns: Patterns, file: str) -> bool:
    """Whether a scan, which asks from folder to folder, leaves a file out."""
    parts = file.split("/")
    folders = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
    return any(patterns.decide(folder, True) for folder in folders) or bool(
        patterns.decide(file, False)
    )


@pytest.mark.parametrize(
    ("lines", "file", "expected"),
    [
        (["gen", "!src"], "src/gen/a.py", True),
        (["gen", "!src"], "src/a.py", False),
        (["*", "!*/", "!train.py"], "deep/down/train.py", False),
        (["*", "!*/", "!train.py"], "deep/down/other.py", True),
        (["x/**", "!x/keep.py"], "x/keep.py", False),
        (["/docs/*", "!/docs/sub"], "docs/sub/a.py", False),
        (["a/**/b.py"], "a/b.py", True),
        (["[!a-c]?.py"], "d1.py", True),
        (["[[:digit:]]*.py"], "7up.py", True),
        (["sp\\ ace.py\\ "], "sp ace.py ", True),
        (["open[.py", "[[:unknown:]].py"], "a.py", False),
    ],
)
def test_a_pattern_is_asked_about_one_level(lines: list[str], file: str, expected: bool) -> None:
    assert ignored(Patterns(lines), file) is expected


FILES = [
    "/".join([*folders, name])
    for count in range(4)
    for folders in product(["a", "b", "ab"], repeat=count)
    for name in ("a.py", "c")
]


def ignored_by_git(repository: Path, lines: Iterable[str]) -> set[str]:
    (repository / ".gitignore").write_text("\n".join(lines) + "\n", newline="")
    command = ["git", "check-ignore", "--stdin", "-z", "--no-index"]
    listed = subprocess.run(
        command, cwd=repository, input="\0".join(FILES), capture_output=True, text=True
    )
    return set(listed.stdout.split("\0")) - {""}


def test_git_agrees_about_patterns_made_by_chance(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    chance = random.Random(7)
    for alphabet in ("ab*?/!", "ab**//!", "abc.py*[]-!^\\ ") * 40:
        lines = ["".join(chance.choices(alphabet, k=chance.randint(1, 7))) for _ in range(3)]
        patterns = Patterns(lines)
        assert {file for file in FILES if ignored(patterns, file)} == ignored_by_git(
            tmp_path, lines
        ), lines


@pytest.mark.parametrize(
    ("glob", "origin", "expected"),
    [
        # a name holds at every depth
        ("*_pb2.py", "/p", "*_pb2.py"),
        ("build/", "/elsewhere", "build/"),
        # from the folder around
        ("/q/gen/*.py", "/p", "/gen/*.py"),
        ("q/gen/", "/p", "/gen/"),
        ("*/gen/x", "/p", "/gen/x"),
        ("**/gen/x", "/p", "/**/gen/x"),
        ("!q/gen", "/p", "!/gen"),
        ("q/", "/p", "q/"),
        ("/q", "/p", "/**"),
        ("p/q/", "/", "/**"),
        ("other/gen", "/p", None),
        # from a folder below, from the folder itself, and from elsewhere
        ("/a.py", "/p/q/sub dir", "/sub\\ dir/a.py"),
        ("x/y", "/p/q/s/t", "/s/t/x/y"),
        ("x/y", "/p/q", "x/y"),
        ("x/y", "/p/r", None),
    ],
)
def test_globs_keep_their_meaning_in_another_folder(
    glob: str, origin: str, expected: str | None
) -> None:
    assert moved(glob, Path(origin), Path("/p/q")) == expected


def test_a_per_file_glob_covers_what_is_in_a_folder(tmp_path: Path) -> None:
    codes = per_file_ignores({"tests": ("A",), "lib/*": ("B",), "/x/": ("C",)}, tmp_path, tmp_path)
    assert codes("deep/tests/one/a.py") == {"A"}
    assert codes("lib/one/two/a.py") == {"B"}
    assert codes("x/a.py") == {"C"}
    assert codes("y/x/a.py") == frozenset()
