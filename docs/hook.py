"""Builds the pages of the site: those in `docs/pages` filled, those of rules and companion added.

MkDocs calls the functions below, in this order.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# The checkout is documented, whichever rnnlint is installed beside MkDocs.
sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import rule_pages  # noqa: E402
import runtime_pages  # noqa: E402
from assembly import CHECKOUT, RULES, added_pages, site_pages  # noqa: E402


def on_config(config: MkDocsConfig) -> None:
    """Add to the navigation what nobody wrote there."""
    sections: dict[str, list[Any]] = {}
    for entry in config.nav or []:
        sections |= entry if isinstance(entry, dict) else {}
    for title, members in rule_pages.by_family(RULES):
        entries = [{info.name: rule_pages.page_of(info)} for info in members]
        sections["Rules"].append({title: entries})
    sections["Companion"] += [
        {name: f"runtime/{name}.md"} for name in runtime_pages.modules(CHECKOUT)
    ]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages of the rules and of the companion."""
    for path, text in added_pages(site_pages(config.repo_url or "")).items():
        files.append(File.generated(config, path, content=text))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill a page that is written in `docs/pages`."""
    return site_pages(config.repo_url or "").filled(page.file.src_uri, markdown)
