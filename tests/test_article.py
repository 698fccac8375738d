"""What rnnlint says of the article's projects, in full, and what README.md shows of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnlint import engine

CHECKOUT = Path(__file__).parent.parent
ARTICLE = CHECKOUT / "fixtures" / "article"


def test_the_whole_report(golden: Callable[[str, str], None]) -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "rnnlint", "check", "--no-cache", "fixtures/article"],
        cwd=CHECKOUT,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert completed.returncode == 1, completed.stderr
    assert completed.stderr == ""
    golden("article.txt", completed.stdout)


def test_the_readme_shows_a_part_of_it() -> None:
    report = (CHECKOUT / "tests" / "goldens" / "article.txt").read_text(encoding="utf-8")
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"(?ms)^```console\n\$ rnnlint check fixtures/article\n(.*?)^```$", readme)
    assert len(shown) == 1
    for part in shown[0].split("...\n"):
        assert part.strip("\n") in report


@pytest.mark.parametrize(
    ("project", "codes"),
    [
        ("padding", {"RNN101", "RNN103"}),
        ("initialisation", {"RNN402", "RNN501"}),
        ("gradients", {"RNN201", "RNN301", "RNN401"}),
    ],
)
def test_each_project_shows_its_part_of_the_article(project: str, codes: set[str]) -> None:
    request = engine.Request(paths=(str(ARTICLE / project),), cwd=str(CHECKOUT), no_cache=True)
    found = {diagnostic.code for diagnostic in engine.check(request).diagnostics}
    assert codes <= found
