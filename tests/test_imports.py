"""The import graph: what a file imports, and which file that is."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlint.project.imports import ImportGraph, ModuleImport, module_imports


@pytest.mark.parametrize(
    ("files", "importer", "module", "level", "expected"),
    [
        # absolute, from the project root
        (["model.py", "train.py"], "train.py", "model", 0, "model.py"),
        (["pkg/__init__.py", "pkg/net.py", "train.py"], "train.py", "pkg.net", 0, "pkg/net.py"),
        (["pkg/__init__.py", "train.py"], "train.py", "pkg", 0, "pkg/__init__.py"),
        (["train.py"], "train.py", "torch.nn", 0, None),
        # relative
        (["pkg/__init__.py", "pkg/a.py", "pkg/b.py"], "pkg/a.py", "b", 1, "pkg/b.py"),
        (["pkg/__init__.py", "pkg/a.py"], "pkg/a.py", "", 1, "pkg/__init__.py"),
        (["pkg/__init__.py", "pkg/a.py"], "pkg/__init__.py", "a", 1, "pkg/a.py"),
        (["pkg/b.py", "pkg/deep/a.py"], "pkg/deep/a.py", "b", 2, "pkg/b.py"),
        (["pkg/a.py"], "pkg/a.py", "b", 3, None),
        (["a.py", "b.py"], "a.py", "b", 1, "b.py"),
        # src layouts and other source roots
        (["src/pkg/__init__.py", "tests/t.py"], "tests/t.py", "pkg", 0, "src/pkg/__init__.py"),
        (["src/model.py", "tests/t.py"], "tests/t.py", "model", 0, "src/model.py"),
        (["lib/pkg/__init__.py", "lib/pkg/a.py", "t.py"], "t.py", "pkg.a", 0, "lib/pkg/a.py"),
        # namespace packages
        (["data/load.py", "train.py"], "train.py", "data", 0, "data/"),
        (["data/load.py", "train.py"], "train.py", "data.load", 0, "data/load.py"),
        (["a/x/m.py", "x/__init__.py", "a/t.py"], "a/t.py", "x", 0, "x/__init__.py"),
        # scripts import their siblings
        (["exp/one/net.py", "exp/one/t.py"], "exp/one/t.py", "net", 0, "exp/one/net.py"),
        (["exp/net.py", "exp/one/t.py"], "exp/one/t.py", "net", 0, "exp/net.py"),
        # the nearest wins
        (["net.py", "exp/net.py", "exp/t.py"], "exp/t.py", "net", 0, "exp/net.py"),
        (
            ["a/lib/u/__init__.py", "b/lib/u/__init__.py", "b/t.py"],
            "b/t.py",
            "u",
            0,
            "b/lib/u/__init__.py",
        ),
        # a package is stronger than a module of its name
        (["net.py", "net/__init__.py", "t.py"], "t.py", "net", 0, "net/__init__.py"),
        # a file does not import itself
        (["torch.py"], "torch.py", "torch", 0, None),
        (["lib/logging.py", "logging.py"], "lib/logging.py", "logging", 0, "logging.py"),
        # notebooks import, but are not imported
        (["net.py", "a.ipynb"], "a.ipynb", "net", 0, "net.py"),
        (["net.ipynb", "a.py"], "a.py", "net", 0, None),
    ],
)
def test_resolve(
    files: list[str], importer: str, module: str, level: int, expected: str | None
) -> None:
    assert ImportGraph(files).resolve(importer, module, level) == expected


def test_source_roots_are_the_parents_of_top_level_packages() -> None:
    graph = ImportGraph(["lib/pkg/__init__.py", "lib/pkg/sub/__init__.py", "src/a.py", "t.py"])
    assert graph.source_roots == {"", "lib", "src"}


NAME = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(
    st.builds(
        lambda folders, name: "/".join([*folders, name + ".py"]),
        st.lists(NAME, max_size=3),
        st.sampled_from(["a", "b", "__init__"]),
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


@given(PATHS, st.data())
def test_what_is_resolved_exists_and_is_named_so(paths: list[str], data: st.DataObject) -> None:
    importer = data.draw(st.sampled_from(paths))
    module = ".".join(data.draw(st.lists(NAME, min_size=1, max_size=3)))
    level = data.draw(st.integers(0, 2))
    found = ImportGraph(paths).resolve(importer, module, level)
    if found is None:
        return
    assert found in paths or any(path.startswith(found) for path in paths)
    stem = found.removesuffix("/").removesuffix("/__init__.py").removesuffix(".py")
    assert f"/{stem}".endswith("/" + module.replace(".", "/"))
    assert found != importer or level


# --- imports of a file -------------------------------------------------------------


def test_imports_are_read_from_bytes() -> None:
    data = b"""
