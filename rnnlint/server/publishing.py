"""Findings as the protocol has them."""

from __future__ import annotations

import os

import msgspec
from lsprotocol import types

from rnnlint.diagnostic import Diagnostic, Level, Span
from rnnlint.server.analyst import Examined
from rnnlint.server.documents import uri_of
from rnnlint.server.positions import Units
from rnnlint.suppression import UNUSED_CODE

SOURCE = "rnnlint"
_SEVERITIES = {
    Level.ERROR: types.DiagnosticSeverity.Error,
    Level.WARNING: types.DiagnosticSeverity.Warning,
    Level.ADVICE: types.DiagnosticSeverity.Information,
}
_NOWHERE = types.Range(types.Position(0, 0), types.Position(0, 0))


class Published(msgspec.Struct, frozen=True):
    """What is said of one file, or of one cell of a notebook."""

    version: int | None
    """That of the text that it was said of; None if it is not open."""
    diagnostics: tuple[types.Diagnostic, ...] = ()


class Places:
    """Where the findings of a project are in the editor."""

    def __init__(self, examined: Examined, units: Units) -> None:
        self._root = str(examined.project.root)
        self._documents = examined.documents
        self._excerpts = examined.findings.excerpts
        self._units = units

    def uri(self, path: str, cell: int | None = None) -> str | None:
        """The address of a file, or a cell; None if that is not open, so that it has none."""
        document = self._documents.get(path)
        if cell is None:
            return document.uri if document is not None else uri_of(self._absolute(path))
        cells = document.cells if document is not None else None
        return cells[cell].uri if cells is not None and cell < len(cells) else None

    def range(self, span: Span) -> types.Range:
        """The stretch of a file, or of a cell."""
        return self._units.range(span, self._excerpts)

    def location(self, span: Span) -> types.Location:
        """Where something is; in a notebook that is not open, whose cells have no addresses, the
        notebook.
        """
        uri = self.uri(span.path, span.cell)
        if uri is None:
            return types.Location(uri_of(self._absolute(span.path)), _NOWHERE)
        return types.Location(uri, self.range(span))

    def words(self, span: Span) -> str:
        """Where something is in a notebook that is not open, to stand before what is said of it."""
        if self.uri(span.path, span.cell) is not None:
            return ""
        return f"cell {span.cell}:{span.location.row}:{span.location.column}: "

    def _absolute(self, path: str) -> str:
        return os.path.join(self._root, *path.split("/"))


def published(examined: Examined, units: Units) -> dict[str, Published]:
    """What is said of each file, by address; of those that are open something in any case."""
    places = Places(examined, units)
    found: dict[str, list[types.Diagnostic]] = {}
    versions: dict[str, int | None] = {}
    for document in examined.documents.values():
        versions[document.uri] = document.version
        versions.update((cell.uri, cell.version) for cell in document.cells or ())
        if document.cells is not None:  # its cells speak for it
            del versions[document.uri]
    for diagnostic in examined.shown:
        uri = places.location(diagnostic.span).uri
        found.setdefault(uri, []).append(protocol_diagnostic(diagnostic, places))
    return {
        uri: Published(versions.get(uri), tuple(found.get(uri, ())))
        for uri in {**versions, **dict.fromkeys(found)}
    }


def protocol_diagnostic(diagnostic: Diagnostic, places: Places) -> types.Diagnostic:
    """A finding with its evidence."""
    unused = diagnostic.code == UNUSED_CODE
    return types.Diagnostic(
        range=places.location(diagnostic.span).range,
        message=places.words(diagnostic.span) + _message(diagnostic),
        severity=_SEVERITIES[diagnostic.level],
        code=diagnostic.code,
        code_description=types.CodeDescription(diagnostic.url),
        source=SOURCE,
        tags=[types.DiagnosticTag.Unnecessary] if unused else None,
        related_information=[
            types.DiagnosticRelatedInformation(
                places.location(step.span), places.words(step.span) + step.message
            )
            for step in diagnostic.trail
        ]
        or None,
    )


def _message(diagnostic: Diagnostic) -> str:
    help_text = f"\nhelp: {diagnostic.help}" if diagnostic.help else ""
    return f"{diagnostic.message} ({diagnostic.name}){help_text}"
