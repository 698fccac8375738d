"""Comments that silence a diagnostic, and the report of those that silence nothing.

    model(x)  # rnnlint: ignore[RNN101]       the statement; a reason may follow
    model(x)  # rnnlint: ignore[RNN1]         every rule whose code begins so
    # rnnlint: ignore[unpacked-padded-input]  above: the next statement, with its block
    # rnnlint: ignore                         every rule
    # rnnlint: file-ignore[RNN101, RNN103]    the file
    model(x)  # noqa: RNN101                  the statement; other tools read it too
    model(x)  # noqa                          every rule, this line only

A comment of ours that silences nothing is itself reported (RNN002).  Of `# noqa`
only the codes of ours are: the rest belongs to other tools.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec

from rnnlint.diagnostic import Diagnostic, Level, Span
from rnnlint.registry import RuleInfo, find, suggestion
from rnnlint.statements import Comment, statement_comments

UNUSED_CODE = "RNN002"
UNUSED_NAME = "unused-suppression"
_END_OF_FILE = 1 << 60

_DIRECTIVE = re.compile(
    r"#\s*rnnlint:\s*(?P<word>[\w-]+)(?:\s*\[(?P<rules>[^\]]*)\]?|[\s:=(]+(?P<bare>[\w-]+))?",
    re.ASCII | re.IGNORECASE,
)
_NOQA = re.compile(
    r"#\s*noqa(?P<listed>\s*:\s*(?P<rules>[a-z]+[0-9]+(?:[,\s]+[a-z]+[0-9]+)*)?)?(?![\w-])",
    re.ASCII | re.IGNORECASE,
)
_WORD = re.compile(r"[^,\s]+")
_NOQA_CODE = re.compile(r"[a-z]+[0-9]+", re.IGNORECASE)
_CODE_START = re.compile(r"[A-Z]{1,3}[0-9]{1,2}")


class Suppressed(msgspec.Struct, frozen=True):
    """What is left of a file's diagnostics, and its comments that silence nothing."""

    kept: tuple[Diagnostic, ...]
    unused: tuple[Diagnostic, ...]


class _Word(msgspec.Struct, frozen=True):
    """One rule that a comment lists, and where it stands in the text."""

    text: str
    start: int
    end: int


class _Suppression(msgspec.Struct, frozen=True):
    """One comment: the rows it covers and the rules it silences there."""

    directive: str
    """What was written, `# rnnlint: ignore`, or a word that is no directive."""
    start: int
    end: int
    first_row: int
    last_row: int
    words: tuple[_Word, ...] | None
    """None silences every rule."""
    foreign: bool = False
    """Whether other tools read the comment too, so that it may say what we do not know."""
    known: bool = True
    """Whether the directive is one of ours."""
    bare: str = ""
    """A rule that follows the directive without brackets: what is meant is not every rule."""

    def covers(self, row: int) -> bool:
        return self.known and not self.bare and self.first_row <= row <= self.last_row


def mentions_suppression(text: str) -> bool:
    """Say cheaply whether `text` may hold a comment that `apply` heeds."""
    lowered = text.lower()
    return "rnnlint:" in lowered or "noqa" in lowered


def apply(
    text: str,
    found: Sequence[tuple[int, Diagnostic]],
    *,
    infos: Sequence[RuleInfo],
    selected: Collection[str],
    locate: Callable[[int, int], Span],
) -> Suppressed:
    """Take the silenced diagnostics out of `found`, and report comments that silence none.

    `found` pairs each diagnostic of one file with its row in `text`, which for a
    notebook is the text of all its cells.  `selected` holds the codes that were looked
    for in this file: of others nobody knows whether their suppression is needed.
    `locate` turns offsets in `text` to a span.
    """
    if not mentions_suppression(text):
        return Suppressed(tuple(diagnostic for _, diagnostic in found), ())
    suppressions = tuple(_suppressions(text, infos))
    used: set[int] = set()
    kept = [
        diagnostic
        for row, diagnostic in found
        if not _silence(diagnostic, row, suppressions, infos, used)
    ]
    unused: tuple[Diagnostic, ...] = ()
    if UNUSED_CODE in selected:
        unused = tuple(_unused(suppressions, used, infos, frozenset(selected), locate))
    return Suppressed(tuple(kept), unused)


