"""What an editor can do about findings, as edits to its documents.

Every repair stands the same test as on the command line: the project is analysed as it would
be.  That takes a moment, so the edits are worked out when an action is chosen.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import msgspec
from lsprotocol import types

from rnnlint import repair, silencing
from rnnlint.diagnostic import Applicability, Diagnostic
from rnnlint.engine import Findings
from rnnlint.fixing.choosing import Repair, repair_of
from rnnlint.opening import Project
from rnnlint.project.discovery import Asked
from rnnlint.project.notebook import cell_texts
from rnnlint.project.source import Source, line_starts
from rnnlint.repair import Read, Repaired, Wishes
from rnnlint.server.analyst import Examined
from rnnlint.server.positions import Units, overlap
from rnnlint.server.publishing import Places, protocol_diagnostic

FIX_ALL = f"{types.CodeActionKind.SourceFixAll.value}.rnnlint"
KINDS = (types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll, FIX_ALL)
_FIX, _IGNORE, _ALL = "fix", "ignore", "all"


class Choice(msgspec.Struct, frozen=True):
    """What an action would do; the editor keeps it until the action is chosen."""

    deed: str
    uri: str
    number: int = -1
    """Which of the findings that are shown it is about."""
    stamp: str = ""
    """Names the contents that were analysed when it was offered."""


class Offers:
    """The actions for one document.

    Args:
        examined: the project as it was analysed last.
        path: the path in it of a document that is open.
        units: those of the editor.
    """

    def __init__(self, examined: Examined, path: str, units: Units) -> None:
        self._examined = examined
        self._path = path
        self._units = units
        self._places = Places(examined, units)

    def actions(
        self, uri: str, stretch: types.Range, only: Sequence[str] | None
    ) -> Iterator[types.CodeAction]:
        """The actions for a stretch of a file or a cell, without their edits."""
        path = self._path
        every = self._examined.shown
        if _is_wanted(types.CodeActionKind.QuickFix.value, only):
            for number, diagnostic in enumerate(every):
                span = diagnostic.span
                is_here = span.path == path and self._places.uri(path, span.cell) == uri
                if is_here and overlap(self._places.range(span), stretch):
                    yield from self._about(number, diagnostic, uri)
        if _is_wanted(FIX_ALL, only) and any(
            each.span.path == path and _is_safe(each) for each in every
        ):
            choice = Choice(_ALL, uri, stamp=self._stamp)
            title = "rnnlint: fix all that is safe to fix in this file"
            yield _action(title, FIX_ALL, choice)

    def edit(self, choice: Choice) -> types.WorkspaceEdit | None:
        """The edits of an action; None if it has none, or is about what is no more."""
        wishes = self._wishes(choice)
        if wishes is None:
            return None
        examined = self._examined
        done = repair.repaired(
            examined.project,
            examined.findings,
            wishes,
            examined.cache,
            recollection=examined.recollection,
        )
        return self._workspace_edit(done)

    # --- offers ---

    @property
    def _stamp(self) -> str:
        return self._examined.findings.stamp

    def _about(self, number: int, diagnostic: Diagnostic, uri: str) -> Iterator[types.CodeAction]:
        about = [protocol_diagnostic(diagnostic, self._places)]
        kind = types.CodeActionKind.QuickFix.value
        fix = diagnostic.fix
        if fix is not None:
            is_safe = _is_safe(diagnostic)
            title = f"{diagnostic.code}: {fix.message}{'' if is_safe else ' (unsafe)'}"
            choice = Choice(_FIX, uri, number, self._stamp)
            yield _action(title, kind, choice, about, is_safe)
        title = f"{diagnostic.code}: ignore {diagnostic.name} on this line"
        yield _action(title, kind, Choice(_IGNORE, uri, number, self._stamp), about)

    # --- edits ---

    def _wishes(self, choice: Choice) -> Wishes | None:
        """What an action is to do."""
        examined = self._examined
        if choice.deed == _ALL:
            project = _as_if_asked(examined, self._path)
            return repair.fixes(project, examined.narrowing.again(project))
        every = examined.shown
        if choice.stamp != self._stamp or not 0 <= choice.number < len(every):
            return None
        wanted = every[choice.number]
        return _silenced(wanted) if choice.deed == _IGNORE else _fixed(wanted)

    def _workspace_edit(self, done: Repaired) -> types.WorkspaceEdit | None:
        changes: list[types.TextDocumentEdit] = []
        for path in done.changed:
            for cell, before, after in _texts(done.before[path], done.after[path]):
                uri = self._places.uri(path, cell)
                if before == after:
                    continue
                if uri is None:  # a notebook that is not open has no text to edit
                    return None
                document = types.OptionalVersionedTextDocumentIdentifier(
                    uri, self._version(path, cell)
                )
                changes.append(types.TextDocumentEdit(document, [*self._edits(before, after)]))
        return types.WorkspaceEdit(document_changes=list(changes)) if changes else None

    def _version(self, path: str, cell: int | None) -> int | None:
        document = self._examined.documents.get(path)
        if document is None or document.cells is None or cell is None:
            return document.version if document is not None else None
        return document.cells[cell].version

    def _edits(self, before: str, after: str) -> Iterator[types.TextEdit]:
        """What makes one text of another, line by line."""
        old, new = _lines(before), _lines(after)
        for tag, start, end, new_start, new_end in difflib.SequenceMatcher(
            None, old, new, autojunk=False
        ).get_opcodes():
            if tag != "equal":
                stretch = types.Range(self._line(start, old), self._line(end, old))
                yield types.TextEdit(stretch, "".join(new[new_start:new_end]))

    def _line(self, number: int, lines: Sequence[str]) -> types.Position:
        """Where a line begins, or the text ends."""
        if number < len(lines) or not lines or lines[-1].endswith(("\n", "\r")):
            return types.Position(number, 0)
        return types.Position(len(lines) - 1, self._units.count(lines[-1]))


def changes_of(edit: types.WorkspaceEdit) -> types.WorkspaceEdit:
    """An edit for editors that know nothing of versions."""
    changes: dict[str, Sequence[types.TextEdit]] = {}
    for change in edit.document_changes or ():
        if isinstance(change, types.TextDocumentEdit):
            changes[change.text_document.uri] = [
                each for each in change.edits if isinstance(each, types.TextEdit)
            ]
    return types.WorkspaceEdit(changes=changes)


def choice_of(action: types.CodeAction) -> Choice | None:
    """What an action was to do when it was offered."""
    try:
        return msgspec.convert(action.data, Choice)
    except msgspec.ValidationError:
        return None


def _action(
    title: str,
    kind: str,
    choice: Choice,
    about: list[types.Diagnostic] | None = None,
    is_preferred: bool = False,
) -> types.CodeAction:
    return types.CodeAction(
        title=title,
        kind=kind,
        diagnostics=about,
        is_preferred=is_preferred or None,
        data=msgspec.to_builtins(choice),
    )


def _is_wanted(kind: str, only: Sequence[str] | None) -> bool:
    return only is None or any(kind == each or kind.startswith(f"{each}.") for each in only)


def _is_safe(diagnostic: Diagnostic) -> bool:
    fix = diagnostic.fix
    return fix is not None and fix.applicability is Applicability.SAFE


def _as_if_asked(examined: Examined, path: str) -> Project:
    """The project as if it had been asked to repair one file, as far as that needs no look."""
    project = examined.project
    return msgspec.structs.replace(
        project,
        asked=Asked(frozenset((path,)), project.asked.extra, ()),
        settings=msgspec.structs.replace(project.settings, unsafe_fixes=False),
    )


def _fixed(wanted: Diagnostic) -> Wishes:
    def wishes(findings: Findings, read: Read) -> list[Repair]:
        found = (repair_of(each) for each in findings.diagnostics if each == wanted)
        return [each for each in found if each is not None]

    return wishes


def _silenced(wanted: Diagnostic) -> Wishes:
    def wishes(findings: Findings, read: Read) -> list[Repair]:
        return silencing.silenced((each for each in findings.diagnostics if each == wanted), read)

    return wishes


def _texts(before: Source, after: Source) -> Iterator[tuple[int | None, str, str]]:
    """A file as it was and as it would be, or each cell of a notebook."""
    if before.cells is None:
        yield None, before.text, after.text
        return
    texts = cell_texts(after.data)
    for number, text in cell_texts(before.data).items():
        yield number, text, texts[number]


def _lines(text: str) -> list[str]:
    starts = line_starts(text)
    ends = [*starts[1:], len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True) if start < end]
