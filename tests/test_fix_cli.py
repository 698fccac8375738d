"""The command line where it repairs: what it writes, where, and what it exits with."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from scripted import STYLES, Finding, project_of, script
from trained import TORCH

from rnnlint.cli import application
from rnnlint.diagnostic import Applicability

__all__ = ["script"]
CHECKOUT = Path(__file__).resolve().parent.parent
MAIN = "main.py"
BEFORE = TORCH + "net = nn.LSTM(1, 1)\nbad = 0\n#\n#\nworse = 0\nawful = 0\n"
SAFE = BEFORE.replace("bad = 0", "bad = 1")
BOTH = SAFE.replace("worse = 0", "worse = 1")


@pytest.fixture
def project(tmp_path: Path, script: list[Finding], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A safe repair, an unsafe one, and one that is withheld."""
    script += [
        Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")),
        Finding(
            "SCR002",
            "worse = 0",
            (MAIN, "worse = 0", "worse = 1"),
            applicability=Applicability.UNSAFE,
        ),
        Finding("SCR003", "awful = 0", (MAIN, "awful = 0", "awful = (")),
    ]
    root = project_of(tmp_path, {MAIN: BEFORE})
    monkeypatch.chdir(root)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "RNNLINT_OUTPUT_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    return root


def run(*arguments: str, **options: Any) -> Result:
    result = CliRunner().invoke(
        application, ["check", "--no-cache", *arguments], prog_name="rnnlint", **options
    )
    assert "fault of rnnlint" not in result.stderr, result.stderr
    return result


def text(root: Path, path: str = MAIN) -> str:
    return (root / path).read_bytes().decode()


