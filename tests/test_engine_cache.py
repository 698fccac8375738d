"""The engine's cache: it never shows in what is reported, whatever happens to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from trained import DATA, FAULT, MODEL, TORCH, check, codes, lay, training_project

from rnnlint import engine

CHECKOUT = Path(__file__).parent.parent


def packs(root: Path) -> list[Path]:
    return sorted(p for p in (root / ".rnnlint_cache").glob("*/*") if p.is_file())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that was looked at before."""
    training_project(lay(tmp_path, {"rnnlint.toml": ""}))
    assert not check(tmp_path).summary.cached
    return tmp_path


def assert_fresh_equals_cached(root: Path) -> engine.Outcome:
    """A run with the cache says what one without says, and the next one is cached."""
    bare = check(root, no_cache=True)
    first, second = check(root), check(root)
    assert first.diagnostics == second.diagnostics == bare.diagnostics
    assert first.notices == second.notices == bare.notices
    assert first.excerpts == second.excerpts == bare.excerpts
    assert second.summary.cached
    assert not first.summary.cached
    return bare


def test_a_second_run_is_cached_and_equal(project: Path) -> None:
    bare = check(project, no_cache=True)
    warm = check(project)
    assert (warm.summary.cached, bare.summary.cached) == (True, False)
    assert warm.diagnostics == bare.diagnostics != ()
    assert warm.excerpts == bare.excerpts
    assert check(project, "model.py").summary.cached
    assert check(project / "..", f"{project.name}/train.py").summary.cached


@pytest.mark.parametrize(
    "changed",
    [
        {"model.py": MODEL.replace("16", "61")},
        {"model.py": MODEL + FAULT},
        {"data.py": DATA.replace("collate_fn", "sampler_f_")},
        {"new.py": TORCH + FAULT},
        {"new.ipynb": '{"cells": [], "nbformat": 4}'},
        {".gitignore": "model.py\n"},
        {"rnnlint.toml": 'ignore = ["RNN101"]\n'},
        {"pyproject.toml": '[tool.rnnlint]\nselect = ["RNN2"]\n', "rnnlint.toml": ""},
        {"deep/rnnlint.toml": 'ignore = ["RNN101"]\n'},
    ],
    ids=lambda changed: "+".join(changed),
)
def test_a_change_is_seen(project: Path, changed: dict[str, str]) -> None:
    lay(project, changed)
    assert_fresh_equals_cached(project)


def test_a_file_that_went_is_seen(project: Path) -> None:
    (project / "data.py").unlink()
    assert "RNN101" not in codes(assert_fresh_equals_cached(project))


def test_other_options_have_findings_of_their_own(project: Path) -> None:
    lay(project, {"model.py": MODEL.replace("first=True)", "first=True)  # noqa: RNN401")})
    assert_fresh_equals_cached(project)
    heeded = check(project)
    every = check(project, ignore_noqa=True)
    assert codes(every) == sorted([*codes(heeded), "RNN401"])
    assert codes(check(project, inline_config=('select = ["RNN2"]',))) == ["RNN201"]
    assert check(project, inline_config=('select = ["RNN2"]',)).summary.cached
    assert check(project).diagnostics == heeded.diagnostics


def test_the_form_of_the_report_is_no_reason_to_analyse_again(project: Path) -> None:
    outcome = check(project, inline_config=('output-format = "json"', 'fail-on = "error"'))
    assert outcome.summary.cached
    assert (outcome.settings.output_format, outcome.settings.fail_on) == ("json", "error")


def test_settings_that_others_inherit_from_are_watched(tmp_path: Path) -> None:
    lay(tmp_path, {"shared/base.toml": 'ignore = ["RNN503"]\n', "project/setup.py": ""})
    root = lay(tmp_path / "project", {"sub/a.py": TORCH + FAULT})
    lay(root, {"sub/rnnlint.toml": 'extend = "../../shared/base.toml"\n'})
    assert codes(check(root), "sub/a.py") == []
    lay(tmp_path, {"shared/base.toml": ""})
    assert "RNN503" in codes(assert_fresh_equals_cached(root))


