"""No input stops a run: whatever one file holds, it is named, and the others are analysed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile import (
    ANALYSED,
    BROKEN_CELLS,
    BYTES,
    CIRCLES,
    ENDLESS,
    FAULT,
    NOTEBOOKS,
    PROGRAMS,
    RAISING,
    SKIPPED,
    SOUND,
    TORCH,
    UNPARSABLE,
    UNREADABLE,
    notebook,
)

from rnnlint import engine
from rnnlint.diagnostic import Notice


def check(folder: Path, *paths: str) -> engine.Outcome:
    return engine.check(engine.Request(paths=paths, cwd=str(folder), no_cache=True))


def codes(outcome: engine.Outcome, path: str) -> list[str]:
    return [d.code for d in outcome.diagnostics if d.span.path == path]


def notices(outcome: engine.Outcome, path: str) -> list[Notice]:
    return [notice for notice in outcome.notices if notice.path == path]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one ordinary, faulty file, `sibling.py`."""
    (tmp_path / "rnnlint.toml").write_text("")
    (tmp_path / "sibling.py").write_text(SOUND)
    return tmp_path


def assert_fate(outcome: engine.Outcome, path: str, fate: str) -> None:
    """The hostile file met its fate, and its sibling's fault is found all the same."""
    assert codes(outcome, "sibling.py") == ["RNN503"]
    here, found = notices(outcome, path), codes(outcome, path)
    if fate in (ANALYSED, UNPARSABLE):
        assert found == ["RNN503" if fate == ANALYSED else "RNN001"]
        assert not any(notice.fatal or notice.skips for notice in outcome.notices)
    else:
        assert found == []
        assert [notice.fatal for notice in here] == [fate == UNREADABLE]
        assert outcome.summary.skipped == 1


# --- bytes that are hardly a program --------------------------------------------------


@pytest.mark.parametrize(("content", "fate"), BYTES.values(), ids=BYTES)
def test_bytes_that_are_hardly_a_program(project: Path, content: bytes, fate: str) -> None:
    (project / "hostile.py").write_bytes(content)
    assert_fate(check(project), "hostile.py", fate)
    assert_fate(check(project, "hostile.py", "sibling.py"), "hostile.py", fate)


def test_empty_files_are_sound(project: Path) -> None:
    for name, content in (
        ("empty.py", b""),
        ("blank.py", b" \n\t\n"),
        ("mark.py", b"\xef\xbb\xbf"),
    ):
        (project / name).write_bytes(content)
    outcome = check(project)
    assert (outcome.notices, outcome.summary.analysed) == ((), 4)
    assert codes(outcome, "sibling.py") == ["RNN503"]


def assert_soon(project: Path, text: str, fate: str) -> None:
    """A hostile program meets its fate before anybody loses patience, however busy the machine."""
    (project / "hostile.py").write_text(SOUND + text, newline="")
    begun = sum(os.times()[:4])  # of this process and of those that parse for it
    assert_fate(check(project), "hostile.py", fate)
    assert sum(os.times()[:4]) - begun < 20


# --- programs that no one writes ------------------------------------------------------


@pytest.mark.parametrize(("text", "fate"), PROGRAMS.values(), ids=PROGRAMS)
def test_programs_that_no_one_writes(project: Path, text: str, fate: str) -> None:
    assert_soon(project, text, fate)


# --- programs that would never end, or never fit --------------------------------------


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_programs_that_would_never_end_or_never_fit(project: Path, text: str) -> None:
    assert_soon(project, text, ANALYSED)


# --- programs that would raise --------------------------------------------------------


@pytest.mark.parametrize("text", RAISING.values(), ids=RAISING)
def test_programs_that_would_raise(project: Path, text: str) -> None:
    (project / "hostile.py").write_text(SOUND + text)
    outcome = check(project)
    assert outcome.notices == ()
    assert codes(outcome, "sibling.py") == ["RNN503"]
    rows = [
        d.span.location.row
        for d in outcome.diagnostics
        if (d.span.path, d.code) == ("hostile.py", "RNN503")
    ]
    assert 3 in rows


# --- projects whose files go in circles -----------------------------------------------


