"""What is shown where the pointer rests: the page of a rule that is named there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rnnlint import registry
from rnnlint.commands.pages import page_of
from rnnlint.project.source import LINE_END
from rnnlint.registry import RuleInfo
from rnnlint.reporting.page import render_markdown
from rnnlint.statements import Comment, statement_comments
from rnnlint.suppression import mentions_suppression, rule_lists

_WORD = re.compile(r"[\w-]+")


def page_at(text: str, offset: int, plugins: Sequence[str]) -> str | None:
    """The page of the rule that is named at an offset, in Markdown.

    A code is known wherever it stands, a name only in a comment that silences rules.  On the
    rest of such a comment, the pages of all that it lists are shown.
    """
    infos = registry.available(plugins)
    word = _word_at(text, offset)
    found = [info for info in infos if info.code == word.upper()]
    if not found:
        comment = _comment_at(text, offset)
        if comment is None:
            return None
        listed = _listed(comment, infos)
        found = [info for info in listed if info.name == word] or listed
    return render_markdown([page_of(info) for info in found]) or None


def _word_at(text: str, offset: int) -> str:
    for word in _WORD.finditer(text, _line_start(text, offset)):
        if word.start() > offset:
            break
        if offset <= word.end():
            return word[0]
    return ""


def _line_at(text: str, offset: int) -> str:
    end = LINE_END.search(text, offset)
    return text[_line_start(text, offset) : end.start() if end else len(text)]


def _line_start(text: str, offset: int) -> int:
    return max(text.rfind(end, 0, offset) for end in "\r\n") + 1


def _comment_at(text: str, offset: int) -> Comment | None:
    # All comments of a text are worth reading only if this one may be of the kind.
    if not mentions_suppression(_line_at(text, offset)):
        return None
    for comment in statement_comments(text):
        if comment.start <= offset <= comment.start + len(comment.text):
            return comment
    return None


def _listed(comment: Comment, infos: Sequence[RuleInfo]) -> list[RuleInfo]:
    """The rules that a comment silences; the start of a code means all that begin so."""
    listed: list[RuleInfo] = []
    for rules in rule_lists(comment):
        inside = comment.text[rules.start - comment.start : rules.rules_end - comment.start]
        words = _WORD.findall(inside.partition("[")[2] or inside)
        listed += [
            info
            for info in infos
            for word in words
            if info.name == word or (word[-1:].isdigit() and info.code.startswith(word.upper()))
        ]
    return list(dict.fromkeys(listed))
