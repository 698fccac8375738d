"""The command line where a stream is closed or full, or the current folder is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RNNLINT = f"{sys.executable} -m rnnlint"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="these are the shell's and Linux's")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"{RNNLINT} check > /dev/full", "cannot write the report: No space left on device"),
        (f"{RNNLINT} check --output-format json > /dev/full", "cannot write the report: No space"),
        (f"{RNNLINT} rule --all > /dev/full", "cannot write the report: No space"),
        (f"{RNNLINT} check >&-", "cannot write the report: the standard output is closed"),
        (f"{RNNLINT} check - <&-", "'-' reads the standard input, which is closed"),
        (
            f"mkdir gone && cd gone && rmdir ../gone && {RNNLINT} check",
            "the current folder no longer exists; change to another",
        ),
    ],
)
def test_a_stream_that_cannot_be_used_is_said(tmp_path: Path, command: str, said: str) -> None:
    done = shell(command, tmp_path)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "fault of rnnlint" not in done.stderr
    assert done.returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="these are the shell's")
def test_a_closed_stream_that_is_not_needed_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    assert shell(f"{RNNLINT} check 2>&-", tmp_path).stdout.startswith("Found no problems.")
    assert shell(f"{RNNLINT} check -q -o report.txt >&-", tmp_path).returncode == 0