def test_a_plain_run_says_what_can_be_fixed(project: Path) -> None:
    result = run("--output-format", "concise")
    assert (result.exit_code, text(project)) == (1, BEFORE)
    marked = {line.split()[1]: "[*]" in line for line in result.stdout.splitlines()[:3]}
    assert list(marked.values()) == [True, False, True]
    assert "[*] 2 fixable with --fix (1 more with --fix --unsafe-fixes).\n" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "left", "closing"),
    [
        (["--fix"], 1, SAFE, "Found 3 problems (1 fixed, 2 remaining)."),
        (["--fix", "--unsafe-fixes"], 1, BOTH, "Found 3 problems (2 fixed, 1 remaining)."),
        (["--fix", "--exit-zero"], 0, SAFE, "Found 3 problems (1 fixed, 2 remaining)."),
        (["--fix", "--select", "SCR001"], 0, SAFE, "Found 1 problem (1 fixed, 0 remaining)."),
        (["--fix", "--select", "SCR001", "--exit-non-zero-on-fix"], 1, SAFE, "Found 1 problem"),
        (["--fix", "--select", "SCR003", "--exit-non-zero-on-fix"], 1, BEFORE, "Found 1 problem"),
        (["--fix", "--fail-on", "error"], 0, SAFE, "Found 3 problems"),
        (["--fix-only"], 0, SAFE, "Fixed 1 problem.\n"),
        (["--fix-only", "--unsafe-fixes"], 0, BOTH, "Fixed 2 problems.\n"),
        (["--fix-only", "--exit-non-zero-on-fix"], 1, SAFE, "Fixed 1 problem.\n"),
        (["--fix-only", "--unfixable", "ALL"], 0, BEFORE, "Fixed 0 problems.\n"),
        (["--fix", "--fixable", "SCR002", "--unsafe-fixes"], 1, None, "(1 fixed, 2 remaining)"),
        (["--fix", "--fixable", "SCR003", "--extend-fixable", "rule-1"], 1, SAFE, "(1 fixed"),
        (["--fix", "--unfixable", "SCR001,SCR003"], 1, BEFORE, "Found 3 problems"),
        (["--config", "fix = true"], 1, SAFE, "(1 fixed, 2 remaining)"),
        (["--config", "fix = true", "--no-fix"], 1, BEFORE, "Found 3 problems"),
        (["--config", "fix-only = true\nunsafe-fixes = true"], 0, BOTH, "Fixed 2 problems"),
        (["--config", "unsafe-fixes = true", "--no-unsafe-fixes", "--fix"], 1, SAFE, "(1 fixed"),
    ],
)
def test_fixing(
    project: Path, arguments: list[str], code: int, left: str | None, closing: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert closing in result.stdout
    assert result.stderr == ""
    assert text(project) == (left or BEFORE.replace("worse = 0", "worse = 1"))
    assert sorted(path.name for path in project.iterdir()) == [MAIN, "rnnlint.toml"]


def test_a_second_run_fixes_nothing(project: Path) -> None:
    run("--fix", "--unsafe-fixes")
    stamp = (project / MAIN).stat()
    result = run("--fix", "--unsafe-fixes", "--exit-non-zero-on-fix", "--ignore", "SCR003")
    assert (result.exit_code, result.stdout) == (0, "Found no problems.\nRead 1 file.\n")
    assert (project / MAIN).stat().st_mtime_ns == stamp.st_mtime_ns
    assert (project / MAIN).stat().st_ino == stamp.st_ino


def test_show_fixes_lists_what_was_done_and_what_not_and_why(project: Path) -> None:
    result = run("--fix", "--show-fixes", "-q", "--output-format", "concise")
    assert result.stdout.endswith(
        "Fixed 1 problem:\n- main.py:\n    1 \N{MULTIPLICATION SIGN} SCR001 (rule-1)\n"
        "Withheld 1 fix:\n"
        "- main.py:8:1 SCR003 (rule-3): main.py: it would no longer compile\n"
    )
    assert "--show-fixes says why" not in run("--fix", "--show-fixes").stdout
    result = run("--fix", "--output-format", "concise")
    assert "Withheld 1 fix; --show-fixes says why.\n" in result.stdout
    assert "[*]" not in result.stdout
    (project / MAIN).write_text(BEFORE)
    told = "Withheld 1 fix; --show-fixes says why.\n"
    why = "Withheld 1 fix:\n- main.py:8:1 SCR003 (rule-3): main.py: it would no longer compile\n"
    assert run("--diff").stderr.endswith(f"--unsafe-fixes).\n{told}")
    assert run("--diff", "--show-fixes").stderr.endswith(f"--unsafe-fixes).\n{why}")
    assert run("--fix-only").stdout == f"Fixed 1 problem.\n{told}"
    assert run("--fix-only", "--show-fixes").stdout == f"Fixed 0 problems.\n{why}"
    assert run("--fix-only", "-q", "--show-fixes").stdout == ""
    (project / MAIN).write_text(BEFORE)
    listed = "Fixed 1 problem:\n- main.py:\n    1 \N{MULTIPLICATION SIGN} SCR001 (rule-1)\n"
    assert run("--fix-only", "--show-fixes").stdout == f"{listed}{why}"


def test_a_difference_is_shown_and_nothing_written(project: Path) -> None:
    expected = """\
--- a/main.py
+++ b/main.py
@@ -1,7 +1,7 @@
 import torch
 from torch import nn
 net = nn.LSTM(1, 1)
-bad = 0
+bad = 1
 #
 #
 worse = 0
"""
    stamp = (project / MAIN).stat().st_mtime_ns
    result = run("--diff")
    assert (result.exit_code, result.stdout) == (1, expected)
    assert result.stderr.startswith("Would fix 1 problem (1 more with --unsafe-fixes).\n")
    assert (run("--diff", "-q").stderr, run("--diff", "--exit-zero").exit_code) == ("", 0)
    # Whatever else is asked for.
    assert run("--diff", "--fix", "--fix-only", "--output-format", "json").stdout == expected
    assert run("--diff", "--config", "fix = true").stdout == expected
    assert "+worse = 1\n" in run("--diff", "--unsafe-fixes").stdout
    result = run("--diff", "-o", "patch.txt")
    assert (result.stdout, text(project, "patch.txt")) == ("", expected)
    assert text(project) == BEFORE
    assert (project / MAIN).stat().st_mtime_ns == stamp


def test_no_difference_is_no_failure(project: Path) -> None:
    result = run("--diff", "--select", "SCR003")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Would fix nothing.\nWithheld 1 fix;")


@pytest.mark.skipif(shutil.which("patch") is None, reason="there is no patch")
@pytest.mark.parametrize(
    "before",
    [
        BEFORE,
        BEFORE.replace("\n", "\r\n"),
        BEFORE.replace("\n", "\r"),
        BEFORE.replace("\nworse = 0\nawful = 0\n", ""),
        BEFORE.replace("\nworse = 0\nawful = 0\n", "").rstrip(),
        "\ufeff" + BEFORE.partition("\n")[2].replace("net", "import torch\nnet"),
        "bad = 0\n" + BEFORE.replace("bad = 0\n", ""),
        "\ufeffbad = 0\n" + BEFORE.replace("bad = 0\n", ""),
        BEFORE.replace("\n#\n#\n", "\n# \f \u2028 \x85 caf\u00e9 \x1c\n"),
    ],
)
def test_a_difference_is_what_patch_takes(project: Path, before: str) -> None:
    (project / MAIN).write_bytes(before.encode())
    assert run("--diff", "-o", "../fix.patch").exit_code == 1
    patch = ["patch", "--binary", "-p1", "-i", "../fix.patch"]
    done = subprocess.run(patch, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert text(project) == before.replace("bad = 0", "bad = 1")


def test_a_difference_is_seen_from_the_working_directory(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    assert run("--diff", "..").stdout.startswith("--- a/../main.py\n")
    monkeypatch.chdir(project.parent)
    assert run("--diff", "project").stdout.startswith("--- a/project/main.py\n")


# --- the standard input -----------------------------------------------------------------


def test_the_standard_input_is_put_out_repaired(project: Path) -> None:
    given = "# \u00e9\r\n" + BEFORE.replace("\n", "\r\n") + "x = 1"
    for name in (MAIN, "new.py"):
        (project / MAIN).write_text("" if name == MAIN else BEFORE)
        arguments = ("--fix", "-", "--stdin-filename", name, "--output-format", "concise")
        result = run(*arguments, input=given.encode())
        expected = given.replace("bad = 0", "bad = 1") if name == MAIN else given
        assert result.stdout_bytes.decode() == expected
        assert result.exit_code == (1 if name == MAIN else 0)
        assert text(project) == ("" if name == MAIN else BEFORE)
        if name == MAIN:
            assert "Found 3 problems (1 fixed, 2 remaining)." in result.stderr


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"x = 1",
        b"def f(:\n",
        b"\xff\xfe\0",
        b"# coding: latin-1\nx = '\xe9'\n",
        b"\xef\xbb\xbfx",
    ],
)
def test_the_standard_input_comes_out_whatever_it_is(project: Path, given: bytes) -> None:
    for option in ("--fix", "--fix-only", "--add-noqa"):
        result = run(option, "-", "--stdin-filename", "other.py", input=given)
        assert result.stdout_bytes == given


def test_a_difference_of_the_standard_input(project: Path) -> None:
    result = run("--diff", "-", "--stdin-filename", MAIN, input=BEFORE.replace("0\n", "0 # x\n"))
    assert result.stdout.startswith("--- a/main.py\n+++ b/main.py\n")
    assert "-bad = 0 # x\n+bad = 1 # x\n" in result.stdout
    assert (result.exit_code, text(project)) == (1, BEFORE)


def test_one_file_on_the_standard_input_takes_no_other_with_it(
    project: Path, script: list[Finding]
) -> None:
    script[:] = [
        Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1"), ("b.py", "x = 0", "x = 1"))
    ]
    other = TORCH + "net = nn.GRU(1, 1)\nx = 0\n"
    (project / "b.py").write_text(other)
    result = run("--fix", "--show-fixes", "-", "--stdin-filename", MAIN, input=BEFORE)
    assert (result.exit_code, result.stdout) == (1, BEFORE)
    assert "it changes b.py too, and the standard input is one file" in result.stderr.replace(
        "\n ", ""
    )
    assert text(project, "b.py") == other


# --- what is said -----------------------------------------------------------------------


def test_json_carries_the_edits(project: Path) -> None:
    found = json.loads(run("--output-format", "json").stdout)
    fixes = {each["code"]: each["fix"] for each in found}
    assert fixes["SCR001"] == {
        "message": "mend it",
        "applicability": "safe",
        "edits": [
            {
                "path": MAIN,
                "start": BEFORE.index("bad = 0"),
                "end": BEFORE.index("bad = 0") + 7,
                "location": {"row": 4, "column": 1},
                "end_location": {"row": 4, "column": 8},
                "replacement": "bad = 1",
            }
        ],
    }
    assert fixes["SCR002"]["applicability"] == "unsafe"
    left = json.loads(run("--fix", "--output-format", "json").stdout)
    assert {each["code"]: each["fix"] is None for each in left} == {"SCR002": False, "SCR003": True}


def test_a_disk_that_is_full_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for option in ("--fix", "--fix-only", "--add-noqa"):
        result = run(option, "--exit-zero")
        assert result.exit_code == 2
        assert result.stderr == "error: main.py: cannot be written: No space left on device\n"
        assert text(project) == BEFORE
    assert len(list(project.iterdir())) == 2


def test_an_interrupted_run_writes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    assert run("--fix").exit_code == 130
    assert text(project) == BEFORE
    assert len(list(project.iterdir())) == 2


def test_findings_are_silenced(project: Path) -> None:
    result = run("--add-noqa")
    assert (result.exit_code, result.stdout) == (0, "Silenced 3 findings.\n")
    assert text(project).count("# rnnlint: ignore[SCR00") == 3
    result = run("--add-noqa")
    assert (result.exit_code, result.stdout) == (0, "Silenced 0 findings.\n")
    assert run().exit_code == 0
    assert run("--ignore-noqa").exit_code == 1


@pytest.mark.parametrize(
    "other", ["--fix", "--fix-only", "--diff", "--statistics", "--ignore-noqa"]
)
def test_what_contradicts_itself_is_refused(project: Path, other: str) -> None:
    result = run("--add-noqa", other)
    assert result.exit_code == 2
    assert f"--add-noqa and {other} exclude each other" in result.stderr
    assert text(project) == BEFORE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fixable", "RNN999"], "unknown rule 'RNN999' in fixable"),
        (["--unfixable", "nothing"], "unknown rule 'nothing' in unfixable"),
        (["--config", "extend-safe-fixes = ['SCR9']"], "unknown rule 'SCR9' in extend-safe-fixes"),
        (["--config", "extend-unsafe-fixes = ['x']"], "unknown rule 'x' in extend-unsafe-fixes"),
        (["--fix-style", "numpy"], "'numpy' is not one of 'auto', 'torch', 'runtime'"),
        (["--config", "fix-style = 'numpy'"], 'must be "auto", "torch" or "runtime"'),
        (["--config", "fix = 1"], "'fix' must be true or false"),
    ],
)
def test_mistakes_are_told(project: Path, arguments: list[str], said: str) -> None:
    result = run("--fix", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert text(project) == BEFORE


@pytest.mark.parametrize(
    ("arguments", "style"),
    [
        ([], "auto"),
        (["--fix-style", "torch"], "torch"),
        (["--config", "fix-style = 'runtime'"], "runtime"),
        (["--config", "fix-style = 'runtime'", "--fix-style", "torch"], "torch"),
    ],
)
def test_rules_are_told_what_repairs_are_to_be_written_in(
    project: Path, arguments: list[str], style: str
) -> None:
    STYLES.clear()
    run("--fix", *arguments)
    assert set(STYLES) == {style}


def test_the_readme_shows_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    command = "rnnlint check fixtures/article --select RNN503 --diff"
    shown = (CHECKOUT / "README.md").read_text(encoding="utf-8").partition(f"$ {command}\n")[2]
    result = run(*command.split()[2:])
    lines = (result.stdout + result.stderr).splitlines()
    assert [line.rstrip() for line in lines] == shown.partition("\n```")[0].splitlines()
