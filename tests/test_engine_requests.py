"""What a request asks for: the standard input, what is only shown, whose settings hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trained import FAULT, TORCH, check, codes, lay, training_project

from rnnlint import engine

SOURCE = (TORCH + FAULT).encode()


@pytest.mark.parametrize("name", ["venv/x.py", "venv/deep/new.py", "kept/x.py"])
@pytest.mark.parametrize("on_disk", [True, False])
def test_what_is_excluded_is_so_on_the_standard_input_too(
    tmp_path: Path, name: str, on_disk: bool
) -> None:
    lay(tmp_path, {"rnnlint.toml": "", **({name: ""} if on_disk else {})})
    inline = ("force-exclude = true",)
    outcome = check(tmp_path, "-", stdin=SOURCE, stdin_filename=name, inline_config=inline)
    if name.startswith("venv"):
        assert codes(outcome) == []
        assert [(n.path, n.fatal) for n in outcome.notices] == [(name, False)]
    else:
        assert codes(outcome) == ["RNN503"]
    plain = check(tmp_path, "-", stdin=SOURCE, stdin_filename=name)
    assert codes(plain) == ["RNN503"]


def test_a_folder_is_no_name_for_the_standard_input(tmp_path: Path) -> None:
    lay(tmp_path, {"sub/a.py": ""})
    with pytest.raises(engine.UsageError, match="'sub', for standard input, is a folder"):
        check(tmp_path, "-", stdin=SOURCE, stdin_filename="sub")


def test_what_is_not_there_comes_with_what_is_shown(tmp_path: Path) -> None:
    lay(tmp_path, {"rnnlint.toml": "", "a.py": "", "b.txt": ""})
    request = engine.Request(cwd=str(tmp_path), paths=("gone.py", "a.py", "b.txt"))
    files, notices = engine.show_files(request)
    assert files == ("a.py",)
    assert [n.path for n in notices] == ["gone.py", "b.txt"]
    _, notices = engine.show_settings(request)
    assert [n.path for n in notices] == ["gone.py"]


def test_settings_for_the_whole_run_are_those_nearest_to_what_is_asked(tmp_path: Path) -> None:
    lay(tmp_path, {".git/HEAD": "", "pyproject.toml": '[tool.rnnlint]\nfail-on = "warning"\n'})
    own = '[tool.rnnlint]\nfail-on = "error"\noutput-format = "json"\ncache-dir = "sub/.own"\n'
    lay(tmp_path, {"sub/pyproject.toml": own, "sub/a.py": TORCH + FAULT})
    for cwd, given in ((tmp_path / "sub", "."), (tmp_path, "sub"), (tmp_path, "sub/a.py")):
        settings = check(cwd, given).settings
        assert (settings.fail_on, settings.output_format) == ("error", "json")
        request = engine.Request(cwd=str(cwd), paths=(given,))
        assert engine.show_settings(request)[0].fail_on == "error"
    assert (tmp_path / "sub" / ".own").is_dir()
    assert not (tmp_path / ".rnnlint_cache").exists()
    assert check(tmp_path, ".").settings.fail_on == "warning"


@pytest.mark.parametrize(
    ("cwd", "glob", "left_out"),
    [
        ("in", "a/*.py", "in/a/x.py"),
        ("in", "/a/x.py", "in/a/x.py"),
        (".", "sub/a/*.py", "sub/a/x.py"),
        (".", "a/x.py", "a/x.py"),
        (".", "**/in/**", "in/a/x.py"),
        ("in", "../sub/a/x.py", "sub/a/x.py"),
        ("in", "x.py", "a/x.py in/a/x.py sub/a/x.py"),
    ],
)
@pytest.mark.parametrize(
    ("setting", "toml"), [("extend_exclude", "['{}']"), ("per_file_ignores", "{{'{}' = ['ALL']}}")]
)
def test_globs_given_by_hand_are_relative_to_the_working_directory(
    tmp_path: Path, cwd: str, glob: str, left_out: str, setting: str, toml: str
) -> None:
    lay(tmp_path, {"rnnlint.toml": "", "sub/pyproject.toml": "[tool.rnnlint]\n"})
    every = ("a/x.py", "in/a/x.py", "sub/a/x.py")
    lay(tmp_path, dict.fromkeys(every, TORCH + FAULT))
    inline = (f"{setting.replace('_', '-')} = {toml.format(glob)}",)
    here = (tmp_path / cwd).resolve()
    outcome = check(here, str(tmp_path), inline_config=inline, relative_globs=(setting,))
    found = {os.path.relpath(here / d.span.path, tmp_path) for d in outcome.diagnostics}
    assert found == set(every).difference(left_out.split())


def test_paths_as_seen_from_the_repository(tmp_path: Path) -> None:
    lay(tmp_path, {".git/HEAD": "", "sub/a.py": TORCH + FAULT})
    here = tmp_path / "sub"
    outcome = engine.from_repository(check(here, "a.py"), here)
    assert [d.span.path for d in outcome.diagnostics] == ["sub/a.py"]


def test_findings_are_kept_under_the_last_few_settings(tmp_path: Path) -> None:
    training_project(lay(tmp_path, {"rnnlint.toml": ""}))
    for number in range(engine.KEPT_FINDINGS + 4):
        check(tmp_path, inline_config=(f"max-file-size = {900_000 + number}",))
    kept = list((tmp_path / ".rnnlint_cache").glob("*/findings-*"))
    assert len(kept) == engine.KEPT_FINDINGS
    assert check(tmp_path, inline_config=(f"max-file-size = {900_000 + number}",)).summary.cached


def test_projects_that_share_a_cache_are_told_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        training_project(lay(tmp_path / name, {"rnnlint.toml": ""}))
        check(tmp_path / name, cache_dir=str(tmp_path / "shared"))
    for name in ("one", "two"):
        assert check(tmp_path / name, cache_dir=str(tmp_path / "shared")).summary.cached


def test_another_parser_is_another_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training_project(lay(tmp_path, {"rnnlint.toml": ""}))
    check(tmp_path)
    assert check(tmp_path).summary.cached
    monkeypatch.setattr(engine, "_version_of_parser", lambda: b"99")
    assert not check(tmp_path).summary.cached


def test_a_run_says_that_it_analyses(tmp_path: Path) -> None:
    training_project(lay(tmp_path, {"rnnlint.toml": ""}))
    stages: list[str] = []
    request = engine.Request(cwd=str(tmp_path), no_cache=True)
    engine.check(request, lambda stage, done, total: stages.append(stage))
    assert list(dict.fromkeys(stages)) == ["Reading", "Analysing"]
