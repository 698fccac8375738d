"""The conventions of fixtures can be missed, each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from conventions import shortcomings, style_of
from mdtest import Case, parse

FAULT = "import torch  # error: [RNN999]\n"
CLASS = "class Trainer:\n    import torch  # error: [RNN999]\n"
FRAMEWORK = "import lightning\nimport torch  # error: [RNN999]\n"
SILENT = "import torch\n"


def case(title: str, *files: tuple[str, str]) -> str:
    fences = "".join(f"{name}:\n```python\n{text}```\n\n" for name, text in files)
    return f"## {title}\n\n{fences}"


COMPLETE = {
    "script": case("Script", ("`main.py`", FAULT), ("`main.py` (fixed)", SILENT)),
    "class": case("Class", ("`main.py`", CLASS)),
    "framework": case("Framework", ("`main.py`", FRAMEWORK)),
    "project": case("Project", ("`main.py`", CLASS), ("`model.py`", SILENT)),
    **{f"clean {n}": case(f"Clean {n}", ("`main.py`", SILENT)) for n in range(4)},
}


def lacks(folder: Path, *left_out: str) -> list[str]:
    fixture = folder / "rnn999_some_fault.md"
    parts = [text for name, text in COMPLETE.items() if name not in left_out]
    fixture.write_text("# RNN999\n\n" + "".join(parts), encoding="utf-8")
    return list(shortcomings(fixture, fixable=True))


def test_a_complete_fixture_lacks_nothing(tmp_path: Path) -> None:
    assert lacks(tmp_path) == []


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        (["class", "framework"], "2 faulty programs"),
        (["script", "framework"], "styles"),
        (["project"], "no faulty project of several files"),
        (["script"], "no case that shows the repair"),
        (["clean 0"], "3 look-alikes"),
    ],
)
def test_what_is_left_out_is_said(tmp_path: Path, left_out: list[str], said: str) -> None:
    assert any(said in lack for lack in lacks(tmp_path, *left_out))


def test_a_style_is_where_the_fault_stands_and_what_is_imported() -> None:
    def style(text: str) -> object:
        (one,) = parse(f"## A\n\n```python\n{text}```\n")
        assert isinstance(one, Case)
        return style_of(one)

    assert style(FAULT) == style("import os\n" + FAULT)
    assert len({style(FAULT), style(CLASS), style(FRAMEWORK)}) == 3
