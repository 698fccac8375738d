"""The language server in real editors, with the settings that README.md tells people to use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from needed import needed, pass_over

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).parent.parent
EDITORS = Path(__file__).parent / "editors"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    shutil.copytree(CHECKOUT / "fixtures" / "article" / "gradients", root)
    (root / "pyproject.toml").touch()
    return root


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which `rnnlint` is this checkout's, and the editor knows of no other settings."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "rnnlint"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rnnlint "$@"\n')
    program.chmod(0o755)
    return {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
    }


def finish(command: list[str], project: Path, environment: dict[str, str]) -> None:
    """Let an editor do its work, which ends in the repair of the project."""
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "clip_grad_norm_" in (project / "train.py").read_text(encoding="utf-8")


def test_neovim_shows_and_repairs(project: Path, environment: dict[str, str]) -> None:
    program = needed("nvim")
    environment["RNNLINT_SETTINGS"] = str(CHECKOUT / "editors" / "neovim" / "rnnlint.lua")
    script = EDITORS / "neovim.lua"
    finish(
        [program, "--headless", "--clean", "-c", f"luafile {script}"],
        project,
        environment,
    )


def test_emacs_shows_and_repairs(project: Path, environment: dict[str, str]) -> None:
    program = needed("emacs")
    has_eglot = [program, "-q", "--batch", "--eval", "(require 'eglot)"]
    if subprocess.run(has_eglot, capture_output=True).returncode:
        pass_over("emacs", "this Emacs has no Eglot")
    environment["RNNLINT_SETTINGS"] = str(CHECKOUT / "editors" / "emacs" / "rnnlint.el")
    script = EDITORS / "emacs.el"
    finish([program, "-q", "--batch", "-l", str(script)], project, environment)


def test_what_helix_is_told_is_understood() -> None:
    """Helix itself is in few distributions; its settings are TOML with fixed keys."""
    text = (CHECKOUT / "editors" / "helix" / "languages.toml").read_text(encoding="utf-8")
    settings = tomllib.loads(text)
    assert settings["language-server"]["rnnlint"] == {"command": "rnnlint", "args": ["server"]}
    (language,) = settings["language"]
    assert language["name"] == "python"
    assert "rnnlint" in language["language-servers"]
