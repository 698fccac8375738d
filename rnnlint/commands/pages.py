"""The pages of rules, as `rnnlint rule` prints them and some reports hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rnnlint import registry
from rnnlint.registry import RuleInfo
from rnnlint.reporting.page import Page


def page_of(info: RuleInfo) -> Page:
    """The page of one rule, which is imported for it."""
    rule = registry.load(info)
    return Page(
        info.code,
        info.name,
        rule.level,
        rule.fixable,
        registry.page(info),
        rule.cause,
        rule.effect,
    )


def pages_of(codes: Iterable[str], plugins: Sequence[str]) -> dict[str, Page]:
    """The pages of some rules by code; of what is no rule there is none."""
    wanted = set(codes)
    infos = registry.available(plugins) if wanted else ()
    return {info.code: page_of(info) for info in infos if info.code in wanted}
