"""Only what is new is reported: baselines, and lines that changed since a revision of git."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from published import git, repository
from trained import FAULT, TORCH, lay, training_project

from rnnlint.cli import application
from rnnlint.project.changes import Changes, changes_since

BASELINE = "known.json"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lay(tmp_path, {"pyproject.toml": "[tool.rnnlint]\nselect = ['RNN5']\n"})
    return lay(tmp_path, {"one.py": TORCH + FAULT, "two.py": TORCH + FAULT + FAULT})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application, ["check", "--output-format", "concise", *arguments])


def places_of(*arguments: str) -> list[str]:
    result = run(*arguments)
    lines = [line for line in result.stdout.splitlines() if "[RNN" in line]
    assert result.exit_code == (1 if lines else 0), result.output
    return [":".join(line.split(":")[:2]) for line in lines]


def written(*arguments: str) -> Result:
    result = run("--baseline", BASELINE, "--write-baseline", *arguments)
    assert result.exit_code == 0, result.output
    return result


# --- baselines -------------------------------------------------------------


def test_what_the_baseline_knows_is_not_reported(project: Path) -> None:
    assert places_of() == ["one.py:3", "two.py:3", "two.py:4"]
    assert written().stdout == "Wrote 3 findings to known.json.\n"
    result = run("--baseline", BASELINE)
    assert result.exit_code == 0
    assert "Left out 3 known problems, which the baseline holds." in result.stdout


def test_a_baseline_can_be_read_and_merged(project: Path) -> None:
    written()
    text = (project / BASELINE).read_text()
    stored = json.loads(text)
    line = FAULT.strip()
    assert stored["findings"] == [
        {"path": "one.py", "code": "RNN503", "line": line},
        {"path": "two.py", "code": "RNN503", "line": line, "count": 2},
    ]
    assert len(text.splitlines()) == 2 + len(stored["findings"]) + 3


def test_known_findings_are_recognised_when_their_lines_move(project: Path) -> None:
    written()
    moved = TORCH + "\n# more\n" * 9 + "if True:\n    " + FAULT
    lay(project, {"one.py": moved})
    assert places_of("--baseline", BASELINE) == []


def test_what_is_new_is_reported(project: Path) -> None:
    written()
    lay(project, {"one.py": TORCH + FAULT + FAULT.replace("GRU", "LSTM"), "new.py": TORCH + FAULT})
    assert places_of("--baseline", BASELINE) == ["new.py:3", "one.py:4"]


def test_one_more_of_the_same_is_new(project: Path) -> None:
    written()
    lay(project, {"two.py": TORCH + FAULT * 3})
    assert places_of("--baseline", BASELINE) == ["two.py:5"]


def test_entries_that_are_stale_are_said(project: Path) -> None:
    written()
    lay(project, {"two.py": TORCH + FAULT})
    (project / "one.py").unlink()
    result = run("--baseline", BASELINE)
    assert result.exit_code == 0
    assert "warning: known.json: 2 entries of it are stale" in result.stderr
    assert written().stdout == "Wrote 1 finding to known.json and dropped 2 that are gone.\n"
    assert "stale" not in run("--baseline", BASELINE).stderr


def test_entries_of_other_files_and_rules_are_not_stale(project: Path) -> None:
    written()
    lay(project, {"two.py": TORCH})
    assert "stale" not in run("--baseline", BASELINE, "one.py").stderr
    assert "stale" not in run("--baseline", BASELINE, "--select", "RNN1").stderr


def test_entries_of_other_files_stay_when_some_are_written(project: Path) -> None:
    written()
    lay(project, {"one.py": TORCH, "two.py": TORCH})
    written("two.py")
    stored = json.loads((project / BASELINE).read_text())
    assert [entry["path"] for entry in stored["findings"]] == ["one.py"]


def test_paths_choose_what_is_reported_beside_a_baseline(project: Path) -> None:
    written("one.py")
    assert places_of("--baseline", BASELINE, "two.py") == ["two.py:3", "two.py:4"]
    assert places_of("--baseline", BASELINE) == ["two.py:3", "two.py:4"]


def test_a_baseline_holds_from_everywhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(project, {"below/three.py": TORCH + FAULT})
    written()
    monkeypatch.chdir(project / "below")
    assert places_of("--baseline", f"../{BASELINE}", "..") == []


def test_settings_name_the_baseline_beside_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text() + f"baseline = '{BASELINE}'\n")
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    assert run("..", "--write-baseline").exit_code == 0
    assert (project / BASELINE).exists()
    assert places_of("..") == []
    assert len(places_of("..", "--no-baseline")) == 3


def test_only_new_findings_are_repaired_and_silenced(project: Path) -> None:
    written()
    lay(project, {"new.py": TORCH + FAULT})
    assert run("--baseline", BASELINE, "--fix").exit_code == 0
    assert FAULT in (project / "one.py").read_text()
    assert FAULT not in (project / "new.py").read_text()
    lay(project, {"new.py": TORCH + FAULT})
    assert run("--baseline", BASELINE, "--add-noqa").exit_code == 0
    assert "ignore[RNN503]" in (project / "new.py").read_text()
    assert "ignore" not in (project / "one.py").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "does not exist; write it with --write-baseline"),
        ("{", "is not a baseline"),
        ('{"version": 2, "findings": []}', "is not a baseline"),
        ('{"version": 1, "findings": [{"path": "a"}]}', "is not a baseline"),
    ],
)
def test_a_baseline_that_cannot_be_used_is_an_error(
    project: Path, text: str | None, said: str
) -> None:
    if text is not None:
        (project / BASELINE).write_text(text)
    result = run("--baseline", BASELINE)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_baseline_to_write_has_to_be_named(project: Path) -> None:
    result = run("--write-baseline")
    assert result.exit_code == 2
    assert "--baseline FILE" in result.stderr


def test_no_baseline_is_written_where_something_was_not_read(project: Path) -> None:
    result = run("--baseline", BASELINE, "--write-baseline", "missing.py", "one.py")
    assert result.exit_code == 2
    assert not (project / BASELINE).exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--baseline", BASELINE, "--write-baseline", "--fix"),
        ("--baseline", BASELINE, "--no-baseline"),
        ("--diff-base", "HEAD", "--fix"),
        ("--diff-base", "HEAD", "--add-noqa"),
    ],
)
def test_what_contradicts_is_refused(project: Path, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


# --- lines that changed ----------------------------------------------------


@pytest.fixture(name="repository")
def project_in_git(project: Path) -> Path:
    return repository(project)


def test_only_findings_on_changed_lines_are_reported(repository: Path) -> None:
    assert places_of("--diff-base", "HEAD") == []
    lay(repository, {"one.py": TORCH + FAULT + "\n" + FAULT})
    assert places_of("--diff-base", "HEAD") == ["one.py:5"]
    git(repository, "add", "--all")
    assert places_of("--diff-base", "HEAD") == ["one.py:5"]
    git(repository, "commit", "--quiet", "--message=second")
    assert places_of("--diff-base", "HEAD") == []
    assert places_of("--diff-base", "HEAD~1") == ["one.py:5"]
    assert places_of("--diff-base", "HEAD~1", "two.py") == []


def test_new_files_are_new_throughout(repository: Path) -> None:
    lay(
        repository,
        {"new.py": TORCH + FAULT, "ignored.py": TORCH + FAULT, ".gitignore": "ignored.py"},
    )
    assert places_of("--diff-base", "HEAD") == ["new.py:3"]


def test_what_others_did_to_the_main_branch_is_no_change(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "work")
    lay(repository, {"one.py": TORCH + FAULT + FAULT})
    git(repository, "commit", "--quiet", "--all", "--message=work")
    git(repository, "checkout", "--quiet", "main")
    lay(repository, {"two.py": TORCH + "# other\n" + FAULT})
    git(repository, "commit", "--quiet", "--all", "--message=main")
    git(repository, "checkout", "--quiet", "work")
    assert places_of("--diff-base", "main") == ["one.py:4"]


def test_a_finding_is_reported_for_a_change_that_proves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    training_project(tmp_path)
    repository(tmp_path)
    data = tmp_path / "data.py"
    data.write_text(data.read_text().replace("batch_first=True", "batch_first = True"))
    found = places_of("--diff-base", "HEAD")
    assert found
    assert all(place.startswith("model.py") for place in found)


def test_lines_beside_removed_ones_count_as_changed(repository: Path) -> None:
    lay(repository, {"one.py": TORCH.splitlines(keepends=True)[1] + FAULT})
    changes = changes_since(repository, "HEAD")
    assert changes.touch("one.py", 1, 1)
    assert not changes.touch("one.py", 2, 9)


def test_paths_are_known_however_git_writes_them(repository: Path) -> None:
    names = ["a b.py", 'q"uote.py', "漢字.py", "tab\there.py", "back\\slash.py"]
    lay(repository, dict.fromkeys(names, TORCH))
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=names")
    for name in names:
        (repository / name).write_text(TORCH + "+++ b/one.py\n")
    git(repository, "config", "diff.noprefix", "true")
    git(repository, "config", "diff.external", "false")
    changed = changes_since(repository, "HEAD")
    assert set(changed.rows) == set(names)
    assert all(changed.rows[name] == frozenset({3}) for name in names)


def test_a_project_may_lie_below_its_repository(repository: Path) -> None:
    lay(repository, {"below/pyproject.toml": "[tool.rnnlint]\n", "below/three.py": TORCH})
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=below")
    lay(repository, {"below/three.py": TORCH + "x = 1\n", "below/four.py": TORCH})
    changes = changes_since(repository / "below", "HEAD")
    assert changes.rows["three.py"] == frozenset({3})
    assert changes.touch("four.py", 1, 1)


def test_a_changed_notebook_is_changed_throughout() -> None:
    assert Changes({"a.ipynb": frozenset({70})}).touch_file("a.ipynb")


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "HEAD~99", "HEAD:one.py"])
def test_an_unknown_revision_is_an_error(repository: Path, revision: str) -> None:
    result = run(f"--diff-base={revision}")
    assert result.exit_code == 2
    assert f"git knows no revision '{revision}'" in result.stderr
    assert not (repository / "x").exists()


def test_no_repository_is_an_error(project: Path) -> None:
    result = run("--diff-base", "HEAD")
    assert result.exit_code == 2
    assert "not a git repository" in result.stderr


def test_no_git_is_an_error(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    result = run("--diff-base", "HEAD")
    assert result.exit_code == 2
    assert "git cannot be run" in result.stderr
    assert "install it" in result.stderr


def test_the_standard_input_has_no_changed_lines(repository: Path) -> None:
    result = CliRunner().invoke(application, ["check", "-", "--diff-base", "HEAD"], input=TORCH)
    assert result.exit_code == 2
    assert "--diff-base compares files" in result.stderr
