"""A rule that was just begun: it holds everything, and its tests fail until it is written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conventions import CHECKOUT, SECTIONS, UNWRITTEN, shortcomings
from mdtest import cases_of
from new_rule import CannotBeginError, begin

NAME = "lengths-longer-than-batch"
STEM = "rnn999_lengths_longer_than_batch"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one rule."""
    for folder in ("rules", "fixtures"):
        (tmp_path / folder).mkdir()
    (tmp_path / "rules" / "rnn101_unpacked_padded_input.py").touch()
    return tmp_path


def test_it_writes_a_rule_with_every_section(checkout: Path) -> None:
    rule, fixture = begin("RNN999", NAME, checkout)
    assert rule == checkout / "rules" / f"{STEM}.py"
    assert fixture == checkout / "fixtures" / f"{STEM}.md"
    text = rule.read_text(encoding="utf-8")
    assert tuple(re.findall(r"(?m)^## (.+)$", text)) == SECTIONS
    assert "class LengthsLongerThanBatch(Rule):" in text


def test_it_writes_a_fixture_with_every_case(checkout: Path) -> None:
    _, fixture = begin("RNN999", NAME, checkout)
    lacks = list(shortcomings(fixture, fixable=False))
    assert len(lacks) == 1, lacks
    assert "styles" in lacks[0], "three programs are not written yet, and look the same"
    assert all(case.expected for case in cases_of(fixture) if "Faulty" in case.name)


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        ("RNN12", NAME, "is no code"),
        ("RNN999", "clip-gradients", "says what is wrong"),
        ("RNN999", "clipping", "two_or_more_words"),
        ("RNN101", NAME, r"there is rnn101_unpacked_padded_input\.py already"),
        ("RNN999", "unpacked-padded-input", r"there is rnn101_unpacked_padded_input\.py already"),
    ],
)
def test_it_refuses_what_no_rule_can_be(checkout: Path, code: str, name: str, message: str) -> None:
    with pytest.raises(CannotBeginError, match=message):
        begin(code, name, checkout)
    assert not list((checkout / "fixtures").iterdir())


def run(*arguments: str, cwd: Path) -> tuple[int, str]:
    completed = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    return completed.returncode, completed.stdout + completed.stderr


def test_its_tests_fail_until_it_is_written(tmp_path: Path) -> None:
    cache = shutil.ignore_patterns("__pycache__")
    for folder in ("rnnlint", "rules", "tests"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=cache)
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    # An editable installation maps `rnnlint.rules` to another checkout than this one.
    (tmp_path / "rnnlint" / "rules").symlink_to(tmp_path / "rules")
    (tmp_path / "fixtures").mkdir()
    begun = subprocess.run(
        [sys.executable, "tests/new_rule.py", "RNN999", NAME],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert begun.stdout.splitlines()[:2] == [
        f"wrote rules/{STEM}.py",
        f"wrote fixtures/{STEM}.md",
    ]
    assert UNWRITTEN in (tmp_path / "rules" / f"{STEM}.py").read_text(encoding="utf-8")
    for check in (["ruff", "check"], ["ruff", "format", "--check"]):
        assert run(*check, f"rules/{STEM}.py", cwd=tmp_path)[0] == 0, "what is written is in order"
    chosen = ["tests/test_fixtures.py", "tests/test_rules.py", "-k", "rnn999"]
    _, said = run("pytest", "-q", "-p", "no:cacheprovider", *chosen, cwd=tmp_path)
    failed = set(re.findall(r"(?m)^FAILED \S+::(\w+)\[", said))
    assert failed == {
        "test_fixture",
        "test_its_fixture_is_complete",
        "test_nothing_is_left_to_write",
        "test_a_rule_says_what_it_does_to_training",
        "test_the_example_is_reported",
    }
