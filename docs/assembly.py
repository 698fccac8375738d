"""What the site is made of: the pages as they are written, and what they are filled with."""

from __future__ import annotations

from pathlib import Path

import command_page
import rule_pages
import runtime_pages
import settings_page
from includes import Pages

from rnnlint import registry

CHECKOUT = Path(__file__).resolve().parent.parent
WRITTEN = CHECKOUT / "docs" / "pages"
RULES = registry.available()


def site_pages(repository: str) -> Pages:
    """The pages; files of the checkout that have none are read in the `repository`."""
    return Pages(
        CHECKOUT,
        {
            file.relative_to(WRITTEN).as_posix(): file.read_text(encoding="utf-8")
            for file in sorted(WRITTEN.rglob("*.md"))
        },
        {
            "settings": settings_page.render,
            "commands": command_page.render,
            "rules": lambda: rule_pages.index(RULES),
            "runtime": lambda: runtime_pages.index(CHECKOUT),
        },
        {info.code: rule_pages.page_of(info) for info in RULES},
        repository,
    )


def added_pages(pages: Pages) -> dict[str, str]:
    """The text of each page that nobody wrote in `docs/pages`, by its path."""
    rules = {
        rule_pages.page_of(info): rule_pages.render(info, RULES, CHECKOUT, pages.linked)
        for info in RULES
    }
    return rules | dict(runtime_pages.pages(CHECKOUT))
