"""The fixture notation is read and rewritten as fixtures/README.md says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdtest import Finding, MalformedFixtureError, parse, rewrite, unmatched

FIXTURE = """\
# RNN101

Prose with `code`.

```toml
fail-on = "error"
```

## Faulty

### Two files

`model.py`:

```python
a = 1
# warning: [RNN101]
b = 2
c = 3  # error: [RNN102] "words" # advice: [RNN103]
```

`model.py` (fixed):

```python
a = 2
```

```text
no code
```

### Merged

```python
x = 1
```

Prose between.

```python
y = 2  # advice: [RNN101]
```

## Clean

```toml
select = ["ALL"]
```

```py
z = 3  # error: this is an ordinary comment
```
"""


def test_cases_are_named_by_their_headings() -> None:
    names = [case.name for case in parse(FIXTURE)]
    assert names == [
        "RNN101 > Faulty > Two files",
        "RNN101 > Faulty > Merged",
        "RNN101 > Clean",
    ]


def test_assertions_stand_on_their_line_or_above() -> None:
    case = parse(FIXTURE)[0]
    assert list(case.files) == ["model.py"]
    assert case.expected == (
        Finding("model.py", 3, "warning", "RNN101"),
        Finding("model.py", 4, "advice", "RNN103"),
        Finding("model.py", 4, "error", "RNN102", "words"),
    )


def test_unnamed_blocks_are_one_file() -> None:
    case = parse(FIXTURE)[1]
    assert case.files == {"main.py": "x = 1\ny = 2  # advice: [RNN101]\n"}
    assert case.expected == (Finding("main.py", 2, "advice", "RNN101"),)


def test_settings_are_inherited_by_the_sections_below() -> None:
    settings = [case.toml for case in parse(FIXTURE)]
    assert settings == ['fail-on = "error"\n'] * 2 + ['select = ["ALL"]\n']


def test_code_inside_a_block_is_no_heading() -> None:
    (case,) = parse("# Title\n```python\n# not a heading\n```\n")
    assert case.name == "Title"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# A\n```python\nx = 1\n", "never closed"),
        ("```python\nx = 1\n```\n", "before the first heading"),
        ("# A\n```python\n# error: [RNN101]\n```\n", "a line after it"),
        ("# A\n`a.py`:\n```python\n```\n`a.py`:\n```python\n```\n", "second a.py"),
        ("# A\n```python\n```\n# A\n```python\n```\n", "two cases"),
        ("# A\n```python\nx = 1  # error: RNN101\n```\n", "an assertion reads"),
    ],
)
def test_a_malformed_fixture_is_refused(text: str, words: str) -> None:
    with pytest.raises(MalformedFixtureError, match=words):
        _ = [case.expected for case in parse(text)]


def test_each_assertion_takes_one_finding() -> None:
    wanted = Finding("a.py", 1, "error", "RNN101")
    with_words = Finding("a.py", 1, "error", "RNN101", "lengths")
    found = [
        Finding("a.py", 1, "error", "RNN101", "it knows no lengths"),
        Finding("a.py", 1, "warning", "RNN101", "another"),
    ]
    assert unmatched([wanted], found) == ((), (found[1],))
    assert unmatched([wanted, with_words], found) == ((wanted,), (found[1],))


def test_rewriting_keeps_what_holds_and_mends_the_rest() -> None:
    found = [
        Finding("model.py", 1, "error", "RNN104", "new"),
        Finding("model.py", 4, "error", "RNN102", "these words"),
    ]
    rewritten = rewrite(FIXTURE, "RNN101 > Faulty > Two files", found)
    block = rewritten.split("```python\n")[1].split("```")[0]
    assert block == ('a = 1  # error: [RNN104]\nb = 2\nc = 3  # error: [RNN102] "words"\n')


def test_rewriting_a_case_that_holds_changes_nothing() -> None:
    case = parse(FIXTURE)[0]
    assert rewrite(FIXTURE, case.name, case.expected) == FIXTURE


def test_an_assertion_about_a_continued_line_stands_above_it() -> None:
    text = "# A\n```python\nx = 1 + \\\n    2\n```\n"
    found = [Finding("main.py", 1, "error", "RNN101")]
    rewritten = rewrite(text, "A", found)
    assert "# error: [RNN101]\nx = 1 + \\\n" in rewritten
    assert parse(rewritten)[0].expected == (Finding("main.py", 2, "error", "RNN101"),)


_FOUND = st.builds(
    Finding,
    path=st.just("model.py"),
    row=st.sampled_from([1, 3, 4]),
    level=st.sampled_from(["error", "warning", "advice"]),
    code=st.sampled_from(["RNN101", "RNN102", "RNN103"]),
    message=st.sampled_from(["words", "other"]),
)


@given(found=st.lists(_FOUND, max_size=6))
def test_a_rewritten_case_asserts_what_was_found(found: list[Finding]) -> None:
    name = "RNN101 > Faulty > Two files"
    rewritten = parse(rewrite(FIXTURE, name, found))[0]
    code_of = [line.split("  #")[0] for line in rewritten.files["model.py"].splitlines()]
    asserted = [
        Finding(one.path, code_of.index(_CODE_AT[one.row]) + 1, one.level, one.code, one.message)
        for one in found
    ]
    assert unmatched(rewritten.expected, asserted) == ((), ())


_CODE_AT = {1: "a = 1", 3: "b = 2", 4: "c = 3"}