def test_plugins_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = '''"""Nothing."""
from rnnlint.api import Level, Rule


class Nothing(Rule):
    level = Level.ADVICE

    def check(self, program):
        return iter(())
'''
    lay(
        tmp_path, {"lib/watched_rules/__init__.py": "", "lib/watched_rules/wat001_nothing.py": rule}
    )
    root = lay(tmp_path / "project", {"rnnlint.toml": 'plugins = ["watched_rules"]\n'})
    training_project(root)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    check(root)
    assert check(root).summary.cached
    lay(tmp_path, {"lib/watched_rules/wat001_nothing.py": rule.replace("Nothing", "Naught")})
    assert not check(root).summary.cached


def test_a_touched_file_is_not_parsed_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = check(project)
    os.utime(project / "model.py", ns=(1, 1))
    monkeypatch.setattr("rnnlint.lowering.pool.lower_all", None)
    after = check(project)
    assert (after.summary.cached, after.diagnostics) == (False, before.diagnostics)
    assert check(project).summary.cached


def test_only_what_an_edit_touches_is_parsed_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnnlint.lowering import pool

    lower_encoded = pool.lower_encoded
    seen: list[str] = []

    def watching(text: str) -> object:
        seen.append(text)
        return lower_encoded(text)

    monkeypatch.setattr(pool, "lower_encoded", watching)
    for text in (f"# edited\n{MODEL}", f"# edited\n{MODEL}print('edited')\n"):
        lay(project, {"model.py": text})
        check(project)
        (part,) = seen
        assert part in text
        assert "edited" in part
        assert len(part) < len(MODEL)
        seen.clear()
    monkeypatch.undo()
    lay(project, {"model.py": MODEL.replace("words", "tokens")})
    assert_fresh_equals_cached(project)


def test_a_file_that_was_broken_for_a_while_is_what_it_is_without_a_cache(project: Path) -> None:
    expected = check(project).diagnostics
    lay(project, {"model.py": f"{MODEL}\n(\n"})
    assert "RNN001" in codes(assert_fresh_equals_cached(project))
    lay(project, {"model.py": MODEL})
    assert assert_fresh_equals_cached(project).diagnostics == expected


def test_what_could_not_be_read_is_tried_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(path: str, *arguments: object, **named: object) -> object:
        if path.endswith("data.py"):
            raise PermissionError(13, "Permission denied")
        return open(path, "rb", buffering=0)

    before = check(project)
    os.utime(project / "data.py", ns=(1, 1))
    monkeypatch.setattr("rnnlint.project.source.open", refusing, raising=False)
    assert [notice.path for notice in check(project).notices] == ["data.py"]
    monkeypatch.undo()
    after = check(project)
    assert (after.notices, after.diagnostics) == ((), before.diagnostics)


def test_damaged_packs_are_as_good_as_none(project: Path) -> None:
    expected = check(project).diagnostics
    assert len(packs(project)) == 3
    for pack in packs(project):
        whole = pack.read_bytes()
        for damaged in (b"", whole[:7], whole[:-1], whole + b"x", b"\0" * len(whole)):
            pack.write_bytes(damaged)
            outcome = check(project)
            assert (outcome.diagnostics, outcome.notices) == (expected, ())
            assert check(project).summary.cached


def test_packs_of_another_shape_are_as_good_as_none(project: Path) -> None:
    from rnnlint.project.cache import Cache

    expected = check(project).diagnostics
    folder = packs(project)[0].parent
    tag = f"-{sys.implementation.cache_tag}"
    cache = Cache(project / ".rnnlint_cache", folder.name.removesuffix(tag))
    for name in [pack.name for pack in packs(project)]:
        for content in (b"", b"\xc0", b"\x80", b"\x81\xa1a\xa1b", b"\x92\x01\x02"):
            cache.store(name, content)
            outcome = check(project)
            assert (outcome.diagnostics, outcome.notices) == (expected, ())


