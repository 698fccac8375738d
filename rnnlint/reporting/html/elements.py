"""Pieces of HTML that are safe to put together."""

from __future__ import annotations

from html import escape

from rnnlint.reporting.layout import printable


def text(words: str) -> str:
    """Words as HTML shows them, whatever is in them."""
    return escape("\n".join(map(printable, words.split("\n"))))


def attribute(words: str) -> str:
    """Words as the value of an attribute, between double quotes."""
    return escape(printable(words))


def element(tag: str, /, *content: str, **attributes: str | bool) -> str:
    """An element with its content, which is HTML already, and attributes, which are not.

    An attribute that is named like a word of Python ends in `_`, and `_` stands for `-`.
    """
    written = "".join(
        f" {_name(key)}" if value is True else f' {_name(key)}="{attribute(str(value))}"'
        for key, value in attributes.items()
        if value is not False
    )
    return f"<{tag}{written}>{''.join(content)}</{tag}>"


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
