"""Every case of every fixture: what its comments assert is found, and nothing else.

`fixtures/README.md` describes how fixtures are written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mdtest import Case, Finding, cases_of, rewrite, unmatched

from rnnlint import engine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIXTURES = Path(__file__).parent.parent / "fixtures"
RULE_FIXTURES = sorted(FIXTURES.glob("[a-z]*[0-9][0-9][0-9]_*.md"))


@pytest.mark.parametrize(
    ("fixture", "case"),
    [
        pytest.param(fixture, case, id=f"{fixture.stem}::{case.name}")
        for fixture in RULE_FIXTURES
        for case in cases_of(fixture)
    ],
)
def test_fixture(fixture: Path, case: Case, tmp_path: Path, update_fixtures: bool) -> None:
    write_project(tmp_path, case, code=fixture.stem.split("_")[0].upper())
    found = findings_in(tmp_path)
    if update_fixtures:
        before = fixture.read_text(encoding="utf-8")
        fixture.write_text(rewrite(before, case.name, found), encoding="utf-8")
        return
    missing, unexpected = unmatched(case.expected, found)
    problems = [f"missing     {one}" for one in missing]
    problems += [f"unexpected  {one}" for one in unexpected]
    assert not problems, "\n".join([f"{fixture.name}: {case.name}", *problems])


def test_there_are_fixtures() -> None:
    assert RULE_FIXTURES


def write_project(folder: Path, case: Case, code: str) -> None:
    """Lay a case out as a project in which only the rule `code` is selected."""
    for path, text in case.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="")
    selects = "select" in tomllib.loads(case.toml)
    settings = case.toml if selects else f'select = ["{code}"]\n{case.toml}'
    (folder / "rnnlint.toml").write_text(settings, encoding="utf-8")


def findings_in(project: Path) -> list[Finding]:
    """Analyse a project; a file that could not be read fails the case."""
    request = engine.Request(paths=(), cwd=str(project), no_cache=True)
    outcome = engine.check(request)
    assert not outcome.notices
    return [
        Finding(
            path=diagnostic.span.path,
            row=diagnostic.span.location.row,
            level=diagnostic.level.value,
            code=diagnostic.code,
            message=diagnostic.message,
        )
        for diagnostic in outcome.diagnostics
    ]
