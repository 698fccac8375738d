"""What every rule keeps to: its name, the sections of its page, the cases of its fixture.

`test_rules.py` holds the rules to it, and `new_rule.py` begins a rule that does not keep it yet.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mdtest import Case, Finding, cases_of

CHECKOUT = Path(__file__).resolve().parent.parent
SECTIONS = (
    "What it does",
    "Why it matters",
    "Example",
    "Use instead",
    "When it stays silent",
    "Fix safety",
    "References",
)
UNWRITTEN = "TODO"
"""Stands in a new rule and its fixture for what has to be written."""
FEWEST_FAULTY = 3
FEWEST_STYLES = 3
FEWEST_CLEAN = 4
FRAMEWORKS = frozenset(
    """accelerate allennlp apex deepspeed fastai ignite lightning pytorch_lightning skorch
    torchtext transformers""".split()
)
_STEM = re.compile(r"rnn\d{3}_(?P<name>(?:[a-z0-9]+_)+[a-z0-9]+)")
# A name says what is wrong, so that "allow NAME" can be read aloud; these say what to do.
_IMPERATIVES = frozenset({"add", "avoid", "check", "clip", "do", "dont", "no", "prefer", "use"})


@dataclass(frozen=True)
class Style:
    """How a faulty program is written, as far as it can be told: where the fault stands."""

    scopes: frozenset[str]
    frameworks: frozenset[str]
    several_files: bool


def fault_of_stem(stem: str) -> str | None:
    """What is wrong with the name of a rule's file, if anything."""
    match = _STEM.fullmatch(stem)
    if match is None:
        return "a rule's file is called rnn101_two_or_more_words"
    if match["name"].split("_")[0] in _IMPERATIVES:
        return "a name says what is wrong, not what to do: it reads well after 'allow'"
    return None


def shortcomings(fixture: Path, *, fixable: bool) -> Iterator[str]:
    """What the fixture of a rule lacks."""
    code = fixture.stem.partition("_")[0].upper()
    cases = cases_of(fixture)
    faulty = [case for case in cases if _speaks_of(code, case.expected)]
    clean = [case for case in cases if not case.expected]
    if len(faulty) < FEWEST_FAULTY:
        yield f"{len(faulty)} faulty programs; write {FEWEST_FAULTY}"
    styles = {style_of(case) for case in faulty}
    if len(styles) < FEWEST_STYLES:
        yield (
            f"faulty programs of {len(styles)} styles; write {FEWEST_STYLES}, such as a script, "
            "a class and a program of a framework"
        )
    if len(clean) < FEWEST_CLEAN:
        yield f"{len(clean)} look-alikes that stay silent; write {FEWEST_CLEAN}"
    if not any(style.several_files for style in styles):
        yield "no faulty project of several files"
    if fixable and not any(case.fixed_files for case in faulty):
        yield "no case that shows the repair, in a fence '`main.py` (fixed):'"


def style_of(case: Case) -> Style:
    """How a faulty program is written."""
    trees = {path: _tree(text) for path, text in case.files.items()}
    return Style(
        frozenset(_scope(trees[one.path], one.row) for one in case.expected),
        frozenset(name for tree in trees.values() if tree for name in _imported(tree)) & FRAMEWORKS,
        len(trees) > 1,
    )


def _speaks_of(code: str, findings: Iterable[Finding]) -> bool:
    return any(finding.code == code for finding in findings)


def _tree(text: str) -> ast.Module | None:
    """The program, or None for what is no Python, such as a notebook."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _scope(tree: ast.Module | None, row: int) -> str:
    """The kind of place in which a row of a file stands."""
    if tree is None:
        return "no Python"
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and node.lineno <= row <= (node.end_lineno or row)
    ]
    if any(isinstance(node, ast.ClassDef) for node in around):
        return "class"
    return "function" if around else "module"


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
