"""A plugin whose rules find, and repair, what a test tells them to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rnnlint.diagnostic import Applicability, Edit, Fix, Level

PACKAGE = "scripted_rules"
_RULE = '''"""Finds what a test wants found."""
from rnnlint.api import Level, Rule
from scripted import findings_of

class Scripted(Rule):
    level = Level.WARNING

    def check(self, program):
        for place, fix, level in findings_of(self.code, program):
            words = "as the script says"
            yield self.report(program, place, words, help="mend it", fix=fix, level=level)
'''
Change = tuple[str, str, str]
"""A file, what stands in it, and what shall stand there."""


class Finding:
    """What one rule finds wherever some words stand, and the repair that it offers.

    Args:
        code: the rule, SCR001 to SCR009.
        words: what is found.
        changes: what its repair changes; the empty words are the beginning of a file.
        path: the file in which it is found.
        applicability: whether the repair wants a look.
        edits: what the repair changes, too, whatever the files hold.
        unless: words that excuse the file.
        level: how sure the rule is.
        uncovers: whether the repair has code judged that was not trained before.
        meanwhile: what else happens while the rule looks.
    """

    def __init__(
        self,
        code: str,
        words: str,
        *changes: Change,
        path: str = "main.py",
        applicability: Applicability = Applicability.SAFE,
        edits: tuple[Edit, ...] = (),
        unless: str = "",
        level: Level = Level.WARNING,
        uncovers: bool = False,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self.code = code
        self.words = words
        self.changes = changes
        self.path = path
        self.applicability = applicability
        self.edits = edits
        self.unless = unless
        self.level = level
        self.uncovers = uncovers
        self.meanwhile = meanwhile

    def fix(self, text_of: Callable[[str], str]) -> Fix | None:
        edits = list(self.edits)
        for path, words, replacement in self.changes:
            start = text_of(path).find(words)
            if start < 0:
                return None
            edits.append(Edit(path, start, start + len(words), replacement))
        if not edits:
            return None
        return Fix("mend it", self.applicability, tuple(edits), self.uncovers)


SCRIPT: list[Finding] = []
"""What the rules find at present."""
STYLES: list[str] = []
"""What repairs were to be written in, each time that a rule looked."""


def findings_of(code: str, program: object) -> Iterator[tuple[object, Fix | None, Level]]:
    """The places where a rule of the script finds something, with its repairs."""
    from rnnlint.api import Place, Program
    from rnnlint.fixing.code import Part

    assert isinstance(program, Program)

    def text_of(path: str) -> str:
        try:
            return program.code.text(Part(path, 0, sys.maxsize))
        except KeyError:  # the file is gone
            return ""

    STYLES.append(program.code.fix_style)
    for finding in SCRIPT:
        if finding.code == code:
            finding.meanwhile()
            text = text_of(finding.path)
            start = text.find(finding.words)
            if start >= 0 and not (finding.unless and finding.unless in text):
                place = Place(finding.path, start, start + len(finding.words))
                yield place, finding.fix(text_of), finding.level


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Finding]]:
    """The script of three rules, SCR001 to SCR003, empty at first."""
    folder = tmp_path / "plugins" / PACKAGE
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    for number in (1, 2, 3):
        (folder / f"scr00{number}_rule_{number}.py").write_text(_RULE)
    monkeypatch.syspath_prepend(str(folder.parent))
    SCRIPT.clear()
    yield SCRIPT
    SCRIPT.clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def project_of(tmp_path: Path, files: dict[str, str | bytes], settings: str = "") -> Path:
    """Lay out a project in which only the rules of the script look; its folder."""
    root = tmp_path / "project"
    toml = f'plugins = ["{PACKAGE}"]\nselect = ["SCR"]\n{settings}'
    for path, content in {"rnnlint.toml": toml, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        (root / path).write_bytes(data)
    return root
