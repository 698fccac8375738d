"""Turns selectors into the codes they mean.

A selector is a code (`RNN101`), a name (`missing-gradient-clipping`), the start of
a code (`RNN1`, `RNN`), or `ALL`.  Where `select` and `ignore` disagree about a rule
the more specific selector wins, and `ignore` wins a draw.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from rnnlint.project.config import ConfigError
from rnnlint.registry import RuleInfo, find, suggestion

EVERYTHING = "ALL"
_CODE_START = re.compile(r"[A-Z]{1,3}[0-9]{0,2}")
_EXACT = 1_000
"""The specificity of a code or a name: above that of any start of a code."""


class UnknownRuleError(ConfigError):
    """A selector that means no rule."""

    def __init__(self, selector: str, setting: str, remedy: str) -> None:
        super().__init__(f"unknown rule '{selector}' in {setting}{remedy}")
        self.selector = selector
        self.key = setting.partition(" ")[0]


def select(
    infos: Sequence[RuleInfo],
    *,
    chosen: Iterable[str] = (EVERYTHING,),
    also: Iterable[str] = (),
    ignored: Iterable[str] = (),
    names: tuple[str, str] = ("select", "ignore"),
) -> frozenset[str]:
    """Return the codes that `chosen` and `also` select and `ignored` does not take away.

    `names` are what messages call the setting that selects and the one that ignores.
    """
    verdicts: dict[str, tuple[int, bool]] = {}
    for selector in (*chosen, *also):
        for code in codes_of(selector, infos, names[0]):
            verdicts[code] = max(verdicts.get(code, (-1, False)), (_specificity(selector), True))
    for selector in ignored:
        specificity = _specificity(selector)
        for code in codes_of(selector, infos, names[1]):
            if code in verdicts and specificity >= verdicts[code][0]:
                verdicts[code] = (specificity, False)
    return frozenset(code for code, (_, selected) in verdicts.items() if selected)


def codes_of(selector: str, infos: Sequence[RuleInfo], setting: str) -> frozenset[str]:
    """Return the codes that one selector means; `setting` says where it was written."""
    if selector == EVERYTHING:
        return frozenset(info.code for info in infos)
    if info := find(selector, infos):
        return frozenset((info.code,))
    if _CODE_START.fullmatch(selector):
        codes = frozenset(info.code for info in infos if info.code.startswith(selector))
        if codes:
            return codes
    remedy = suggestion(selector, infos) or "; list the rules with 'rnnlint rule --all'"
    raise UnknownRuleError(selector, setting, remedy)


def expanded(
    per_file_ignores: Mapping[str, Sequence[str]], infos: Sequence[RuleInfo]
) -> dict[str, tuple[str, ...]]:
    """Return `per_file_ignores` with each selector replaced by the codes that it means."""
    return {
        glob: tuple(
            sorted(
                code
                for selector in selectors
                for code in codes_of(selector, infos, f"per-file-ignores of '{glob}'")
            )
        )
        for glob, selectors in per_file_ignores.items()
    }


def _specificity(selector: str) -> int:
    if selector == EVERYTHING:
        return 0
    if _CODE_START.fullmatch(selector):
        return len(selector)
    return _EXACT
