"""Analysed code is never imported or executed, whatever it is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from trained import TAGGER, TAGGING

CHECKOUT = Path(__file__).parent.parent

# Leaves a trace and ends whatever process executes it.
HOSTILE = """\
import os
import pathlib
pathlib.Path(__file__).with_suffix(".executed").write_text("this module ran")
os._exit(87)
"""

TRAIN = "import acme.plots\n" + TAGGING

# Names that an analyser, or one of its workers, might import from where it stands.
SHADOWING = ("libcst", "msgspec", "click", "queue", "random", "rules")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A training project in which every module ends the process that executes it."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "acme"\n')
    (tmp_path / "model.py").write_text(TAGGER + HOSTILE)
    (tmp_path / "train.py").write_text(TRAIN + HOSTILE)
    for name in ("setup", "conftest", "sitecustomize", *SHADOWING):
        (tmp_path / f"{name}.py").write_text(HOSTILE)
    for name in ("__init__", "__main__", "plots"):
        (tmp_path / "acme" / f"{name}.py").write_text(HOSTILE)
    return tmp_path


def check(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command, "check", "--no-cache", "--output-format", "concise"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


# The way of an installed script, whose own folder is on the path and not the project, and
# the way of a module, for which Python puts the current folder first.
@pytest.mark.parametrize(
    "command",
    [
        ("-c", "import sys; del sys.path[0]; import rnnlint.cli; rnnlint.cli.main()"),
        ("-m", "rnnlint"),
    ],
    ids=["script", "module"],
)
def test_no_module_of_the_project_is_executed(project: Path, command: tuple[str, ...]) -> None:
    completed = check(project, *command)
    executed = sorted(path.name for path in project.rglob("*.executed"))
    assert executed == []
    assert completed.returncode == 1, completed.stderr
    assert "RNN503" in completed.stdout


def test_the_project_would_notice(project: Path) -> None:
    """The trap works: importing a module of the project leaves its trace."""
    completed = subprocess.run([sys.executable, "-m", "acme.plots"], cwd=project, check=False)
    assert completed.returncode == 87
    assert (project / "acme" / "__init__.executed").exists()