@pytest.mark.parametrize("files", CIRCLES.values(), ids=CIRCLES)
def test_projects_that_go_in_circles(project: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    outcome = check(project)
    assert_fate(outcome, "a.py", ANALYSED)


# --- notebooks ------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "fate"), NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_notebooks_that_are_hardly_any(project: Path, content: bytes, fate: str) -> None:
    (project / "hostile.ipynb").write_bytes(content)
    assert_fate(check(project), "hostile.ipynb", fate)


@pytest.mark.parametrize("broken", BROKEN_CELLS.values(), ids=BROKEN_CELLS)
def test_a_broken_cell_costs_no_other(project: Path, broken: str) -> None:
    (project / "a.ipynb").write_text(notebook(TORCH, FAULT, broken, FAULT, "", FAULT))
    outcome = check(project)
    found = [(d.code, d.span.cell) for d in outcome.diagnostics if d.span.path == "a.ipynb"]
    assert sorted(found) == [("RNN001", 2), ("RNN503", 1), ("RNN503", 3), ("RNN503", 5)]
    assert outcome.notices == ()


def test_many_broken_cells_cost_no_other_and_are_reported_once(project: Path) -> None:
    cells = [cell for number in range(30) for cell in ("def f(:", FAULT)]
    (project / "a.ipynb").write_text(notebook(TORCH, *cells))
    diagnostics = [d for d in check(project).diagnostics if d.span.path == "a.ipynb"]
    found = [(d.code, d.span.cell) for d in diagnostics]
    assert sorted(found) == [("RNN001", 1), *(("RNN503", 2 * n + 2) for n in range(30))]
    assert any(d.message.startswith("30 cells of this notebook") for d in diagnostics)


# --- things that are no files ---------------------------------------------------------


def _link(folder: Path) -> None:
    (folder / "hostile.py").symlink_to(folder / "nowhere.py")


def _loop(folder: Path) -> None:
    (folder / "hostile.py").symlink_to(folder / "hostile.py")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "hostile.py")


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # the address of a socket may not be long
        try:
            server.bind("hostile.py")
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [_link, _loop, _pipe, _socket])
def test_things_that_are_no_files(project: Path, make: Callable[[Path], None]) -> None:
    make(project)
    assert_fate(check(project), "hostile.py", SKIPPED)
    assert_fate(check(project, "hostile.py", "sibling.py"), "hostile.py", UNREADABLE)


def test_a_folder_may_be_called_like_a_file(project: Path) -> None:
    (project / "hostile.py").mkdir()
    (project / "hostile.py" / "inner.py").write_text(SOUND)
    (project / "linked.py").symlink_to(project / "hostile.py", target_is_directory=True)
    outcome = check(project)
    assert [notice.path for notice in outcome.notices] == ["linked.py"]
    assert outcome.summary.analysed == 2
    assert codes(outcome, "hostile.py/inner.py") == ["RNN503"]
    assert codes(check(project, "hostile.py"), "hostile.py/inner.py") == ["RNN503"]


def test_links_in_circles_are_not_followed(project: Path) -> None:
    (project / "pkg").mkdir()
    for name in ("up", "self"):
        (project / "pkg" / name).symlink_to(project, target_is_directory=True)
    (project / "pkg" / "round").symlink_to(project / "pkg" / "round")
    outcome = check(project)
    assert [notice.path for notice in outcome.notices] == ["pkg/self", "pkg/up"]
    assert outcome.summary.analysed == 1
    assert codes(outcome, "sibling.py") == ["RNN503"]


