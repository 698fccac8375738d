"""The thread of the language server: the newest state wins, and nothing ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnlint.engine import Request, check
from rnnlint.server.state import State
from rnnlint.server.worker import SupersededError, Worker

PATIENCE = 60


class Analyses:
    """What a worker has analysed, and a gate in front of each analysis."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.done: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.has_begun = threading.Event()

    def __call__(self, state: State, check: Callable[[], None]) -> None:
        self.begun.append(state.scan)
        self.has_begun.set()
        assert self.gate.wait(PATIENCE)
        check()
        if state.scan < 0:
            raise ValueError(state.scan)
        self.done.append(state.scan)


def test_what_is_superseded_is_not_finished_and_the_newest_is() -> None:
    analyses = Analyses()
    analyses.gate.clear()
    worker = Worker(analyses)
    worker.submit(State(scan=1))
    assert analyses.has_begun.wait(PATIENCE)
    for number in range(2, 10):
        worker.submit(State(scan=number))
    answer = worker.ask(lambda: list(analyses.done))
    analyses.gate.set()
    assert answer.result(PATIENCE) == [9]
    assert analyses.begun == [1, 9]
    worker.stop()


def test_what_is_typed_quickly_is_analysed_once() -> None:
    analyses = Analyses()
    worker = Worker(analyses)
    for number in range(5):
        worker.submit(State(scan=number))
    assert worker.ask(lambda: list(analyses.done)).result(PATIENCE) == [4]
    worker.stop()


def test_a_failure_costs_one_analysis() -> None:
    analyses = Analyses()
    worker = Worker(analyses)
    worker.submit(State(scan=-1))
    assert worker.ask(lambda: list(analyses.done)).result(PATIENCE) == []
    with pytest.raises(ZeroDivisionError):
        worker.ask(lambda: 1 / 0).result(PATIENCE)
    worker.submit(State(scan=1))
    assert worker.ask(lambda: list(analyses.done)).result(PATIENCE) == [1]
    worker.stop()


def test_a_question_that_is_taken_back_is_not_answered() -> None:
    analyses = Analyses()
    analyses.gate.clear()
    worker = Worker(analyses)
    worker.submit(State(scan=1))
    assert analyses.has_begun.wait(PATIENCE)
    asked: list[int] = []
    first = worker.ask(lambda: asked.append(1))
    second = worker.ask(lambda: asked.append(2))
    assert first.cancel()
    analyses.gate.set()
    second.result(PATIENCE)
    assert asked == [2]
    worker.stop()


@pytest.mark.parametrize("after", [1, 3])
def test_an_analysis_ends_wherever_it_is(after: int, tmp_path: Path) -> None:
    """Neither what fails in an entry point nor what fails in a rule ends one."""
    loop = "\n".join(f"    x = x + {number}" for number in range(2_000))
    text = f"from torch import nn\nlayer = nn.LSTM(8, 8)\nfor x in range(9):\n{loop}\n"
    (tmp_path / "model.py").write_text(text * 2)
    stages: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)
        if stages.count("Analysing") == after:
            raise SupersededError

    with pytest.raises(SupersededError):
        check(Request(cwd=str(tmp_path), no_cache=True), progress)