class RuleList(msgspec.Struct, frozen=True):
    """The rules that one directive of a comment lists."""

    directive: str
    """`ignore`, `file-ignore` or `noqa`."""
    start: int
    """Where the directive begins in the text."""
    end: int
    rules_end: int
    """Where the last rule ends, and one more can be written."""
    is_empty: bool
    row: int
    above: bool
    """Whether the comment stands alone above a statement."""


def rule_lists(comment: Comment) -> Iterator[RuleList]:
    """The lists of rules in a comment, which can get longer."""
    for pattern in (_DIRECTIVE, _NOQA):
        for match in pattern.finditer(comment.text):
            ours = pattern is _DIRECTIVE
            rules = match["rules"]
            is_closed = not ours or match[0].endswith("]")
            if rules is not None and is_closed:
                start = comment.start
                yield RuleList(
                    directive=match["word"].lower() if ours else "noqa",
                    start=start + match.start(),
                    end=start + match.end(),
                    rules_end=start + match.start("rules") + len(rules.rstrip(", \t")),
                    is_empty=not rules.strip(", \t"),
                    row=comment.row,
                    above=comment.above,
                )


def _silence(
    diagnostic: Diagnostic,
    row: int,
    suppressions: Sequence[_Suppression],
    infos: Sequence[RuleInfo],
    used: set[int],
) -> bool:
    """Say whether comments silence `diagnostic`, noting in `used` where those that do begin."""
    silenced = False
    for suppression in suppressions:
        if not suppression.covers(row):
            continue
        if suppression.words is None:
            used.add(suppression.start)
            silenced = True
            continue
        for word in suppression.words:
            if _means(word, suppression, diagnostic.code, diagnostic.name):
                used.add(word.start)
                silenced = True
    return silenced


def _means(word: _Word, suppression: _Suppression, code: str, name: str) -> bool:
    """Say whether a word means a rule; the start of a code means all that begin so."""
    text = word.text.upper() if suppression.foreign else word.text
    return code.startswith(text) or text == name


def _suppressions(text: str, infos: Sequence[RuleInfo]) -> Iterator[_Suppression]:
    for comment in statement_comments(text):
        for match in _DIRECTIVE.finditer(comment.text):
            yield _ours(comment, match, infos)
        for match in _NOQA.finditer(comment.text):
            if match["listed"] is None or match["rules"] is not None:
                yield _noqa(comment, match)


def _ours(comment: Comment, match: re.Match[str], infos: Sequence[RuleInfo]) -> _Suppression:
    word = match["word"].lower()
    meant = _rule_meant(match["bare"] or "", infos)
    is_reason = bool(match["bare"]) and not meant
    whole_file = word == "file-ignore"
    rules = match["rules"]
    return _Suppression(
        directive=word,
        start=comment.start + match.start(),
        end=comment.start + match.end("word" if is_reason else 0),
        first_row=1 if whole_file else comment.first_row,
        last_row=_END_OF_FILE if whole_file else comment.last_row,
        words=None if rules is None else _words(_WORD, comment, match),
        known=whole_file or word == "ignore",
        bare=meant,
    )


def _rule_meant(word: str, infos: Sequence[RuleInfo]) -> str:
    """Return the code or name that a word is meant for; nothing if it begins a reason."""
    name, code = word.lower(), word.upper()
    if find(name, infos):
        return name
    is_start = _CODE_START.fullmatch(code) and _beginning(code, infos)
    return code if is_start or _looks_like_ours(code, infos) else ""


def _noqa(comment: Comment, match: re.Match[str]) -> _Suppression:
    listed = match["rules"] is not None
    covers_statement = listed and not comment.above
    return _Suppression(
        directive="noqa",
        start=comment.start + match.start(),
        end=comment.start + match.end(),
        first_row=comment.first_row if covers_statement else comment.row,
        last_row=comment.last_row if covers_statement else comment.row,
        words=_words(_NOQA_CODE, comment, match) if listed else None,
        foreign=True,
    )