@pytest.mark.parametrize("name", [b"\xff.py", b"\xff/inner.py", b"caf\xe9.ipynb"])
def test_names_that_are_no_text(project: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(project), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(SOUND)
    outcome = check(project)
    assert codes(outcome, "sibling.py") == ["RNN503"]
    (notice,) = outcome.notices
    assert "rename it" in notice.message
    assert notice.path.isascii()
    asked = check(project, os.fsdecode(path), "sibling.py")
    assert any(notice.fatal for notice in asked.notices)
    assert codes(asked, "sibling.py") == ["RNN503"]


def test_a_project_in_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff")))
    folder.mkdir()
    (folder / "rnnlint.toml").write_text("")
    (folder / "a.py").write_text(SOUND)
    outcome = engine.check(engine.Request(cwd=str(folder)))
    assert (codes(outcome, "a.py"), outcome.notices) == (["RNN503"], ())
    assert engine.check(engine.Request(cwd=str(folder))).summary.cached


def test_odd_but_proper_names(project: Path) -> None:
    names = ["a\nb.py", "a b.py", "-.py", "\u00e9\U0001f600.py", "[x]*.py", "a:b.py", "'\".py"]
    for name in names:
        (project / name).write_text(SOUND)
    outcome = check(project)
    assert outcome.notices == ()
    assert all(codes(outcome, name) == ["RNN503"] for name in names)
    assert all(codes(check(project, name), name) == ["RNN503"] for name in names)


# --- what changes while it is looked at -----------------------------------------------


def test_a_folder_that_vanishes_during_the_scan(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "gone").mkdir()
    (project / "gone" / "a.py").write_text(SOUND)
    scandir = os.scandir

    def vanishing(path: str) -> Iterator[os.DirEntry[str]]:
        if os.path.basename(path) == "gone":
            (project / "gone" / "a.py").unlink()
            (project / "gone").rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    outcome = check(project)
    assert codes(outcome, "sibling.py") == ["RNN503"]
    assert [(notice.path, notice.fatal) for notice in outcome.notices] == [("gone", False)]


def test_a_file_that_vanishes_after_the_scan(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "hostile.py").write_text(SOUND)

    def vanishing(path: str, *arguments: object, **named: object) -> object:
        (project / "hostile.py").unlink(missing_ok=True)
        return open(path, "rb", buffering=0)

    monkeypatch.setattr("rnnlint.project.source.open", vanishing, raising=False)
    assert_fate(check(project), "hostile.py", UNREADABLE)


@pytest.mark.parametrize("asked", [(), ("hostile.py", "sibling.py"), ("sibling.py",)])
def test_a_file_that_may_not_be_read(
    project: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    (project / "hostile.py").write_text(SOUND)

    def refusing(path: str, *arguments: object, **named: object) -> object:
        if path.endswith("hostile.py"):
            raise PermissionError(13, "Permission denied")
        return open(path, "rb", buffering=0)

    monkeypatch.setattr("rnnlint.project.source.open", refusing, raising=False)
    outcome = check(project, *asked)
    if asked == ("sibling.py",):
        assert codes(outcome, "sibling.py") == ["RNN503"]
        assert [(n.path, n.fatal, n.skips) for n in outcome.notices] == [
            ("hostile.py", False, False)
        ]
    else:
        assert_fate(outcome, "hostile.py", UNREADABLE)
    assert "Permission denied" in outcome.notices[0].message


# --- many files -----------------------------------------------------------------------


def test_ten_thousand_files(tmp_path: Path) -> None:
    (tmp_path / "rnnlint.toml").write_text("")
    for folder in range(100):
        (tmp_path / f"pkg{folder}").mkdir()
        for number in range(100):
            text = SOUND if number == folder else "" if number % 2 else "import os\n"
            (tmp_path / f"pkg{folder}" / f"m{number}.py").write_text(text)
    request = engine.Request(cwd=str(tmp_path))
    first, second = engine.check(request), engine.check(request)
    assert [d.code for d in first.diagnostics] == ["RNN503"] * 100
    assert (first.notices, first.summary.analysed, first.summary.lowered) == ((), 10_000, 100)
    assert (first.summary.cached, second.summary.cached) == (False, True)
    assert second.diagnostics == first.diagnostics


# --- faults of our own ----------------------------------------------------------------


def test_a_rule_that_fails_costs_no_other(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnlint import registry

    info = next(info for info in registry.available() if info.code == "RNN401")
    monkeypatch.setattr(type(registry.load(info)), "check", lambda self, program: 1 // 0)
    (notice,) = check(project).notices
    assert notice.fatal
    assert "rule RNN401 failed" in notice.message
    assert "ZeroDivisionError" in notice.message
    assert codes(check(project), "sibling.py") == ["RNN503"]
    monkeypatch.setenv("RNNLINT_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        check(project)


def test_an_analysis_that_fails_costs_no_other_entry_point(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "hostile.py").write_text(f"{TORCH}x = -probe\n{FAULT}")
    monkeypatch.setattr("rnnlint.semantics.operations.unary", lambda op, operand: 1 // 0)
    request = engine.Request(cwd=str(project))
    outcome = engine.check(request)
    assert codes(outcome, "sibling.py") == ["RNN503"]
    (notice,) = outcome.notices
    assert notice.fatal
    assert "the analysis failed" in notice.message
    monkeypatch.undo()
    assert codes(engine.check(request), "hostile.py") == ["RNN503"]


def test_a_bound_that_is_hit_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnlint.semantics.interpreter.MAX_ENTRY_STEPS", 50)
    (project / "hostile.py").write_text(SOUND + "for i in [probe] * 4: i(1)\n" + "x = 1\n" * 100)
    (notice,) = check(project).notices
    assert not notice.fatal
    assert "findings may be missing" in notice.message


CAREFUL = """\
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 2)
        for name, parameter in self.lstm.named_parameters():
            if "weight_hh" in name:
                for gate in parameter.chunk(4):
                    nn.init.orthogonal_(gate)
            elif "weight_ih" in name:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
                parameter.data[16:32].fill_(1.0)

    def forward(self, padded, lengths):
        packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        return self.head(hidden[-1])


def collate(samples):
    lengths = torch.tensor([len(sample) for sample, _ in samples])
    padded = pad_sequence([sample for sample, _ in samples], batch_first=True)
    return padded, lengths, torch.tensor([label for _, label in samples])


def repair(model):
    clip_grad_norm_(model.parameters(), 1.0)


def train(dataset):
    model = Tagger()
    loader = DataLoader(dataset, batch_size=32, collate_fn=collate)
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    for epoch in range(20):
        for padded, lengths, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(padded, lengths), labels)
            loss.backward()
            repair(model)
            optimizer.step()
        scheduler.step()
"""


@pytest.mark.parametrize("steps", range(20, 600, 13))
def test_a_program_that_is_cut_short_is_not_blamed(
    steps: int, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnlint.semantics.interpreter.MAX_ENTRY_STEPS", steps)
    (project / "sibling.py").write_text(CAREFUL)
    assert codes(check(project), "sibling.py") == []


# --- the command line -----------------------------------------------------------------


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rnnlint", "check", "--no-cache", *arguments]
    checkout = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": checkout, "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_command_line_survives_it_all_at_once(project: Path) -> None:
    for name, (content, _) in BYTES.items():
        (project / f"{name}.py").write_bytes(content)
    for name, (text, _) in PROGRAMS.items():
        (project / f"{name}.py").write_text(SOUND + text, newline="")
    for name, (content, _) in NOTEBOOKS.items():
        (project / f"{name}.ipynb").write_bytes(content)
    (project / "link.py").symlink_to(project / "link.py")
    os.mkfifo(project / "pipe.py")
    completed = run(project, "--output-format", "json")
    assert completed.returncode == 2, completed.stderr
    assert "Traceback" not in completed.stderr
    found = {(d["path"], d["code"]) for d in json.loads(completed.stdout)}
    fates = {f"{name}.py": fate for name, (_, fate) in (*BYTES.items(), *PROGRAMS.items())}
    fates |= {f"{name}.ipynb": fate for name, (_, fate) in NOTEBOOKS.items()}
    expected = {(path, "RNN503") for path, fate in fates.items() if fate == ANALYSED}
    expected |= {(path, "RNN001") for path, fate in fates.items() if fate == UNPARSABLE}
    assert found == {*expected, ("sibling.py", "RNN503")}
    refused = [path for path, fate in fates.items() if fate in (UNREADABLE, SKIPPED)]
    for path in (*refused, "link.py", "pipe.py"):
        assert f": {path}: " in completed.stderr
    assert f"skipped {len(refused) + 2}: " in completed.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (["sibling.py"], 1),
        (["absent.py"], 2),
        (["absent.py", "sibling.py"], 2),
        (["nul.py"], 2),
        (["."], 2),
        (["broken.py"], 1),
        (["sound.py"], 0),
        (["nothing"], 0),
    ],
)
def test_exit_codes(project: Path, paths: list[str], code: int) -> None:
    (project / "nul.py").write_bytes(b"\0")
    (project / "broken.py").write_text(f"{TORCH}nn.LSTM(1, 2\n")
    (project / "sound.py").write_text("")
    (project / "nothing").mkdir()
    completed = run(project, *paths)
    assert completed.returncode == code, completed.stderr
    assert "Read " in completed.stdout
    if "sibling.py" in paths:
        assert "RNN503" in completed.stdout
