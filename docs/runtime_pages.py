"""The pages of the companion, one for each of its public modules, and the list of them.

The modules are read and not imported, so that no page needs torch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "rnnlint.runtime"


def modules(checkout: Path) -> dict[str, list[str]]:
    """The public modules of the companion, and what the companion takes from each."""
    text = checkout.joinpath(*PACKAGE.split("."), "__init__.py").read_text(encoding="utf-8")
    return {
        node.module.rpartition(".")[2]: [alias.name for alias in node.names]
        for node in ast.parse(text).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE)
    }


def index(checkout: Path) -> str:
    """What each module has, with links."""
    lines = ["## Reference\n", "| module | names |", "|---|---|"]
    for name, members in modules(checkout).items():
        linked = ", ".join(f"[`{m}`]({name}.md#{PACKAGE}.{name}.{m})" for m in members)
        lines.append(f"| [`{name}`]({name}.md) | {linked} |")
    return "\n".join(lines) + "\n"


def pages(checkout: Path) -> Iterator[tuple[str, str]]:
    """The path and the text of each page; mkdocstrings fills them."""
    for name in modules(checkout):
        directive = f"::: {PACKAGE}.{name}\n"
        note = f"    from {PACKAGE}.{name} import ..."
        yield f"runtime/{name}.md", f"# {name}\n\n{note}\n\n{directive}"