def _words(pattern: re.Pattern[str], comment: Comment, match: re.Match[str]) -> tuple[_Word, ...]:
    offset = comment.start + match.start("rules")
    return tuple(
        _Word(word.group(), offset + word.start(), offset + word.end())
        for word in pattern.finditer(match["rules"])
    )


def _unused(
    suppressions: Sequence[_Suppression],
    used: set[int],
    infos: Sequence[RuleInfo],
    selected: frozenset[str],
    locate: Callable[[int, int], Span],
) -> Iterator[Diagnostic]:
    everything = all(info.code in selected for info in infos)
    for suppression in suppressions:
        if not suppression.known:
            yield from _misspelt(suppression, locate)
        elif suppression.bare or suppression.words == ():
            yield _unbracketed(suppression, locate)
        elif suppression.words is None:
            # With rules left out nobody can tell whether the comment is for one of them.
            if everything and not suppression.foreign and suppression.start not in used:
                span = locate(suppression.start, suppression.end)
                yield _report(span, "this comment silences no diagnostic", "remove it")
        elif not any(_means(w, suppression, UNUSED_CODE, UNUSED_NAME) for w in suppression.words):
            for word in suppression.words:
                if word.start not in used:
                    yield from _unused_word(word, suppression, infos, selected, locate)


def _misspelt(
    suppression: _Suppression, locate: Callable[[int, int], Span]
) -> Iterator[Diagnostic]:
    from difflib import get_close_matches

    close = get_close_matches(suppression.directive, ["ignore", "file-ignore"], n=1)
    # A sentence may begin with our name; what looks like a directive is taken for one.
    if close or suppression.words is not None:
        yield _report(
            locate(suppression.start, suppression.end),
            f"'{suppression.directive}' is no suppression that rnnlint knows",
            f"write '# rnnlint: {close[0] if close else 'ignore'}[...]'",
        )


def _unbracketed(suppression: _Suppression, locate: Callable[[int, int], Span]) -> Diagnostic:
    message = "the brackets of this comment name no rule, so it silences nothing"
    remedy = "name the rules in the brackets, or remove the comment"
    if suppression.bare:
        message = f"'{suppression.bare}' stands in no brackets, so this comment silences nothing"
        remedy = f"write '# rnnlint: {suppression.directive}[{suppression.bare}]'"
    return _report(locate(suppression.start, suppression.end), message, remedy)


def _unused_word(
    word: _Word,
    suppression: _Suppression,
    infos: Sequence[RuleInfo],
    selected: frozenset[str],
    locate: Callable[[int, int], Span],
) -> Iterator[Diagnostic]:
    name = word.text.upper() if suppression.foreign else word.text
    info = find(name, infos)
    remove = f"remove '{word.text}' from the comment"
    if info is not None:
        if info.code in selected:
            message = f"the suppression of {info.code} ({info.name}) silences no diagnostic"
            yield _report(locate(word.start, word.end), message, remove)
    elif codes := _beginning(name, infos):
        if not suppression.foreign and selected.issuperset(codes):
            message = f"the suppression of {name} silences no diagnostic"
            yield _report(locate(word.start, word.end), message, remove)
    elif not suppression.foreign or _looks_like_ours(name, infos):
        message = f"the suppression names an unknown rule '{word.text}'"
        remedy = suggestion(name, infos).removeprefix("; ")
        yield _report(locate(word.start, word.end), message, remedy or remove)


def _beginning(start: str, infos: Sequence[RuleInfo]) -> list[str]:
    return [info.code for info in infos if info.code.startswith(start)]


def _looks_like_ours(code: str, infos: Sequence[RuleInfo]) -> bool:
    return any(len(code) == len(info.code) and code[:-3] == info.code[:-3] for info in infos)


def _report(span: Span, message: str, remedy: str) -> Diagnostic:
    return Diagnostic(UNUSED_CODE, UNUSED_NAME, Level.ADVICE, message, span, help=remedy)
