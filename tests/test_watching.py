"""`rnnlint check --watch`, in a terminal and out of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from terminals import PATIENCE, Terminal, terminal
from trained import FAULTY, lay

from rnnlint.cli import application

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals are made otherwise")

CHECKOUT = Path(__file__).resolve().parent.parent
CLEARED = "\x1b[2J"
WAITING = "Waiting for a change; Ctrl-C ends this."
MENDED = FAULTY.replace(", dropout=0.5", "")
SETTINGS = '[tool.rnnlint]\nselect = ["RNN001", "RNN503"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    lay(tmp_path, {"model.py": FAULTY, "pyproject.toml": SETTINGS})
    return tmp_path


@contextmanager
def watching(folder: Path, *arguments: str) -> Iterator[Terminal]:
    """A terminal in which files are watched and the first report is there."""
    command = (sys.executable, "-m", "rnnlint", "check", "--watch", "--output-format", "concise")
    with terminal(folder, *command, *arguments, NO_COLOR="1") as screen:
        yield screen


def replace(path: Path, text: str) -> None:
    """Save a file as editors do: all at once, and never with an old stamp."""
    beside = path.with_name(path.name + "~")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def test_a_change_is_told_and_checked_on_an_empty_screen(project: Path) -> None:
    with watching(project) as screen:
        shown = screen.until(WAITING)
        assert shown.startswith(CLEARED)
        assert "model.py:3:9: warning[RNN503]" in shown
        assert "Found 1 problem" in shown

        replace(project / "model.py", MENDED)
        shown = screen.until(WAITING)
        assert "model.py changed; checking again." in shown
        assert CLEARED in shown
        assert "Found no problems." in shown

        lay(project, {"new.py": FAULTY})
        shown = screen.until(WAITING)
        assert "new.py is new; checking again." in shown
        assert "new.py:3:9: warning[RNN503]" in shown

        status, shown = screen.interrupt()
    assert status == 130
    assert shown.split() == ["^C"]


def test_files_that_vanish_end_nothing(project: Path) -> None:
    with watching(project, "model.py") as screen:
        screen.until(WAITING)
        (project / "model.py").unlink()
        shown = screen.until(WAITING)
        assert "model.py vanished; checking again." in shown
        assert "error: model.py: no such file or folder; check the spelling" in shown

        lay(project, {"model.py": FAULTY})
        shown = screen.until(WAITING)
        assert "model.py is there again; checking again." in shown
        assert "model.py:3:9: warning[RNN503]" in shown
        assert screen.interrupt()[0] == 130


def test_of_many_changes_a_few_are_named(project: Path) -> None:
    lay(project, {f"part_{number}.py": FAULTY for number in range(5)})
    with watching(project) as screen:
        screen.until(WAITING)
        (project / "part_0.py").unlink()
        lay(project, {f"part_{number}.py": MENDED for number in range(1, 5)})
        shown = screen.until(WAITING)
        names = "part_0.py vanished, part_1.py changed, part_2.py changed and 2 more; checking"
        assert names in shown
        assert "Found 1 problem (1 warning) in 1 file." in shown


def test_a_file_that_does_not_parse_is_reported_as_ever(project: Path) -> None:
    with watching(project) as screen:
        screen.until(WAITING)
        replace(project / "model.py", FAULTY + "def half(")
        assert "error[RNN001]" in screen.until(WAITING)
        replace(project / "model.py", FAULTY)
        assert "error[RNN001]" not in screen.until(WAITING)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[tool.rnnlint]\nselekt = ["RNN5"]\n', "pyproject.toml: unknown key 'selekt'"),
        ('[tool.rnnlint]\nselect = ["RNN9"]\n', "RNN9"),
        ("[tool.rnnlint\n", "pyproject.toml: this is not valid TOML"),
    ],
)
def test_settings_may_be_wrong_for_a_while(project: Path, settings: str, said: str) -> None:
    with watching(project) as screen:
        screen.until(WAITING)
        replace(project / "pyproject.toml", settings)
        shown = screen.until(WAITING)
        assert "error: " in shown
        assert said in shown
        replace(project / "pyproject.toml", SETTINGS)
        assert "model.py:3:9: warning[RNN503]" in screen.until(WAITING)


def test_a_baseline_is_read_again_when_it_changes(project: Path) -> None:
    lay(project, {"pyproject.toml": SETTINGS + 'baseline = "known.json"\n'})
    write = [sys.executable, "-m", "rnnlint", "check", "--write-baseline"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    subprocess.run(write, cwd=project, env=environment, check=True)
    with watching(project) as screen:
        assert "Found no problems" in screen.until(WAITING)
        (project / "known.json").unlink()
        shown = screen.until(WAITING)
        assert "The baseline changed; checking again." in shown
        assert "error: the baseline known.json does not exist; write it with" in shown
        subprocess.run(write, cwd=project, env=environment, check=True)
        assert "Found no problems" in screen.until(WAITING)


def test_settings_that_are_wrong_from_the_start_end_it(project: Path) -> None:
    with watching(project, "--select", "RNN9") as screen:
        status, shown = screen.end()
    assert status == 2
    assert "RNN9" in shown


def test_nothing_is_repaired_meanwhile(project: Path) -> None:
    lay(project, {"pyproject.toml": SETTINGS + "fix = true\n"})
    with watching(project) as screen:
        shown = screen.until(WAITING)
    assert "Nothing is repaired meanwhile, whatever the settings say of 'fix'." in shown
    assert (project / "model.py").read_text(encoding="utf-8") == FAULTY


def test_a_program_reads_reports_and_nothing_else(project: Path) -> None:
    command = [sys.executable, "-m", "rnnlint", "check", "--watch", "--output-format", "jsonl"]
    process = subprocess.Popen(
        command,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    limit = threading.Timer(PATIENCE, process.kill)
    limit.start()
    try:
        assert json.loads(process.stdout.readline())["code"] == "RNN503"
        replace(project / "model.py", "\n" + FAULTY)
        assert json.loads(process.stdout.readline())["location"]["row"] == 4
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=PATIENCE)
    finally:
        limit.cancel()
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert rest == ""
    assert "\x1b" not in said
    assert "Traceback" not in said
    assert "model.py changed; checking again." in said


@pytest.mark.parametrize("other", ["--fix", "--fix-only", "--diff", "--add-noqa", "--show-files"])
def test_what_goes_with_no_watching_is_said(other: str) -> None:
    done = CliRunner().invoke(application, ["check", "--watch", other], prog_name="rnnlint")
    assert done.exit_code == 2
    assert f"--watch and {other} exclude each other: give one" in done.stderr


def test_the_standard_input_is_not_watched() -> None:
    done = CliRunner().invoke(application, ["check", "--watch", "-"], prog_name="rnnlint")
    assert done.exit_code == 2
    assert "--watch wants files, and '-' is none" in done.stderr
