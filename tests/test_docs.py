"""The pages of the site: what they are made of, and that reports lead to them.

That links and anchors lead somewhere is seen by `mkdocs build --strict`, which `.ci/run` runs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping

import pytest
from assembly import CHECKOUT, RULES, added_pages, site_pages
from docstrings import as_markdown
from includes import DeadLinkError, Pages
from markdown_text import sections, with_prose
from rule_pages import page_of
from runtime_pages import modules
from settings_page import Documented, documented_settings

from rnnlint.diagnostic import rule_url
from rnnlint.project import config
from rnnlint.project.config import load_settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SITE = re.search(r"(?m)^site_url: (\S+)$", (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8"))
SETTINGS = list(documented_settings())
REPOSITORY = "https://example.org/rnnlint"


def pages_of(
    written: Mapping[str, str], generated: Mapping[str, Callable[[], str]] | None = None
) -> Pages:
    rules = {"RNN101": "rules/rnn101-unpacked-padded-input.md"}
    return Pages(CHECKOUT, written, generated or {}, rules, REPOSITORY)


def test_reports_lead_to_the_pages_of_rules() -> None:
    assert SITE is not None
    added = added_pages(site_pages(REPOSITORY))
    for info in RULES:
        address = rule_url(info.code, info.name)
        assert address == SITE[1] + page_of(info).removesuffix(".md") + "/"
        assert page_of(info) in added


def test_every_section_of_the_readme_has_its_place() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    missing = {f"README.md#{anchor}" for anchor in sections(text)} - site_pages("").sources
    assert not missing, "write '<!-- from README.md#section -->' on a page in docs/pages"


def test_every_public_module_of_the_companion_has_its_page() -> None:
    added = added_pages(site_pages(REPOSITORY))
    folder = CHECKOUT / "rnnlint" / "runtime"
    for module, names in modules(CHECKOUT).items():
        assert (folder / f"{module}.py").is_file() or (folder / module).is_dir()
        assert names
        assert f"::: rnnlint.runtime.{module}" in added[f"runtime/{module}.md"]


@pytest.mark.parametrize("setting", SETTINGS, ids=[setting.key for setting in SETTINGS])
def test_a_setting_is_documented(setting: Documented) -> None:
    assert re.fullmatch(r"(?s)[A-Z].+[.]", setting.meaning), "sentences say what it means"
    assert list(tomllib.loads(setting.example)) == [setting.key], "an example sets it"
    if setting.key == config.EXTEND:
        return
    field = setting.key.replace("-", "_")
    example = load_settings(CHECKOUT, isolated=True, inline=[setting.example])
    assert getattr(example, field) != getattr(config.Settings(), field), "and changes something"


def test_all_settings_are_documented() -> None:
    assert tuple(setting.key for setting in SETTINGS) == config.KEYS


def test_a_page_is_filled_with_a_section() -> None:
    filled = pages_of({}).filled("a.md", "# A\n\n<!-- from README.md#how-it-compares -->\n\nB\n")
    assert filled.startswith("# A\n\n- **ruff, flake8, pylint**")
    assert "ARCHITECTURE.md" not in filled, "the next section is no part of it"
    assert filled.endswith("\n\nB\n")


def test_a_section_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(DeadLinkError, match=r"README\.md has no section 'nothing'"):
        pages_of({}).filled("a.md", "<!-- from README.md#nothing -->")


def test_links_lead_to_pages_or_to_the_repository() -> None:
    pages = pages_of(
        {
            "guide/fixing.md": "<!-- from README.md#fixing -->",
            "how.md": "<!-- from ARCHITECTURE.md -->",
        }
    )
    text = "[a](#fixing) [b](ARCHITECTURE.md#invariants) [c](benchmarks) [d](https://x.org/#y)"
    assert pages.linked(text, "README.md", "rules/index.md") == (
        "[a](../guide/fixing.md) [b](../how.md#invariants) "
        f"[c]({REPOSITORY}/tree/main/benchmarks) [d](https://x.org/#y)\n"
    )


def test_a_link_to_nothing_is_an_error() -> None:
    with pytest.raises(DeadLinkError, match=r"gone\.md, which does not exist"):
        pages_of({}).linked("[a](gone.md)", "README.md", "a.md")


def test_codes_of_rules_are_links_outside_code_and_links() -> None:
    text = "RNN101, `RNN101` and [RNN101](https://x.org)\n\n```\nRNN101\n```"
    assert pages_of({}).linked(text, "README.md", "a.md") == (
        "[RNN101](rules/rnn101-unpacked-padded-input.md), `RNN101` and "
        "[RNN101](https://x.org)\n\n```\nRNN101\n```\n"
    )


def test_the_code_of_a_rule_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(DeadLinkError, match="speaks of RNN999"):
        pages_of({}).linked("as RNN999 does", "rules/rnn101_x.py", "a.md")


def test_a_link_may_be_of_code() -> None:
    assert pages_of({}).linked("`[a](b)` [`b` c](benchmarks)", "README.md", "a.md") == (
        f"`[a](b)` [`b` c]({REPOSITORY}/tree/main/benchmarks)\n"
    )


def test_prose_is_told_from_listings() -> None:
    text = "# a\n\na\na\n\n````md\na\n```\na\n````\n\n~~~\na\n~~~\na"
    assert with_prose(text, str.upper) == (
        "# a\n\nA\nA\n\n````md\na\n```\na\n````\n\n~~~\na\n~~~\nA\n"
    )


def test_headings_in_code_begin_no_section() -> None:
    text = "# Title\n\n```sh\n# a comment\n```\n\n## Two words\n\nb\n\n### deeper\n\nc\n"
    assert sections(text) == {
        "title": "```sh\n# a comment\n```\n",
        "two-words": "b\n\n### deeper\n\nc\n",
    }


def test_docstrings_become_markdown() -> None:
    text = "Call :func:`~a.probe`::\n\n    probe(model)\n\n    again()\n\nArgs:\n    a: b"
    assert as_markdown(text) == (
        "Call `a.probe`:\n\n```python\nprobe(model)\n\nagain()\n```\n\nArgs:\n    a: b"
    )
