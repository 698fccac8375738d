"""The checkout as others get it: a repository with a tag, whatever is not committed included."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from markdown_text import sections, slug

import rnnlint

CHECKOUT = Path(__file__).resolve().parent.parent
ADDRESS = "https://github.com/rnnlint/rnnlint"
TAG = f"v{rnnlint.__version__}"
_INSTALLED = ("LICENSE", "README.md", "pyproject.toml", "rnnlint", "rules")
USED = (".pre-commit-hooks.yaml", "action.yml")
"""What others use of the repository without installing it."""
_IDENTITY = {
    f"GIT_{who}_{what}": "somebody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


def copy_of_checkout(folder: Path) -> Path:
    """All that an installation needs, so that nothing is built in the tree."""
    folder.mkdir(parents=True)
    for name in (*_INSTALLED, *USED):
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


def environment(**more: str) -> dict[str, str]:
    """This environment without what a run of tests, or a hook around it, would add to it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "PRE_COMMIT", "PYTHON", "RNNLINT_", "GITHUB_", "SKIP"))
    }
    return {**kept, **_IDENTITY, "NO_COLOR": "1", **more}


def git(folder: Path, *arguments: str) -> str:
    """What git says in a repository, which it makes if there is none."""
    return subprocess.run(
        ["git", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def repository(folder: Path) -> Path:
    """Make a folder a repository with all that it holds committed."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All there is")
    return folder


def published(folder: Path) -> dict[str, str]:
    """Publish the checkout in a folder, and return what lets git find it at its real address."""
    git(repository(copy_of_checkout(folder)), "tag", TAG)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{folder.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }


def snippets(language: str, section: str) -> list[str]:
    """The code blocks of a language in a section of README.md, word for word."""
    text = sections((CHECKOUT / "README.md").read_text(encoding="utf-8"))[slug(section)]
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)
