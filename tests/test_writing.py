"""Files are replaced whole or not at all, and keep all that is not their text."""

from __future__ import annotations

import errno
import os
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from repaired import saved
from scripted import Finding, project_of, script
from trained import TORCH, check

from rnnlint import engine, repair, saving
from rnnlint.fixing.writing import CannotWriteError, Replacement, replace_together
from rnnlint.project.source import content_digest

__all__ = ["script"]
NET = TORCH + "net = nn.LSTM(1, 1)\n"
MAIN = "main.py"


def replaced(root: Path, **files: bytes) -> None:
    """Replace files of a folder, which hold what they hold."""
    wanted = {
        f"{name}.py": Replacement(data, content_digest((root / f"{name}.py").read_bytes()))
        for name, data in files.items()
    }
    replace_together(root, wanted)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files."""
    for name in "abc":
        (tmp_path / f"{name}.py").write_bytes(f"old {name}\n".encode())
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


OLD = {"a.py": b"old a\n", "b.py": b"old b\n", "c.py": b"old c\n"}


def test_files_are_replaced_and_nothing_is_left_behind(folder: Path) -> None:
    replaced(folder, a=b"new a", b=b"")
    assert contents(folder) == {**OLD, "a.py": b"new a", "b.py": b""}


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755, 0o640, 0o4711, 0o666])
def test_permissions_and_owner_stay(folder: Path, mode: int) -> None:
    (folder / "a.py").chmod(mode)
    before = (folder / "a.py").stat()
    replaced(folder, a=b"new")
    after = (folder / "a.py").stat()
    assert stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="the system knows no attributes")
def test_attributes_stay(folder: Path) -> None:
    try:
        os.setxattr(folder / "a.py", "user.origin", b"here")
    except OSError:
        pytest.skip("the file system keeps no attributes")
    replaced(folder, a=b"new")
    assert os.getxattr(folder / "a.py", "user.origin") == b"here"


def test_a_link_stays_one(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below" / "real.py").write_bytes(b"old")
    (folder / "link.py").symlink_to("below/real.py")
    replaced(folder, link=b"new")
    assert os.readlink(folder / "link.py") == "below/real.py"
    assert (folder / "below" / "real.py").read_bytes() == b"new"
    assert len(list((folder / "below").iterdir())) == 1


def test_a_link_out_of_the_project_is_left_alone(folder: Path) -> None:
    root = folder / "project"
    root.mkdir()
    (root / "link.py").symlink_to(folder / "a.py")
    with pytest.raises(CannotWriteError, match="a link to a file outside the project"):
        replaced(root, link=b"new")
    assert contents(folder) == OLD


def test_another_name_of_a_file_keeps_what_it_held(folder: Path) -> None:
    os.link(folder / "a.py", folder / "other.py")
    replaced(folder, a=b"new")
    assert contents(folder) == {**OLD, "a.py": b"new", "other.py": b"old a\n"}


def test_two_ways_to_one_file_write_it_once(folder: Path) -> None:
    (folder / "link.py").symlink_to("a.py")
    replaced(folder, a=b"new", link=b"new")
    assert (folder / "a.py").read_bytes() == b"new"
    assert (folder / "link.py").is_symlink()
    assert len(contents(folder)) == 4


def test_a_long_name_is_no_hindrance(folder: Path) -> None:
    name = "n" * 250
    (folder / f"{name}.py").write_bytes(b"old")
    replaced(folder, **{name: b"new"})
    assert (folder / f"{name}.py").read_bytes() == b"new"


def test_a_file_that_changed_is_left_alone_and_those_with_it(folder: Path) -> None:
    files = {f"{name}.py": Replacement(b"new", content_digest(OLD[f"{name}.py"])) for name in "abc"}
    (folder / "b.py").write_bytes(b"mine")
    with pytest.raises(CannotWriteError, match=r"b\.py: changed on disk meanwhile"):
        replace_together(folder, files)
    assert contents(folder) == {**OLD, "b.py": b"mine"}


def test_a_file_that_is_gone_is_not_made_again(folder: Path) -> None:
    files = {f"{name}.py": Replacement(b"new", content_digest(OLD[f"{name}.py"])) for name in "abc"}
    (folder / "b.py").unlink()
    with pytest.raises(CannotWriteError, match=r"b\.py: cannot be written: No such file"):
        replace_together(folder, files)
    assert contents(folder) == {"a.py": b"old a\n", "c.py": b"old c\n"}


def test_a_file_that_is_write_protected_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is write-protected for the superuser.
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("b.py"))
    with pytest.raises(CannotWriteError, match=r"b\.py: is write-protected"):
        replaced(folder, a=b"new", b=b"new", c=b"new")
    assert contents(folder) == OLD


def failing(
    monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException, when: Callable[[str], bool]
) -> None:
    """Let a function of the system fail for some files."""
    real = getattr(os, name)

    def function(*arguments: object, **options: object) -> object:
        if when(str(arguments[-1] if name == "replace" else arguments[0])):
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, function)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
BUSY = OSError(errno.EBUSY, os.strerror(errno.EBUSY))
REFUSED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize(
    ("name", "error"),
    [("fsync", FULL), ("open", REFUSED), ("chmod", REFUSED), ("replace", BUSY)],
)
@pytest.mark.parametrize("links", [True, False])
def test_a_failure_of_the_system_leaves_all_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: OSError, links: bool
) -> None:
    calls: list[str] = []

    def second(path: str) -> bool:
        calls.append(path)
        return len(calls) == 2

    failing(monkeypatch, name, error, second)
    if not links:
        failing(monkeypatch, "link", OSError(errno.EPERM, "no links here"), lambda path: True)
    with pytest.raises(CannotWriteError, match=rf"\.py: cannot be written: {error.strerror}"):
        replaced(folder, a=b"new", b=b"new", c=b"new")
    assert contents(folder) == OLD


@pytest.mark.parametrize("name", ["fsync", "chmod", "replace", "link", "open"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_interrupted_run_leaves_all_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    calls: list[str] = []

    def at_the_number(path: str) -> bool:
        calls.append(path)
        return len(calls) == number

    failing(monkeypatch, name, KeyboardInterrupt(), at_the_number)
    with pytest.raises(KeyboardInterrupt):
        replaced(folder, a=b"new", b=b"new", c=b"new")
    assert contents(folder) == OLD


def test_a_process_that_is_told_to_end_leaves_all_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(os, "fsync", lambda descriptor: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        replaced(folder, a=b"new", b=b"new")
    assert ended.value.code == 128 + signal.SIGTERM
    assert contents(folder) == OLD
    assert signal.getsignal(signal.SIGTERM) == handler


def test_other_threads_can_write_too(folder: Path) -> None:
    thread = threading.Thread(target=replaced, args=(folder,), kwargs={"a": b"new"})
    thread.start()
    thread.join()
    assert contents(folder) == {**OLD, "a.py": b"new"}


# --- what a repair leaves ---------------------------------------------------------------

E = "\N{LATIN SMALL LETTER E WITH ACUTE}"
FAULTY = f"import torch.nn as nn\nname = 'caf{E}'\nnet = nn.LSTM(1, 1)\nbad = 0\nlast = 1"
LINES = [
    FAULTY + "\n",
    FAULTY,
    FAULTY + "\n\n\f\n  \n",
    FAULTY.replace("\n", "\r\n") + "\r\n",
    FAULTY.replace("\n", "\r\n"),
    FAULTY.replace("\n", "\r") + "\r",
    FAULTY.replace("bad = 0\n", "bad = 0\r\n").replace("1)\n", "1)\r") + "\n",
    FAULTY.replace("bad = 0", "bad = 0 \t\f") + "  # \u2028\x0b\x85\n",
]
ENCODINGS = {
    "utf-8": (b"", b"", "utf-8"),
    "byte order mark": (b"\xef\xbb\xbf", b"", "utf-8"),
    "latin-1": (b"", b"# coding: latin-1\n", "latin-1"),
    "latin-1 in the second line": (
        b"",
        b"#!/bin/python\n# vim: set fileencoding=cp1252 :\n",
        "cp1252",
    ),
    "shift-jis": (b"", b"# -*- coding: shift_jis -*-\n", "shift_jis"),
    "byte order mark and cookie": (b"\xef\xbb\xbf", b"# coding: utf-8\n", "utf-8"),
}


@pytest.mark.parametrize("text", LINES, ids=map(repr, range(len(LINES))))
@pytest.mark.parametrize("name", ENCODINGS)
def test_nothing_changes_but_the_edit(
    tmp_path: Path, script: list[Finding], text: str, name: str
) -> None:
    mark, cookie, encoding = ENCODINGS[name]
    data = mark + cookie + text.encode(encoding, "ignore")
    script.append(Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 123")))
    root = project_of(tmp_path, {MAIN: data})
    outcome = saved(root)
    assert (root / MAIN).read_bytes() == data.replace(b"bad = 0", b"bad = 123")
    assert [each.code for each in outcome.fixed] == ["SCR001"]
    assert not outcome.notices


def test_a_file_that_cannot_be_written_costs_no_other(
    tmp_path: Path, script: list[Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    script += [
        Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1"), ("b.py", "x = 0", "x = 1")),
        Finding("SCR002", "y = 0", ("b.py", "y = 0", "y = 1"), path="b.py"),
        Finding("SCR003", "z = 0", ("c.py", "z = 0", "z = 1"), path="c.py"),
    ]
    files: dict[str, str | bytes] = {
        MAIN: NET + "bad = 0\n",
        "b.py": NET + "x = 0\ny = 0\n",
        "c.py": NET + "z = 0\n",
    }
    root = project_of(tmp_path, files)
    before = contents(root)
    failing(monkeypatch, "replace", BUSY, lambda path: path.endswith("b.py"))
    outcome = saved(root)
    assert contents(root) == {**before, "c.py": before["c.py"].replace(b"z = 0", b"z = 1")}
    assert sorted(each.code for each in outcome.diagnostics) == ["SCR001", "SCR002"]
    assert [each.code for each in outcome.fixed] == ["SCR003"]
    (notice,) = outcome.notices
    said = f"cannot be written: {BUSY.strerror}"
    assert (notice.path, notice.message, notice.fatal) == ("b.py", said, True)
    assert {each.diagnostic.code: each.reason for each in outcome.withheld} == {
        "SCR001": f"b.py: {said}",
        "SCR002": f"b.py: {said}",
    }


def test_what_changes_before_it_is_written_is_left_alone_and_looked_at_again(
    tmp_path: Path, script: list[Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    script.append(Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")))
    root = project_of(tmp_path, {MAIN: NET + "bad = 0\n"})
    mine = NET + "# mine\nbad = 0\n"
    real = os.fsync

    def editor(descriptor: int) -> None:
        real(descriptor)
        (root / MAIN).write_text(mine)

    monkeypatch.setattr(os, "fsync", editor)
    outcome = saved(root)
    assert contents(root)[MAIN] == mine.encode()
    assert [each.span.location.row for each in outcome.diagnostics] == [5]
    assert [each.message for each in outcome.notices] == [
        "changed on disk meanwhile, so it was left alone"
    ]
    assert not outcome.fixed


def test_two_links_to_one_file_are_repaired_once(tmp_path: Path, script: list[Finding]) -> None:
    script += [
        Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")),
        Finding("SCR001", "bad = 0", ("link.py", "bad = 0", "bad = 1"), path="link.py"),
    ]
    root = project_of(tmp_path, {MAIN: NET + "bad = 0\n"})
    (root / "link.py").symlink_to(MAIN)
    outcome = saved(root)
    assert not outcome.diagnostics
    assert not outcome.notices
    assert (root / "link.py").is_symlink()
    assert contents(root)[MAIN] == f"{NET}bad = 1\n".encode()


def test_the_cache_knows_nothing_of_what_was_only_tried(
    tmp_path: Path, script: list[Finding]
) -> None:
    script.append(Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")))
    root = project_of(tmp_path, {MAIN: NET + "bad = 0\n"})
    opened = engine.open_request(engine.Request(cwd=str(root)))
    (result,) = repair.repair(opened, repair.fixes)
    assert result.changed
    assert [each.code for each in check(root).diagnostics] == ["SCR001"]
    saving.save(result)
    assert not check(root).diagnostics
