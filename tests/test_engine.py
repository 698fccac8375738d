"""The engine: what is reported never depends on what was asked, and the cache never shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from rnnlint import engine
from rnnlint.diagnostic import Diagnostic, Span
from rnnlint.project.config import ConfigError

CHECKOUT = Path(__file__).parent.parent
ARTICLE = CHECKOUT / "fixtures" / "article"

TORCH = "import torch\nfrom torch import nn\n"
FAULT = "probe = nn.GRU(3, 4, dropout=0.5)\n"
"""A line that is always found fault with (RNN503)."""

MODEL = """\
from torch import nn


class Tagger(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.lstm = nn.LSTM(size, 16, batch_first=True)

    def forward(self, words):
        return self.lstm(words)[0][:, -1]
"""
DATA = """\
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader


def collate(batch):
    return pad_sequence(batch, batch_first=True)


def make_loader(dataset):
    return DataLoader(dataset, batch_size=8, collate_fn=collate)
"""
TRAIN = """\
import torch

from {package}data import make_loader
from {package}model import Tagger


def main(dataset):
    model = Tagger(8)
    optimizer = torch.optim.Adam(model.parameters())
    for words in make_loader(dataset):
        optimizer.zero_grad()
        loss = model(words).sum()
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main([])
"""


def lay(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def training_project(root: Path, folder: str = "", package: str = "") -> Path:
    """A project whose findings have their causes in three files."""
    return lay(
        root,
        {
            f"{folder}data.py": DATA,
            f"{folder}model.py": MODEL,
            f"{folder}train.py": TRAIN.format(package=package),
        },
    )


def check(cwd: Path, *paths: str, **options: object) -> engine.Outcome:
    return engine.check(engine.Request(paths=paths, cwd=str(cwd), **options))  # type: ignore[arg-type]


def codes(outcome: engine.Outcome, path: str | None = None) -> list[str]:
    return sorted(d.code for d in outcome.diagnostics if path in (None, d.span.path))


# --- what is reported does not depend on what was asked ---------------------------------


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


def _projects(home: Path) -> Iterator[Path]:
    """Projects of every shape, each with findings that have their causes in other files."""
    for name in ("padding", "initialisation", "gradients"):
        shutil.copytree(ARTICLE / name, home / name)
        yield lay(home / name, {"pyproject.toml": "[project]\nname = 'article'\n"})
    sources = training_project(home / "sources", "src/acme/", "acme.")
    yield lay(sources, {"src/acme/__init__.py": "", "setup.py": ""})
    package = training_project(home / "package", "acme/parts/", "acme.parts.")
    yield lay(package, {"acme/__init__.py": "", "acme/parts/__init__.py": ""})
    relative = training_project(home / "relative", "acme/", ".")
    yield lay(relative, {"acme/__init__.py": "", ".git/HEAD": "", "acme/setup.py": ""})
    nested = training_project(home / "nested", "inner/")
    yield lay(nested, {"pyproject.toml": "", "inner/rnnlint.toml": 'ignore = ["RNN301"]\n'})
    cells = [{"cell_type": "code", "source": "from data import *\nfrom model import *"}]
    cells += [{"cell_type": "code", "source": TRAIN.partition("Tagger\n\n\n")[2]}]
    notebook = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4})
    files = {"data.py": DATA, "model.py": MODEL, "train.ipynb": notebook, "setup.cfg": ""}
    yield lay(home / "notebook", files)


PROJECTS = "padding initialisation gradients sources package relative nested notebook".split()


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.name: path for path in _projects(tmp_path_factory.mktemp("projects"))}


def placed(outcome: engine.Outcome, cwd: Path) -> list[Diagnostic]:
    """The diagnostics with absolute paths, which no longer depend on the working directory."""

    def absolute(span: Span) -> Span:
        return replace(span, path=os.path.normpath(cwd / span.path))

    return [
        replace(
            d,
            span=absolute(d.span),
            trail=tuple(replace(step, span=absolute(step.span)) for step in d.trail),
        )
        for d in outcome.diagnostics
    ]


@pytest.mark.parametrize("name", PROJECTS)
def test_one_file_is_told_what_the_project_is_told_of_it(
    projects: dict[str, Path], elsewhere: Path, name: str
) -> None:
    root = projects[name]
    whole = placed(check(root, no_cache=True), root)
    files = sorted(path for path in root.rglob("*") if path.suffix in (".py", ".ipynb"))
    assert whole
    for file in files:
        expected = [d for d in whole if d.span.path == str(file)]
        inside = str(file.relative_to(root))
        for cwd, given in (
            (root, inside),
            (elsewhere, str(file)),
            (root.parent, f"{name}/{inside}"),
        ):
            outcome = check(cwd, given, no_cache=True)
            assert placed(outcome, cwd) == expected, (cwd, given)
            assert outcome.summary.analysed == 1
    named = check(root, *(str(file.relative_to(root)) for file in files), no_cache=True)
    assert placed(named, root) == whole
    assert placed(check(elsewhere, str(root), no_cache=True), elsewhere) == whole


def test_the_fixtures_where_they_lie(elsewhere: Path) -> None:
    whole = placed(check(CHECKOUT, "fixtures/article", no_cache=True), CHECKOUT)
    assert len(whole) >= 9
    for cwd, given in ((elsewhere, str(ARTICLE)), (ARTICLE / "padding", ".."), (ARTICLE, ".")):
        assert placed(check(cwd, given), cwd) == whole
    for file in sorted(ARTICLE.rglob("*.py")):
        expected = [d for d in whole if d.span.path == str(file)]
        assert placed(check(file.parent, file.name), file.parent) == expected


def test_paths_are_shown_from_the_working_directory(tmp_path: Path) -> None:
    training_project(tmp_path / "project")
    lay(tmp_path, {"project/setup.py": "", "beside/x.txt": ""})
    for cwd, prefix in ((tmp_path, "project/"), (tmp_path / "beside", "../project/")):
        outcome = check(cwd, f"{prefix}model.py")
        assert {d.span.path for d in outcome.diagnostics} == {f"{prefix}model.py"}
        trails = {step.span.path for d in outcome.diagnostics for step in d.trail}
        assert f"{prefix}data.py" in trails
        assert {f"{prefix}model.py", f"{prefix}data.py"} <= outcome.excerpts.keys()


def test_two_projects_in_one_call(tmp_path: Path) -> None:
    for name in ("one", "two"):
        training_project(lay(tmp_path / name, {"setup.py": ""}))
    lay(tmp_path / "two", {"rnnlint.toml": 'select = ["RNN201"]\n'})
    apart = [*check(tmp_path, "one").diagnostics, *check(tmp_path, "two").diagnostics]
    both = check(tmp_path, "two", "one")
    assert sorted(both.diagnostics, key=repr) == sorted(apart, key=repr)
    assert [d.level.rank for d in both.diagnostics] == sorted(d.level.rank for d in apart)
    assert {d.code for d in both.diagnostics if d.span.path.startswith("two/")} == {"RNN201"}
    assert (both.summary.analysed, both.summary.cached) == (8, True)


def test_a_missing_path_spoils_nothing_else(tmp_path: Path) -> None:
    training_project(tmp_path)
    outcome = check(tmp_path, "absent.py", "model.py", "no/*.py")
    assert [(n.path, n.fatal) for n in outcome.notices] == [("absent.py", True), ("no/*.py", True)]
    assert codes(outcome) == codes(check(tmp_path), "model.py") != []
    assert check(tmp_path, "absent.py").notices == outcome.notices[:1]


# --- settings --------------------------------------------------------------------------


def test_the_nearest_settings_hold(tmp_path: Path) -> None:
    files = dict.fromkeys(("a.py", "sub/b.py", "sub/deep/c.py", "sub/d.py"), TORCH + FAULT)
    lay(tmp_path, files)
    lay(tmp_path, {"rnnlint.toml": 'ignore = ["RNN503"]\n', "sub/rnnlint.toml": ""})
    lay(tmp_path, {"sub/pyproject.toml": "[tool.other]\n", "sub/deep/pyproject.toml": ""})
    assert {d.span.path for d in check(tmp_path).diagnostics} == {
        "sub/b.py",
        "sub/d.py",
        "sub/deep/c.py",
    }
    lay(tmp_path, {"sub/deep/pyproject.toml": '[tool.rnnlint]\nextend = "../../rnnlint.toml"\n'})
    assert {d.span.path for d in check(tmp_path).diagnostics} == {"sub/b.py", "sub/d.py"}
    lay(tmp_path, {"sub/rnnlint.toml": 'per-file-ignores = { "b.py" = ["RNN5"] }\n'})
    assert {d.span.path for d in check(tmp_path).diagnostics} == {"sub/d.py"}
    lay(tmp_path, {"sub/rnnlint.toml": 'extend-exclude = ["d.py"]\n'})
    assert {d.span.path for d in check(tmp_path).diagnostics} == {"sub/b.py"}
    assert check(tmp_path, isolated=True).summary.analysed == 4
    assert len(check(tmp_path, isolated=True).diagnostics) == 4


def test_selection(tmp_path: Path) -> None:
    training_project(tmp_path)
    everything = codes(check(tmp_path))
    assert {"RNN101", "RNN201"} <= set(everything)

    def with_inline(*inline: str) -> list[str]:
        return codes(check(tmp_path, inline_config=inline))

    assert with_inline('select = ["RNN101"]') == ["RNN101"]
    assert with_inline('select = ["RNN1"]') == [c for c in everything if c < "RNN2"]
    assert with_inline('ignore = ["RNN1"]') == [c for c in everything if c > "RNN2"]
    assert with_inline('ignore = ["ALL"]', 'extend-select = ["RNN201"]') == ["RNN201"]
    ignores = 'per-file-ignores = { "*.py" = ["ALL"] }'
    assert with_inline(ignores) == []
    with pytest.raises(ConfigError, match="unknown rule 'RNN1O1' in select; did you mean"):
        with_inline('select = ["RNN1O1"]')


def test_a_settings_file_is_found_from_the_working_directory(tmp_path: Path) -> None:
    training_project(lay(tmp_path, {"conf/only.toml": 'select = ["RNN201"]\n'}))
    lay(tmp_path, {"rnnlint.toml": 'select = ["RNN101"]\n'})
    assert os.getcwd() != str(tmp_path)
    assert codes(check(tmp_path, config="conf/only.toml")) == ["RNN201"]
    assert codes(check(tmp_path / "conf", "../model.py", config="only.toml")) == []


# --- standard input ------------------------------------------------------------------------


def test_standard_input_stands_for_a_file(tmp_path: Path) -> None:
    training_project(tmp_path)
    before = check(tmp_path)
    longer = f"# one more line\n{MODEL}".encode()
    overlaid = check(tmp_path, "-", stdin=longer, stdin_filename="model.py")
    on_disk = [d for d in before.diagnostics if d.span.path == "model.py"]
    assert [(d.code, d.message) for d in overlaid.diagnostics] == [
        (d.code, d.message) for d in on_disk
    ]
    assert [d.span.location.row - 1 for d in overlaid.diagnostics] == [
        d.span.location.row for d in on_disk
    ]
    after = check(tmp_path)
    assert (after.summary.cached, after.diagnostics) == (True, before.diagnostics)


def test_standard_input_may_have_a_new_name_or_none(tmp_path: Path) -> None:
    source = (TORCH + FAULT).encode()
    assert {d.span.path for d in check(tmp_path, "-", stdin=source).diagnostics} == {"stdin.py"}
    outcome = check(tmp_path, "-", stdin=source, stdin_filename="new/folder/a.py")
    assert {d.span.path for d in outcome.diagnostics} == {"new/folder/a.py"}
    assert check(tmp_path, "-", stdin=b"").diagnostics == ()
    assert check(tmp_path, "-", stdin=b"\0").notices[0].fatal
    with pytest.raises(engine.UsageError, match="name no other path"):
        check(tmp_path, "-", "a.py", stdin=source)


# --- the cache ----------------------------------------------------------------------------------


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


def test_only_the_edited_file_is_parsed_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnnlint.lowering import pool

    lower_all = pool.lower_all
    seen: list[str] = []

    def watching(texts: dict[str, str], **named: object) -> Iterable[object]:
        seen.extend(texts)
        return lower_all(texts, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(pool, "lower_all", watching)
    lay(project, {"model.py": f"# edited\n{MODEL}"})
    check(project)
    assert seen == ["model.py"]


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
from rnnlint import cli
sys.argv = ["rnnlint", "check"]
try:
    cli.main()
except SystemExit as end:
    print(end.code, *sorted(sys.modules), file=sys.stderr)
"""
HEAVY = (
    "libcst multiprocessing torch pathspec subprocess rnnlint.rules "
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
