"""ARCHITECTURE.md names every module of the rooms that it leads through."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


def test_the_map_shows_the_rooms_that_there_are() -> None:
    text = (CHECKOUT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paragraph = text.partition("The largest room is")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", paragraph)) | {"program"}
    modules = {path.stem for path in (CHECKOUT / "rnnlint" / "semantics").glob("*.py")}
    assert named == modules - {"__init__"}


def test_the_map_shows_what_stands_around_the_rooms() -> None:
    text = (CHECKOUT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:rnnlint/)?(\w+)(?:\.py)?`", text))
    folders = [CHECKOUT / "rnnlint" / folder for folder in ("", "commands", "fixing")]
    modules = {path.stem for folder in folders for path in folder.glob("*.py")}
    assert modules - {"__init__", "__main__"} <= named