def test_each_version_has_a_folder_and_sweeps_the_others(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = {pack.parent for pack in packs(project)}
    assert (sys.implementation.cache_tag or "") in before.name
    monkeypatch.setattr(engine, "__version__", "99.9")
    assert not check(project).summary.cached
    (after,) = {pack.parent for pack in packs(project)}
    assert after.name.startswith("99.9-")
    assert after != before


def _file(path: Path) -> None:
    path.write_text("in the way")


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "at" / "all")


def _foreign(path: Path) -> None:
    lay(path, {"thesis/chapter.py": TORCH})


@pytest.mark.parametrize("block", [_file, _dangling, _foreign])
def test_a_cache_that_cannot_be_kept_is_told_and_costs_nothing(
    tmp_path: Path, block: Callable[[Path], None]
) -> None:
    training_project(lay(tmp_path, {"rnnlint.toml": ""}))
    block(tmp_path / ".rnnlint_cache")
    for _ in range(2):
        outcome = check(tmp_path)
        (notice,) = outcome.notices
        assert (notice.path, notice.fatal) == (str(tmp_path / ".rnnlint_cache"), False)
        assert "cache" in notice.message
        assert outcome.summary.skipped == 0
        assert outcome.diagnostics == check(tmp_path, no_cache=True).diagnostics != ()


def test_a_folder_with_other_things_is_never_swept(tmp_path: Path) -> None:
    training_project(lay(tmp_path, {"rnnlint.toml": "", "thesis/chapter.txt": "years of work"}))
    before = sorted(tmp_path.rglob("*"))
    for folder in (".", "thesis", str(tmp_path)):
        outcome = check(tmp_path, cache_dir=folder)
        assert "other files" in outcome.notices[0].message
    assert sorted(tmp_path.rglob("*")) == before


# --- runs in processes of their own -----------------------------------------------------


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHECKOUT), "NO_COLOR": "1", **more}


COMMAND = [sys.executable, "-m", "rnnlint", "check", "--output-format", "json", "-q"]


def test_concurrent_runs_agree(tmp_path: Path) -> None:
    training_project(lay(tmp_path, {"rnnlint.toml": ""}))
    runs = [
        subprocess.Popen(
            COMMAND,
            cwd=tmp_path,
            env=_environment(PYTHONHASHSEED=str(number)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    results = {(*run.communicate(), run.returncode) for run in runs}
    ((report, errors, code),) = results
    assert (errors, code) == ("", 1)
    assert len(json.loads(report)) == len(check(tmp_path, no_cache=True).diagnostics)
    assert check(tmp_path).summary.cached
    temporary = [p for p in (tmp_path / ".rnnlint_cache").rglob(".*") if p.name != ".gitignore"]
    assert temporary == []


LOADED = """
import sys
import msgspec  # which needs `subprocess` on Python 3.10, by way of `uuid`
given = set(sys.modules)
from rnnlint import cli
sys.argv = ["rnnlint", "check"]
try:
    cli.main()
except SystemExit as end:
    print(end.code, *sorted(set(sys.modules) - given), file=sys.stderr)
"""
HEAVY = (
    "libcst multiprocessing torch subprocess rnnlint.rules "
    "rnnlint.analysis rnnlint.lowering rnnlint.semantics rnnlint.registry rnnlint.api"
).split()


def test_a_warm_run_loads_neither_parser_nor_rules(project: Path) -> None:
    lay(project, {"sub/pyproject.toml": "[tool.rnnlint]\n", ".gitignore": "*.log\n/build/\n"})
    check(project)
    completed = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=project,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    code, *modules = completed.stderr.split()
    assert (code, "RNN101" in completed.stdout) == ("1", True)
    assert "rnnlint.engine" in modules
    assert [name for name in HEAVY if name in modules] == []
