"""What all tests share: the flag that rewrites goldens, and the comparison with one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Processes of tests that share the processors take one each, and torch would take them all.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

GOLDENS = Path(__file__).parent / "goldens"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens",
        action="store_true",
        help="write what the tests get to tests/goldens/ instead of comparing it",
    )
    parser.addoption(
        "--update-fixtures",
        action="store_true",
        help="write what is found into the assertions of fixtures/*.md instead of comparing it",
    )


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether goldens are to be rewritten."""
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture
def update_fixtures(request: pytest.FixtureRequest) -> bool:
    """Whether the assertions of fixtures are to be rewritten."""
    return bool(request.config.getoption("--update-fixtures"))


@pytest.fixture
def golden(update_goldens: bool) -> Callable[[str, str], None]:
    """Compare a text with the golden of a name, `golden("full.txt", text)`."""

    def compare(name: str, text: str) -> None:
        path = GOLDENS / name
        if update_goldens:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode())
        assert path.is_file(), f"there is no golden {name}; run pytest --update-goldens"
        assert text == path.read_bytes().decode(), f"{name} differs; see pytest --update-goldens"

    return compare
