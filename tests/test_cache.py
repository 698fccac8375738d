"""The cache: what is stored comes back, and whatever happens to it, it is never wrong."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlint.project.cache import Blobs, Cache, clean, digest_of


def pack_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.parent != folder]


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    Cache(tmp_path / "c", "1").store("findings", b"report")
    cache = Cache(tmp_path / "c", "1")
    assert cache.load("findings") == b"report"
    assert cache.load("other") is None
    assert cache.notice is None


def test_the_folder_keeps_itself_out_of_version_control_and_backups(tmp_path: Path) -> None:
    Cache(tmp_path / "c", "1").store("findings", b"")
    assert (tmp_path / "c" / ".gitignore").read_text() == "*\n"
    tag = (tmp_path / "c" / "CACHEDIR.TAG").read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_another_version_finds_nothing_and_sweeps(tmp_path: Path) -> None:
    Cache(tmp_path / "c", "1").store("findings", b"old")
    newer = Cache(tmp_path / "c", "2")
    assert newer.load("findings") is None
    newer.store("findings", b"new")
    assert [path.read_bytes()[-3:] for path in pack_files(tmp_path / "c")] == [b"new"]


def test_a_run_without_a_cache_stores_nothing(tmp_path: Path) -> None:
    cache = Cache(None, "1")
    cache.store("findings", b"report")
    assert cache.load("findings") is None
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=40), st.data())
def test_any_corruption_is_a_miss(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    Cache(folder, "1").store("pack", content)
    (file,) = pack_files(folder)
    stored = file.read_bytes()
    position = data.draw(st.integers(0, len(stored) - 1))
    if data.draw(st.booleans()):
        file.write_bytes(stored[:position])
    else:
        flipped = bytes([stored[position] ^ data.draw(st.integers(1, 255))])
        file.write_bytes(stored[:position] + flipped + stored[position + 1 :])
    assert Cache(folder, "1").load("pack") is None


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "c", "1")
    assert cache.load("findings") is None
    cache.store("findings", b"a")
    notice = cache.notice
    assert notice is not None
    assert "cannot be written" in notice.message
    assert not notice.fatal
    cache.store("records", b"b")
    assert cache.notice is notice


def test_writing_leaves_no_temporary_files(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c", "1")
    for content in (b"a", b"b", b"c"):
        cache.store("findings", content)
    assert [path.name for path in pack_files(tmp_path / "c")] == ["findings"]


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        Cache(tmp_path / "c", "1").store("findings", b"")
    finally:
        os.umask(old)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "c").rglob("[!0-9]*")}
    assert modes == {0o644}


def test_projects_that_share_a_folder_have_their_own_packs(tmp_path: Path) -> None:
    one, other = (Cache(tmp_path / "c", "1", tmp_path / name) for name in ("one", "other"))
    one.store("findings", b"one")
    assert other.load("findings") is None
    other.store("findings", b"other")
    assert (one.load("findings"), other.load("findings")) == (b"one", b"other")
    newer = Cache(tmp_path / "c", "2", tmp_path / "one")
    newer.store("findings", b"newer")
    assert [path.read_bytes()[-5:] for path in pack_files(tmp_path / "c")] == [b"newer"]


def test_a_cache_inside_its_project_moves_with_it(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    Cache(tmp_path / "old" / "c", "1", tmp_path / "old").store("findings", b"report")
    (tmp_path / "old").rename(tmp_path / "new")
    assert Cache(tmp_path / "new" / "c", "1", tmp_path / "new").load("findings") == b"report"


def test_concurrent_runs_see_whole_packs(tmp_path: Path) -> None:
    contents = {bytes([letter]) * 50_000 for letter in b"abcd"}
    seen: set[bytes | None] = set()

    def write(content: bytes) -> None:
        for _ in range(15):
            Cache(tmp_path / "c", "1").store("pack", content)

    Cache(tmp_path / "c", "1").store("pack", min(contents))
    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seen.add(Cache(tmp_path / "c", "1").load("pack"))
    for writer in writers:
        writer.join()
    assert seen <= contents
    assert Cache(tmp_path / "c", "1").load("pack") in contents


# --- blobs -------------------------------------------------------------------------------


def test_blobs_come_back_and_unused_ones_are_dropped(tmp_path: Path) -> None:
    first = Blobs(Cache(tmp_path, "1"), "ir")
    first.put("used", b"1")
    first.put("unused", b"2")
    first.save()
    second = Blobs(Cache(tmp_path, "1"), "ir")
    assert second.get("used") == b"1"
    assert second.get("absent") is None
    second.put("new", b"3")
    second.save()
    third = Blobs(Cache(tmp_path, "1"), "ir")
    assert (third.get("used"), third.get("new"), third.get("unused")) == (b"1", b"3", None)


def test_a_pack_is_rewritten_only_when_something_changed(tmp_path: Path) -> None:
    first = Blobs(Cache(tmp_path, "1"), "ir")
    first.put("a", b"1")
    first.save()
    (file,) = pack_files(tmp_path)
    before = file.stat().st_ino, file.stat().st_mtime_ns
    again = Blobs(Cache(tmp_path, "1"), "ir")
    assert again.get("a") == b"1"
    again.save()
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == before


def test_a_pack_of_another_shape_is_a_miss(tmp_path: Path) -> None:
    Cache(tmp_path, "1").store("ir", b"\xc1 not msgpack")
    assert Blobs(Cache(tmp_path, "1"), "ir").get("a") is None


# --- names and cleaning ----------------------------------------------------------------------


@given(st.lists(st.binary(max_size=3), max_size=4), st.lists(st.binary(max_size=3), max_size=4))
def test_digests_tell_sequences_apart(one: list[bytes], other: list[bytes]) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)


def test_clean_removes_a_cache_and_nothing_else(tmp_path: Path) -> None:
    Cache(tmp_path / "c", "1").store("findings", b"")
    assert clean(tmp_path / "c")
    assert not (tmp_path / "c").exists()
    assert not clean(tmp_path / "c")
    (tmp_path / "source").mkdir()
    assert not clean(tmp_path / "source")
    assert (tmp_path / "source").is_dir()
