"""Lowering many files: no text takes the caller, or another file, down with it."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from rnnlint.lowering import ir
from rnnlint.lowering.nesting import is_tame
from rnnlint.lowering.pool import Lowered, lower_all

PADDING = "x = '" + "padding " * 30_000 + "'\n"
"""Enough that no file of the batch is parsed in this process."""

TOO_DEEP = "(" * 5000 + ")" * 5000
TOO_SLOW = "match a:\n case " + "[" * 60 + "b" + "]" * 60 + ": pass\n"


def _names(lowered: Lowered) -> list[str]:
    assert isinstance(lowered, bytes), lowered
    return [
        statement.value.id
        for statement in ir.decode(lowered).body
        if isinstance(statement, ir.ExprStmt) and isinstance(statement.value, ir.Name)
    ]


@pytest.fixture(autouse=True)
def no_process_left_behind() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


# --- ordinary work -----------------------------------------------------------------


def test_a_small_batch_needs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnlint.lowering.pool._context", None)
    results = dict(lower_all({"a.py": "a", "b.py": "b c", "empty.py": ""}))
    assert _names(results["a.py"]) == ["a"]
    assert isinstance(results["b.py"], ir.SyntaxProblem)
    assert _names(results["empty.py"]) == []


@pytest.mark.parametrize("jobs", [1, 3, None])
def test_a_large_batch_gives_every_file_once(jobs: int | None) -> None:
    texts = {f"{number}.py": f"name{number}\n{PADDING[:20_000]}'\n" for number in range(30)}
    seen: list[tuple[int, int]] = []
    results = list(
        lower_all(texts.items(), jobs=jobs, progress=lambda done, total: seen.append((done, total)))
    )
    assert {path for path, _ in results} == texts.keys()
    assert len(results) == len(texts)
    for path, lowered in results:
        assert _names(lowered) == [f"name{path.removesuffix('.py')}"]
    assert seen == [(number, 30) for number in range(1, 31)]


def test_nothing_to_do() -> None:
    assert list(lower_all({})) == []


def test_a_thread_in_the_caller_does_no_harm() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        results = dict(lower_all({"padding.py": PADDING, "a.py": "a", "deep.py": TOO_DEEP}, jobs=1))
    finally:
        done.set()
        thread.join()
    assert _names(results["a.py"]) == ["a"]
    assert isinstance(results["deep.py"], ir.SyntaxProblem)


# --- files that kill, stall or are too large ------------------------------------------


def test_a_single_file_that_kills_the_parser() -> None:
    ((path, problem),) = lower_all({"deep.py": TOO_DEEP})
    assert path == "deep.py"
    assert isinstance(problem, ir.SyntaxProblem)
    assert "nested too deeply" in problem.message


def test_files_that_kill_the_parser_take_no_other_file_with_them() -> None:
    texts = {f"{number}.py": f"name{number}" for number in range(40)}
    deep = {"a.py": TOO_DEEP, "b.py": "[" * 5000, "c.py": "x = " + "{1: " * 5000}
    results = dict(lower_all({**deep, **texts, "padding.py": PADDING}, jobs=2))
    for path in deep:
        problem = results.pop(path)
        assert isinstance(problem, ir.SyntaxProblem)
        assert "nested too deeply" in problem.message
    del results["padding.py"]
    assert {path: _names(lowered) for path, lowered in results.items()} == {
        path: [text] for path, text in texts.items()
    }


def test_a_file_that_takes_too_long_is_given_up() -> None:
    texts = {"slow.py": TOO_SLOW, "a.py": "a", "padding.py": PADDING}
    started = time.monotonic()
    results = dict(lower_all(texts, jobs=1, timeout=2.0))
    assert time.monotonic() - started < 30
    problem = results["slow.py"]
    assert isinstance(problem, ir.SyntaxProblem)
    assert "more than 2 seconds" in problem.message
    assert _names(results["a.py"]) == ["a"]
    assert isinstance(results["padding.py"], bytes)


def test_a_caller_that_is_slow_costs_no_file() -> None:
    texts = {f"{number}.py": f"name{number}" for number in range(6)}
    results = {}
    for path, lowered in lower_all({**texts, "padding.py": PADDING}, jobs=2, timeout=1.0):
        time.sleep(0.3)
        results[path] = lowered
    assert all(isinstance(lowered, bytes) for lowered in results.values())
    assert len(results) == 7


def test_a_huge_file_is_refused() -> None:
    ((_, problem),) = lower_all({"huge.py": "x = 1\n" * 1_000_000})
    assert isinstance(problem, ir.SyntaxProblem)
    assert "too large" in problem.message
    assert "6,000,000" in problem.message
    assert "max-file-size" in problem.remedy


def test_how_large_a_file_may_be_is_the_callers_choice() -> None:
    ((_, problem),) = lower_all({"a.py": "x = 1\n"}, largest=5)
    assert isinstance(problem, ir.SyntaxProblem)
    assert "6 characters, where 5 are allowed" in problem.message
    ((_, lowered),) = lower_all({"a.py": "x = 1\n"}, largest=6)
    assert isinstance(lowered, bytes)


def test_half_a_surrogate_pair_reaches_a_worker() -> None:
    results = dict(lower_all({"bad.py": "'\ud800'", "padding.py": PADDING}))
    assert isinstance(results["bad.py"], ir.SyntaxProblem)


def test_a_fault_of_ours_is_a_problem_of_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str) -> ir.FileIR:
        raise ZeroDivisionError(text)

    monkeypatch.setattr("rnnlint.lowering.lower.lower", fail)
    ((_, problem),) = lower_all({"a.py": "a"})
    assert isinstance(problem, ir.SyntaxProblem)
    assert "ZeroDivisionError" in problem.message


# --- the end of the run -----------------------------------------------------------------


def test_an_interrupt_ends_the_workers() -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    texts = {"padding.py": PADDING, "slow.py": TOO_SLOW, "a.py": "a"}
    with pytest.raises(KeyboardInterrupt):
        list(lower_all(texts, jobs=2, progress=interrupt))


def test_a_caller_that_stops_early_ends_the_workers() -> None:
    results = lower_all({"padding.py": PADDING, "slow.py": TOO_SLOW, "a.py": "a"}, jobs=2)
    next(results)
    results.close()  # type: ignore[attr-defined]


# --- what may be parsed in this process ---------------------------------------------------


def _nested(opening: str, middle: str, closing: str) -> Callable[[int], str]:
    return lambda depth: opening * depth + middle + closing * depth


def _repeated(start: str, link: str, end: str = "") -> Callable[[int], str]:
    return lambda length: start + link * length + end


def _indented(header: str) -> Callable[[int], str]:
    def text(depth: int) -> str:
        return "".join(" " * level + header + "\n" for level in range(depth)) + " " * depth + "x\n"

    return text


NESTINGS: dict[str, Callable[[int], str]] = {
    "parentheses": _nested("(", "a", ")"),
    "lists": _nested("[", "", "]"),
    "sets": _nested("{", "a", "}"),
    "dicts": _nested("{1: ", "a", "}"),
    "dict keys": _nested("{", "a", ": 1}"),
    "tuples": _nested("(a, ", "", ")"),
    "calls": _nested("f(", "", ")"),
    "keywords": _nested("f(a=1, b=", "1", ")"),
    "subscripts": _nested("a[", "1", "]"),
    "slices": _nested("a[1:", "2", ", 3]"),
    "unclosed": _nested("([", "", ""),
    "lambdas": _nested("lambda: ", "a", ""),
    "lambdas with parameters": _nested("lambda a, b=1: ", "a", ""),
    "minus": _nested("-", "a", ""),
    "not": _nested("not ", "a", ""),
    "sum": _repeated("a", " + a"),
    "sum over lines": _repeated("(a\n", "  + a\n", ")"),
    "sum over continued lines": _repeated("a", " \\\n + a"),
    "sum in carriage returns": _repeated("(a\r", "+ a\r", ")"),
    "sum behind a semicolon": _repeated("a; b", " + a"),
    "sum behind a colon": _repeated("if a: b", " + a"),
    "sum in an argument": _repeated("f(1, a", " + a", ", 2)"),
    "sum behind a comment": _repeated("(  # ' \\\n a", '  # "\n + a', ")"),
    "power": _repeated("a", " ** a"),
    "or": _repeated("a", " or a"),
    "comparison": _repeated("a", " not in a"),
    "attributes": _repeated("a", ".b"),
    "chained calls": _repeated("a", ".b(1, 2)"),
    "chained calls over lines": _repeated("(a\n", "  .b()\n", ")"),
    "called calls": _repeated("a", "()"),
    "chained subscripts": _repeated("a", "[0, 1]"),
    "conditional": _nested("a if b else ", "c", ""),
    "conditional on the left": _nested("(", "a", " if b else c)"),
    "strings": _repeated("x = ", "'a' "),
    "strings over lines": _repeated("(", "'a'\n", ")"),
    "formatted strings": _repeated("x = ", "f'{a}' "),
    "formatted strings within": _nested('f"{', "a", '}"'),
    "specifications": lambda depth: "f'" + "{a:" * depth + "}" * depth + "'",
    "parentheses in a formatted string": lambda depth: 'f"{' + "(" * depth + ")" * depth + '}"',
    "comprehensions": _nested("[", "a", " for a in b]"),
    "clauses": _repeated("[a", " for a, b in c", "]"),
    "conditions": _repeated("[a for a in b", " if a", "]"),
    "walrus": _nested("(a := ", "1", ")"),
    "yield": _nested("(yield ", "", ")"),
    "targets": _repeated("", "a = ", "1"),
    "elif": _repeated("if a: x\n", "elif b: x\n"),
    "if": _indented("if a:"),
    "def": _indented("def f():"),
    "class": _indented("class A:"),
    "import": _repeated("import a", ".b"),
    "patterns": lambda depth: "match a:\n case " + "[" * depth + "b" + "]" * depth + ": x\n",
    "class patterns": lambda depth: "match a:\n case " + "B(" * depth + ")" * depth + ": x\n",
    "alternatives": _repeated("match a:\n case 1", " | 1", ": x\n"),
    "annotation": _repeated("a: b", " | b"),
    "default": lambda depth: "def f(a=" + "(" * depth + ")" * depth + "): x\n",
    "type parameter": lambda depth: "def f[T: " + "(" * depth + "a" + ")" * depth + "](): x\n",
    "decorator": lambda depth: "@" + "a(" * depth + ")" * depth + "\ndef f(): x\n",
    "everything": _nested("f(a[-b(not {1: lambda: (", "1", ")})])"),
}
FLAT: dict[str, Callable[[int], str]] = {
    "statements": _repeated("", "a = b + 1\n"),
    "arguments": _repeated("f(", "a, ", ")"),
    "numbers": _repeated("[", "1, 2,\n", "]"),
    "decorators": _repeated("", "@a\n", "def f(): x\n"),
    "handlers": _repeated("try: x\n", "except A: x\n"),
    "suite": _repeated("if a:\n", "    b\n"),
    "with": lambda length: "with " + ", ".join(["a as b"] * length) + ": x\n",
}


@pytest.mark.parametrize("kind", NESTINGS)
def test_absurd_nesting_is_not_tame(kind: str) -> None:
    assert not is_tame(NESTINGS[kind](3000))
    assert is_tame(NESTINGS[kind](3))


@pytest.mark.parametrize("kind", FLAT)
def test_length_alone_is_tame(kind: str) -> None:
    assert is_tame(FLAT[kind](3000))


def test_what_is_tame_is_parsed_at_once() -> None:
    """The largest tame text of each kind, parsed where it could do no harm."""
    sizes = (5, 20, 40, 60, 80, 100, 150, 200, 300)
    texts = {
        f"{kind} {size}": text(size)
        for kind, text in NESTINGS.items()
        for size in [max(size for size in (3, *sizes) if is_tame(text(size)))]
    }
    texts |= {kind: text(1500) for kind, text in FLAT.items()}
    texts["padding"] = PADDING
    problems = [
        f"{path}: {lowered.message}"
        for path, lowered in lower_all(texts, timeout=10.0)
        if isinstance(lowered, ir.SyntaxProblem)
        and ("crashed" in lowered.message or "more than" in lowered.message)
    ]
    assert problems == []
