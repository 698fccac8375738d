"""The hooks, run by pre-commit from the configuration that README.md shows, word for word.

pre-commit clones the checkout and installs it with what it needs, once for all tests here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from published import CHECKOUT, environment, git, published, repository, snippets
from trained import TAGGER, TAGGING, lay

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="pre-commit works on git")

CONFIGURATION = ".pre-commit-config.yaml"
MENDED = TAGGER.replace(", dropout=0.5", "")
OUTPUT = {"name": "stdout", "output_type": "stream", "text": ["dropout=0.5\n"]}


def notebook(*cells: str) -> str:
    """Code cells as they are saved, each with an output that no repair may touch."""
    common = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [OUTPUT]}
    book = {
        "cells": [{**common, "source": cell.splitlines(keepends=True)} for cell in cells],
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(book, indent=1) + "\n"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the checkout is what stands at its public address."""
    folder = tmp_path_factory.mktemp("published")
    home = tmp_path_factory.mktemp("pre-commit")
    return environment(**published(folder / "rnnlint"), PRE_COMMIT_HOME=str(home))


class Committer:
    """Somebody who works on a small project that has the hooks."""

    def __init__(self, root: Path, settings: dict[str, str]) -> None:
        self.root = root
        self._settings = settings

    def stage(self, files: dict[str, str]) -> None:
        lay(self.root, files)
        git(self.root, "add", *files)

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the hooks on what is staged."""
        done = subprocess.run(
            [sys.executable, "-m", "pre_commit", "run", "--color=never", *arguments],
            cwd=self.root,
            env=self._settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return done.returncode, done.stdout

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, settings: dict[str, str]) -> Committer:
    """What trains the model is committed, as is the configuration."""
    (configuration,) = snippets("yaml", "pre-commit")
    lay(tmp_path, {CONFIGURATION: configuration, "train.py": TAGGING})
    return Committer(repository(tmp_path), settings)


def test_the_manifest_is_valid() -> None:
    manifest = str(CHECKOUT / ".pre-commit-hooks.yaml")
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-manifest", manifest], check=True)


def test_what_is_staged_is_reported_and_the_rest_is_read(project: Committer) -> None:
    project.stage({"model.py": TAGGER})
    status, said = project.run("rnnlint")
    assert status == 1
    assert "- exit code: 1" in said
    assert "--> model.py:7:21 (dropout-without-effect)" in said
    # The training loop proves it, and what is wrong with the loop is not what is committed.
    assert "RNN401" in said
    assert "train.py:9:5 it is trained here" in said
    assert "--> train.py" not in said
    assert "RNN201" not in said


def test_what_is_not_staged_is_not_what_is_judged(project: Committer) -> None:
    project.stage({"model.py": MENDED})
    lay(project.root, {"model.py": TAGGER})
    status, said = project.run("rnnlint")
    assert status == 1
    assert "RNN503" not in said
    assert project.read("model.py") == TAGGER


def test_advice_alone_fails_unless_the_settings_say_otherwise(project: Committer) -> None:
    project.stage({"model.py": MENDED})
    status, said = project.run("rnnlint")
    assert status == 1
    assert "Found 1 problem (1 advice) in 1 file." in said
    project.stage({"pyproject.toml": '[tool.rnnlint]\nfail-on = "warning"\n'})
    status, said = project.run("rnnlint", "--verbose")
    assert status == 0
    assert "Found 1 problem (1 advice) in 1 file." in said


def test_a_repair_stops_the_commit_once(project: Committer) -> None:
    project.stage({"model.py": TAGGER})
    status, said = project.run("rnnlint-fix")
    assert status == 1
    assert "- files were modified by this hook" in said
    assert "RNN503" in said
    assert "init_recurrent_(self.lstm)" in project.read("model.py")
    assert "dropout=0.5" not in project.read("model.py")
    assert "RNN201" not in said
    assert git(project.root, "diff", "--name-only").split() == ["model.py"]

    project.stage({"model.py": project.read("model.py")})
    assert project.run("rnnlint-fix")[0] == 0
    assert project.run()[0] == 0


def test_notebooks_are_reported_and_repaired(project: Committer) -> None:
    settings = '[tool.rnnlint]\nselect = ["RNN503"]\n'
    project.stage({"book.ipynb": notebook(TAGGER, "Tagger()"), "pyproject.toml": settings})
    status, said = project.run("rnnlint")
    assert status == 1
    assert "--> book.ipynb:cell 0:7:21 (dropout-without-effect)" in said, said
    status, said = project.run("rnnlint-fix")
    assert status == 1
    assert project.read("book.ipynb") == notebook(MENDED, "Tagger()")
    project.stage({"book.ipynb": project.read("book.ipynb")})
    assert project.run()[0] == 0


def test_what_is_excluded_stays_so(project: Committer) -> None:
    project.stage(
        {"old/model.py": TAGGER, "pyproject.toml": '[tool.rnnlint]\nextend-exclude = ["old"]\n'}
    )
    status, said = project.run("--verbose")
    assert status == 0
    assert "old/model.py: is excluded" in said


def test_other_files_are_not_looked_at(project: Committer) -> None:
    project.stage({"notes.md": "LSTM"})
    status, said = project.run()
    assert status == 0
    assert said.count("(no files to check)Skipped") == 2