import torch, numpy as np
import torch.nn.functional as F  # comment, more
from torch import nn
from .models import (
    Encoder,  # the (first)
    Decoder as Dec,
)
from . import data; from .. import utils
from ...deep.er import *
try: import cupy
except ImportError: pass
def f():
    from late import thing
from a \\
    import b, \\
    c as d
important = "reimport nothing"
x.import_module("no")
"""
    assert module_imports(data) == (
        ModuleImport("torch", 0, None),
        ModuleImport("numpy", 0, None, (("numpy", "np"),)),
        ModuleImport("torch.nn.functional", 0, None, (("torch.nn.functional", "F"),)),
        ModuleImport("torch", 0, ("nn",)),
        ModuleImport("models", 1, ("Encoder", "Decoder"), (("Decoder", "Dec"),)),
        ModuleImport("", 1, ("data",)),
        ModuleImport("", 2, ("utils",)),
        ModuleImport("deep.er", 3, ("*",)),
        ModuleImport("cupy", 0, None),
        ModuleImport("late", 0, ("thing",)),
        ModuleImport("a", 0, ("b", "c"), (("c", "d"),)),
    )


def test_bound_names_follow_aliases() -> None:
    statement = ModuleImport("m", 0, ("a", "b"), (("b", "c"),))
    assert list(statement.bound()) == [("a", "a"), ("b", "c")]


ALIAS = st.tuples(st.sampled_from(["x", "Y", "_z1"]), st.sampled_from(["", " as q", "  as  r2"]))
MODULE = st.sampled_from(["m", "pkg.mod", "a.b.c"])


@st.composite
def import_statements(draw: st.DrawFn) -> str:
    names = [name + alias for name, alias in draw(st.lists(ALIAS, min_size=1, max_size=3))]
    if draw(st.booleans()):
        return "import " + ", ".join(draw(MODULE) + alias[1] for alias in [draw(ALIAS)])
    dots = "." * draw(st.integers(0, 3))
    module = draw(MODULE) if not dots else draw(st.one_of(MODULE, st.just("")))
    listed = draw(
        st.sampled_from(
            [", ".join(names), f"({', '.join(names)})", "(\n  " + ",\n  ".join(names) + ",\n)"]
        )
    )
    return f"from {dots}{module} import {listed}"


@given(st.lists(import_statements(), max_size=4), st.sampled_from(["\n", "\r\n", "\n\n# c\n"]))
def test_the_expressions_agree_with_the_parser(statements: list[str], line_end: str) -> None:
    program = line_end.join(statements)
    expected: list[ModuleImport] = []
    for node in ast.parse(program).body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                renamed = ((alias.name, alias.asname),) if alias.asname else ()
                expected.append(ModuleImport(alias.name, 0, None, renamed))
        elif isinstance(node, ast.ImportFrom):
            aliases = tuple((a.name, a.asname) for a in node.names if a.asname)
            names = tuple(a.name for a in node.names)
            expected.append(ModuleImport(node.module or "", node.level, names, aliases))
    assert list(module_imports(program.encode())) == expected
