"""Tables in README.md that a benchmark writes."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def put_table(marker: str, table: str) -> None:
    """Replaces what stands between `<!-- marker -->` and `<!-- /marker -->`.

    Raises:
        ValueError: the marks are not there.
    """
    text = README.read_text(encoding="utf-8")
    opening, closing = f"<!-- {marker} -->\n", f"<!-- /{marker} -->"
    before, found, rest = text.partition(opening)
    _, ended, after = rest.partition(closing)
    if not found or not ended:
        raise ValueError(f"README.md has no marks {opening.strip()} and {closing}")
    README.write_text(f"{before}{opening}\n{table.strip()}\n\n{closing}{after}", encoding="utf-8")
