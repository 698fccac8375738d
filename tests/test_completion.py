"""What shells complete, typed at real ones that have run their line of README.md."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from needed import needed
from published import CHECKOUT, snippets
from terminals import terminal
from trained import lay

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals are made otherwise")

READY = "ready to type"
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -d zcompdump\n"),
    "fish": (["fish", "--no-config", "-i"], ""),
}
# Asked to complete, it is rnnlint; and else it says what it is called with.
PROGRAM = f"""\
#!/bin/sh
if [ -n "$_RNNLINT_COMPLETE" ]; then PYTHONPATH='{CHECKOUT}' exec '{sys.executable}' -m rnnlint; fi
echo "called with: $*"
"""
TYPED = {
    "chec": "check",
    "doct": "doctor",
    "doctor --range": "doctor --range-test",
    "rule unpacked-p": "rule unpacked-padded-input",
    "rule RNN503": "rule RNN503",
    "check --statis": "check --statistics",
    "check --fail-on w": "check --fail-on warning",
    "check mod": "check model.py",
    "check --config rnn": "check --config rnnlint.toml",
    "check --cache-dir kep": "check --cache-dir kept",
}
# click writes for fish what fish then takes apart at commas.
SEVERAL = {"check --select RNN2,unpacked-p": "check --select RNN2,unpacked-padded-input"}


def line_of(shell: str) -> str:
    """The line of README.md that is for a shell."""
    (block,) = (one for one in snippets("sh", "Using it") if "_RNNLINT_COMPLETE" in one)
    (line,) = (one for one in block.splitlines() if f"={shell}_source" in one)
    return line


@pytest.mark.parametrize("shell", SHELLS)
def test_it_completes(shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, before = SHELLS[shell]
    needed(shell)
    lay(tmp_path, {"bin/rnnlint": PROGRAM, "model.py": "", "rnnlint.toml": "", "kept/x": ""})
    (tmp_path / "bin" / "rnnlint").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("HOME", str(tmp_path))
    with terminal(tmp_path, *command) as screen:
        screen.type(f"{before}{line_of(shell)}\necho ready to; echo ready 'to type'\n")
        screen.until(f"\n{READY}")
        wanted = TYPED if shell == "fish" else TYPED | SEVERAL
        for typed, called in wanted.items():
            screen.type(f"rnnlint {typed}\t\n")
            screen.until(f"called with: {called}")
