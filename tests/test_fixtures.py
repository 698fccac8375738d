"""Every case of every fixture: what its comments assert is found, and nothing else.

Where rules offer repairs, these are carried out, and the case shows what comes of it.
`fixtures/README.md` describes how fixtures are written.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path

import pytest
from mdtest import Case, Finding, cases_of, rewrite, rewrite_fixed, unmatched
from repaired import repaired

from rnnlint import engine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIXTURES = Path(__file__).parent.parent / "fixtures"
RULE_FIXTURES = sorted(FIXTURES.glob("[a-z]*[0-9][0-9][0-9]_*.md"))

each_case = pytest.mark.parametrize(
    ("fixture", "case"),
    [
        pytest.param(fixture, case, id=f"{fixture.stem}::{case.name}")
        for fixture in RULE_FIXTURES
        for case in cases_of(fixture)
    ],
)


@each_case
def test_fixture(fixture: Path, case: Case, tmp_path: Path, update_fixtures: bool) -> None:
    write_project(tmp_path, case, case.files, code_of(fixture))
    found = findings_in(tmp_path)
    if update_fixtures:
        before = fixture.read_text(encoding="utf-8")
        fixture.write_text(rewrite(before, case.name, found), encoding="utf-8")
        return
    missing, unexpected = unmatched(case.expected, found)
    problems = [f"missing     {one}" for one in missing]
    problems += [f"unexpected  {one}" for one in unexpected]
    assert not problems, "\n".join([f"{fixture.name}: {case.name}", *problems])


@each_case
def test_its_repair(fixture: Path, case: Case, tmp_path: Path, update_fixtures: bool) -> None:
    if not case.expected:
        assert not case.fixed_files, "there is nothing to repair"
        return
    write_project(tmp_path, case, case.bare_files, code_of(fixture))
    result = repaired(tmp_path)
    if update_fixtures:
        before = fixture.read_text(encoding="utf-8")
        fixture.write_text(rewrite_fixed(before, case.name, result.texts), encoding="utf-8")
        return
    for each in result.withheld:
        pytest.fail(f"{each.diagnostic.code} at {each.diagnostic.span}: {each.reason}")
    if case.fixed_files:
        assert not differences(case.fixed_files, result.texts)
    if not result.offered:
        return
    assert not [d for d in result.outcome.diagnostics if d.fix is not None], "left to repair"
    everything = Counter(found_by_all_rules(tmp_path))
    write_files(tmp_path, result.texts)
    assert not repaired(tmp_path).texts, "a second repair changes more"
    assert not Counter(found_by_all_rules(tmp_path)) - everything, "the repair causes findings"


def test_there_are_fixtures() -> None:
    assert RULE_FIXTURES


def code_of(fixture: Path) -> str:
    return fixture.stem.split("_")[0].upper()


def write_project(folder: Path, case: Case, files: Mapping[str, str], code: str) -> None:
    """Lay a case out as a project in which only the rule `code` is selected."""
    write_files(folder, files)
    selects = "select" in tomllib.loads(case.toml)
    settings = case.toml if selects else f'select = ["{code}"]\n{case.toml}'
    (folder / "rnnlint.toml").write_text(settings, encoding="utf-8")


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="")


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


def found_by_all_rules(project: Path) -> list[str]:
    """The codes of all that any rule finds."""
    everything = ('select = ["ALL"]', "ignore = []")
    request = engine.Request(paths=(), cwd=str(project), no_cache=True, inline_config=everything)
    return [diagnostic.code for diagnostic in engine.check(request).diagnostics]


def differences(expected: Mapping[str, str], got: Mapping[str, str]) -> str:
    """How the files that a repair gave differ from those that the case shows."""
    lines: list[str] = []
    for path in sorted({*expected, *got}):
        shown = expected.get(path, "").splitlines(keepends=True)
        repaired_lines = got.get(path, "").splitlines(keepends=True)
        lines += unified_diff(shown, repaired_lines, f"{path} as shown", f"{path} as repaired")
    return "".join(lines)
