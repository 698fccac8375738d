"""The conventions that every rule keeps, and the promises that its page makes."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from conventions import CHECKOUT, SECTIONS, UNWRITTEN, fault_of_stem, shortcomings

from rnnlint import engine, registry
from rnnlint.diagnostic import Cause

RULES = sorted((CHECKOUT / "rules").glob("[!_]*.py"))
ABOUT_THE_ANALYSIS = frozenset({"RNN001", "RNN002"})
"""Codes of what is wrong with a file or a comment, and not with training."""
each_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.stem for rule in RULES])


def fixture_of(rule: Path) -> Path:
    return CHECKOUT / "fixtures" / f"{rule.stem}.md"


def code_of(rule: Path) -> str:
    return rule.stem.split("_")[0].upper()


def page_of(rule: Path) -> str:
    return ast.get_docstring(ast.parse(rule.read_text(encoding="utf-8"))) or ""


def sections_of(page: str) -> dict[str, str]:
    """The text of each section of a page by its title."""
    outside_code = re.split(r"(?m)^## (?!#)(.+)$", page)
    return dict(zip(outside_code[1::2], outside_code[2::2], strict=True))


def programs(section: str) -> dict[str, str]:
    """The files in a section's code blocks: `# train.py` in the first line names one."""
    files: dict[str, str] = {}
    for block in re.findall(r"(?ms)^```python\n(.*?)^```$", section):
        first = re.match(r"# (\S+\.py)\n", block)
        path = first[1] if first else "main.py"
        files[path] = files.get(path, "") + block
    return files


def codes_in(files: dict[str, str], folder: Path, select: str) -> Counter[str]:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    (folder / "rnnlint.toml").write_text(f'select = ["{select}"]\n')
    outcome = engine.check(engine.Request(paths=(), cwd=str(folder), no_cache=True))
    assert not outcome.notices
    return Counter(diagnostic.code for diagnostic in outcome.diagnostics)


def test_the_registry_finds_the_files() -> None:
    found = {info.module.rsplit(".", 1)[-1] for info in registry.available()}
    assert found == {rule.stem for rule in RULES}


def test_codes_and_names_are_unique() -> None:
    infos = registry.available()
    words = Counter([info.code for info in infos] + [info.name for info in infos])
    assert [word for word, count in words.items() if count > 1] == []


@each_rule
def test_a_rule_has_a_fixture(rule: Path) -> None:
    assert fixture_of(rule).is_file()


@each_rule
def test_its_fixture_is_complete(rule: Path) -> None:
    info = registry.find(code_of(rule), registry.available())
    assert info is not None
    fixable = registry.load(info).fixable is not None
    assert list(shortcomings(fixture_of(rule), fixable=fixable)) == []


@each_rule
def test_nothing_is_left_to_write(rule: Path) -> None:
    for file in (rule, fixture_of(rule)):
        left = [line for line in file.read_text(encoding="utf-8").splitlines() if UNWRITTEN in line]
        assert not left, file.name


def test_a_fixture_has_a_rule() -> None:
    fixtures = {path.stem for path in (CHECKOUT / "fixtures").glob("*.md")} - {"README"}
    assert fixtures <= {rule.stem for rule in RULES}


@each_rule
def test_the_name_says_what_is_wrong(rule: Path) -> None:
    assert fault_of_stem(rule.stem) is None


@each_rule
def test_the_page_is_complete(rule: Path) -> None:
    page = page_of(rule)
    summary = page.split("\n## ")[0].strip()
    sections = sections_of(page)
    assert summary
    assert len(summary.split("\n\n")) == 1, "the page begins with one sentence"
    assert tuple(sections) == SECTIONS
    assert [title for title, text in sections.items() if not text.strip()] == []


@each_rule
def test_the_rules_that_a_page_speaks_of_exist(rule: Path) -> None:
    codes = {info.code for info in registry.available()}
    assert set(re.findall(r"\bRNN\d{3}\b", page_of(rule))) <= codes


@each_rule
def test_a_rule_imports_the_api_alone(rule: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(rule.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add("." * node.level + (node.module or ""))
    ours = {name for name in imported if name.startswith((".", "rnnlint", "rules"))}
    assert ours <= {"rnnlint.api"}
    assert not imported & {"libcst", "torch", "ast"}


@each_rule
def test_a_rule_says_what_it_does_to_training(rule: Path) -> None:
    info = registry.find(code_of(rule), registry.available())
    assert info is not None
    loaded = registry.load(info)
    if loaded.code in ABOUT_THE_ANALYSIS:
        assert (loaded.cause, loaded.effect) == (Cause.OTHER, "")
        return
    assert loaded.cause not in (Cause.OTHER, Cause.NONE)
    assert re.fullmatch(r"(?s)[^A-Z].{10,160}(?<!\.)", loaded.effect)


@each_rule
def test_the_example_is_reported(rule: Path, tmp_path: Path) -> None:
    files = programs(sections_of(page_of(rule))["Example"])
    assert files, "the section holds a python block"
    assert code_of(rule) in codes_in(files, tmp_path, select="ALL")


@each_rule
def test_what_to_use_instead_is_silent(rule: Path, tmp_path: Path) -> None:
    files = programs(sections_of(page_of(rule))["Use instead"])
    assert files, "the section holds a python block"
    assert code_of(rule) not in codes_in(files, tmp_path, select="ALL")


def test_the_readme_lists_every_rule() -> None:
    rows = re.findall(
        r"(?m)^\| (RNN\d{3}) \| `([a-z0-9-]+)` \| (\w+) \| .+ \|$",
        (CHECKOUT / "README.md").read_text(encoding="utf-8"),
    )
    infos = registry.available()
    expected = [(info.code, info.name, registry.load(info).level.value) for info in infos]
    assert rows == expected
