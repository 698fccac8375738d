"""Fills the pages in `docs/pages` with what is written elsewhere in the checkout.

A comment on a page says what belongs there:

- `<!-- from README.md#fixing -->`: the section of that name, or a whole file without its title
- `<!-- in place of README.md#rules -->`: nothing, but links to the section lead to the page
- `<!-- generated: settings -->`: what this name stands for
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from markdown_text import sections, with_prose, without_title

_MARKER = re.compile(r"(?m)^<!-- (?P<kind>from|in place of|generated:) (?P<what>\S+) -->$")
_MARKUP = re.compile(
    r"(?P<code>(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))"
    r"|\[(?P<text>(?:`[^`]*`|[^\]`])*)\]\((?P<target>[^)\s]+)\)"
    r"|(?P<rule>\bRNN\d{3}\b)",
    re.DOTALL,
)
_ELSEWHERE = re.compile(r"[a-z]+:")


class DeadLinkError(Exception):
    """A text refers to something that does not exist."""


class Pages:
    """The pages as they are written, and what they have to be filled with.

    Args:
        checkout: the folder of the project.
        written: the text of each page by its path.
        generated: a function for each name after `generated:`.
        rules: the page of each rule by its code.
        repository: the address at which files of the checkout can be read.
    """

    def __init__(
        self,
        checkout: Path,
        written: Mapping[str, str],
        generated: Mapping[str, Callable[[], str]],
        rules: Mapping[str, str],
        repository: str,
    ) -> None:
        self._checkout = checkout
        self._generated = generated
        self._rules = rules
        self._repository = repository
        self._homes = {source: page for page, text in written.items() for source in _sources(text)}

    @property
    def sources(self) -> frozenset[str]:
        """Everything that has a place on the site, such as `README.md#fixing`."""
        return frozenset(self._homes)

    def filled(self, page: str, text: str) -> str:
        """The text of a page with all that its comments ask for."""
        return _MARKER.sub(lambda marker: self._content(page, marker), text)

    def linked(self, text: str, origin: str, page: str) -> str:
        """A text of the file `origin` with its links as they have to be on a page.

        Codes of rules become links to their pages.
        """

        def relinked(found: re.Match[str]) -> str:
            if found["rule"]:
                return self._rule_link(found["rule"], origin, page)
            if found["target"]:
                return f"[{found['text']}]({self._target(found['target'], origin, page)})"
            return found[0]

        return with_prose(text, lambda prose: _MARKUP.sub(relinked, prose))

    def _content(self, page: str, marker: re.Match[str]) -> str:
        what = marker["what"]
        if marker["kind"] == "generated:":
            return self._generated[what]()
        if marker["kind"] == "in place of":
            return ""
        return self.linked(_read(self._checkout, what), what.partition("#")[0], page)

    def _target(self, target: str, origin: str, page: str) -> str:
        if _ELSEWHERE.match(target):
            return target
        path, _, anchor = target.partition("#")
        beside = posixpath.join(posixpath.dirname(origin), path)
        file = posixpath.normpath(beside) if path else origin
        home = self._homes.get(f"{file}#{anchor}") or self._homes.get(file)
        if home is not None:
            within = f"#{anchor}" if anchor and file in self._homes else ""
            return relative(home, page) + within
        found = self._checkout / file
        if not found.exists():
            raise DeadLinkError(f"{origin} links to {target}, which does not exist")
        return f"{self._repository}/{'tree' if found.is_dir() else 'blob'}/main/{file}"

    def _rule_link(self, code: str, origin: str, page: str) -> str:
        if code not in self._rules:
            raise DeadLinkError(f"{origin} speaks of {code}, and there is no such rule")
        target = self._rules[code]
        if target == page:
            return code
        return f"[{code}]({relative(target, page)})"


def relative(target: str, page: str) -> str:
    """A page as another one links to it."""
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def _sources(text: str) -> Iterator[str]:
    for marker in _MARKER.finditer(text):
        if marker["kind"] != "generated:":
            yield marker["what"]


def _read(checkout: Path, what: str) -> str:
    """A whole file without its title, or one section of it."""
    path, _, anchor = what.partition("#")
    text = checkout.joinpath(path).read_text(encoding="utf-8")
    if not anchor:
        return without_title(text)
    found = sections(text)
    if anchor not in found:
        raise DeadLinkError(f"{path} has no section {anchor!r}; it has {', '.join(found)}")
    return found[anchor]
