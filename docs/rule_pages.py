"""The pages of the rules, each its module's docstring, and the index that leads to them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rnnlint.commands import pages
from rnnlint.diagnostic import Applicability, rule_url
from rnnlint.registry import RuleInfo
from rnnlint.reporting.page import Page

FAMILIES = {
    "0": "The analysis itself",
    "1": "Padded sequences and axes",
    "2": "Gradients",
    "3": "The learning rate",
    "4": "Initialisation",
    "5": "Layers and activations",
    "6": "The training loop and carried state",
}
"""What the first digit of a code stands for."""

_FIXES = {
    None: "no fix",
    Applicability.SAFE: "safe fix",
    Applicability.UNSAFE: "unsafe fix",
}

Linked = Callable[[str, str, str], str]
"""Makes the links of a text, of a file, fit a page."""


def page_of(info: RuleInfo) -> str:
    """The path of a rule's page, which is where its address in reports leads to."""
    return f"rules/{rule_url(info.code, info.name).rstrip('/').rpartition('/')[2]}.md"


def family_of(info: RuleInfo) -> str:
    """The title of a rule's family.

    Raises:
        ValueError: the family is new, and has no title.
    """
    digit = info.code[3]
    if digit not in FAMILIES:
        raise ValueError(f"{info.code} begins a family; give it a title in FAMILIES of {__file__}")
    return FAMILIES[digit]


def by_family(infos: Sequence[RuleInfo]) -> Iterator[tuple[str, list[RuleInfo]]]:
    """The rules, in order, below the titles of their families."""
    for title, members in groupby(infos, key=family_of):
        yield title, list(members)


def index(infos: Sequence[RuleInfo]) -> str:
    """A table of rules for each family."""
    return "\n".join(_table(title, members) for title, members in by_family(infos))


def render(info: RuleInfo, infos: Sequence[RuleInfo], checkout: Path, linked: Linked) -> str:
    """The page of one rule, with its neighbours in the family and its source."""
    page = pages.page_of(info)
    stem = info.module.rpartition(".")[2]
    file = f"rules/{stem}.py"
    explanation = linked(page.explanation, file, page_of(info))
    summary, _, sections = explanation.partition("\n## ")
    return "\n".join(
        [
            f"---\ntitle: {info.code} {info.name}\ndescription: {_plain(summary)}\n---\n",
            f"# {info.name} <small>{info.code}</small>\n",
            _badges(page) + "\n",
            summary.strip() + "\n",
            *([f"What it does to training: {page.effect}.\n"] if page.effect else []),
            "## " + sections.strip() + "\n",
            _neighbours(info, infos),
            _source(checkout, file),
        ]
    )


def _table(title: str, members: Sequence[RuleInfo]) -> str:
    lines = [f"## {title}\n", '<div class="rules" markdown>\n']
    lines += ["| code | what is wrong | level | fix |", "|---|---|---|---|"]
    for info in members:
        page = pages.page_of(info)
        summary = page.summary.replace("|", "\\|")
        target = page_of(info).removeprefix("rules/")
        lines.append(
            f"| [{info.code}]({target}) | [**{info.name}**]({target})<br>{summary} "
            f"| {_badge(page.level.value)} | {_fix_badge(page)} |"
        )
    return "\n".join([*lines, "\n</div>\n"])


def _badges(page: Page) -> str:
    about = [_badge(page.level.value), _fix_badge(page), _badge(page.cause.value, "cause")]
    return " ".join(about if page.effect else about[:2])


def _fix_badge(page: Page) -> str:
    return _badge(_FIXES[page.fixable], "fix" if page.fixable else "none")


def _badge(text: str, kind: str | None = None) -> str:
    return f'<span class="badge badge-{kind or text}">{text}</span>'


def _neighbours(info: RuleInfo, infos: Sequence[RuleInfo]) -> str:
    title = family_of(info)
    others = [one for one in infos if family_of(one) == title and one != info]
    lines = [f"- [{one.code}]({page_of(one).removeprefix('rules/')}) {one.name}" for one in others]
    return f"## Other rules of this family\n\n{title}:\n\n" + "\n".join(lines) + "\n"


def _source(checkout: Path, file: str) -> str:
    """The code of a rule below its docstring, to be unfolded."""
    text = checkout.joinpath(file).read_text(encoding="utf-8")
    docstring = ast.parse(text).body[0]
    code = "".join(text.splitlines(keepends=True)[docstring.end_lineno :]).strip()
    fenced = "\n".join(f"    {line}".rstrip() for line in ["```python", *code.splitlines(), "```"])
    # The search would find the names of the API on every page.
    heading = "## Source { data-search-exclude }"
    return f'{heading}\n\n??? quote "`{file}`"\n\n{fenced}\n'


def _plain(summary: str) -> str:
    """A sentence as YAML may hold it."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(summary.split()))
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'
