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
EXCERPT = re.compile(r"(?ms)^```console\n\$ rnnlint check fixtures/article\n(.*?)^```$")


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


def test_the_readme_shows_a_part_of_it(update_goldens: bool) -> None:
    report = (CHECKOUT / "tests" / "goldens" / "article.txt").read_text(encoding="utf-8")
    readme = CHECKOUT / "README.md"
    text = readme.read_text(encoding="utf-8")
    shown = EXCERPT.search(text)
    assert shown is not None
    if update_goldens:
        text = text.replace(shown[1], excerpt(report))
        readme.write_text(text, encoding="utf-8")
    assert excerpt(report) in text


def excerpt(report: str) -> str:
    """Two findings of the report, its end, and dots for what is left out, the first included."""
    findings = report.split("\n\n")
    padded = next(one for one in findings if "[RNN101]" in one)
    unclipped = next(one for one in findings if "[RNN201]" in one)
    return f"...\n{padded}\n...\n{unclipped}\n...\n{findings[-1]}"


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
