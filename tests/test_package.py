"""What is built and installed is what stands in the tree, and it runs from everywhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest
from published import USED
from trained import TAGGER, TAGGING

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).parent.parent
NEVER_COPIED = (
    ".git",
    ".venv*",
    "node_modules",
    "*_cache",
    ".hypothesis",
    "__pycache__",
    "build",
    "dist",
)


def run(*command: str | Path, cwd: Path, expect: int = 0) -> str:
    completed = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert completed.returncode == expect, completed.stdout + completed.stderr
    return completed.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, so that nothing is built in the tree."""
    target = tmp_path_factory.mktemp("checkout") / "rnnlint"
    shutil.copytree(CHECKOUT, target, ignore=shutil.ignore_patterns(*NEVER_COPIED, "*.egg-info"))
    return target


@pytest.fixture(scope="module")
def sdist(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, and beside it the wheel that is built from it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ".", cwd=copy)
    (archive,) = out.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    (archive,) = sdist.parent.glob("*.whl")
    return archive


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small training project with one finding of RNN503."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text('[project]\nname = "tagger"\n')
    (folder / "model.py").write_text(TAGGER)
    (folder / "train.py").write_text(TAGGING)
    return folder


def packages_in_the_tree() -> set[str]:
    found = {
        ".".join(file.parent.relative_to(CHECKOUT).parts)
        for file in (CHECKOUT / "rnnlint").rglob("*.py")
    }
    return found | {"rnnlint.rules"}


def modules_in_the_tree() -> set[str]:
    """All modules, by the path that they have when installed."""
    ours = {f.relative_to(CHECKOUT).as_posix() for f in (CHECKOUT / "rnnlint").rglob("*.py")}
    return ours | {f"rnnlint/rules/{f.name}" for f in (CHECKOUT / "rules").glob("*.py")}


def files_in_the_tree(*folders: str) -> set[str]:
    return {
        file.relative_to(CHECKOUT).as_posix()
        for folder in folders
        for file in (CHECKOUT / folder).rglob("*")
        if file.is_file() and not _is_cache(file.relative_to(CHECKOUT).parts)
    }


def _is_cache(parts: Iterable[str]) -> bool:
    return any(part == "__pycache__" or part.endswith("_cache") for part in parts)


def test_every_package_is_listed() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    assert set(listed) == packages_in_the_tree()
    assert listed == sorted(listed)


def test_the_wheel_holds_the_modules_of_the_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = {name for name in names if name.endswith(".py")}
    assert modules == modules_in_the_tree()
    html = "rnnlint/reporting/html"
    assert {"rnnlint/py.typed", f"{html}/style.css", f"{html}/script.js"} <= set(names)
    assert {PurePosixPath(name).parts[0] for name in names if ".dist-info" not in name} == {
        "rnnlint"
    }


def test_the_sdist_holds_rules_fixtures_and_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {
            PurePosixPath(*PurePosixPath(member.name).parts[1:]).as_posix()
            for member in archive.getmembers()
            if member.isfile()
        }
    expected = files_in_the_tree(
        "rnnlint", "rules", "fixtures", "tests", "benchmarks", "docs", ".ci"
    )
    assert expected <= names
    assert not [name for name in names if _is_cache(name.split("/"))]
    assert {"LICENSE", "README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md"} <= names
    assert {"mkdocs.yml", ".readthedocs.yaml", *USED} <= names


def make_environment(folder: Path) -> Path:
    """A clean environment that sees the dependencies of this one, and no rnnlint.

    A path in a .pth file adds this environment's packages, but not the editable
    installation of rnnlint, which would need its own .pth file to be read.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=paths))
    packages.joinpath("dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Path(sysconfig.get_path("scripts", vars=paths))


def install(scripts: Path, *what: str | Path) -> None:
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", scripts / "python", "--quiet"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
    run(*pip, "install", *offline, *what, cwd=scripts)


def assert_works(command: list[str | Path], project: Path, cwd: Path) -> None:
    """`command` knows every rule, and finds what is wrong with the project."""
    pages = run(*command, "rule", "--all", cwd=cwd)
    stems = [file.stem for file in (CHECKOUT / "rules").glob("rnn*.py")]
    assert stems
    for stem in stems:
        code, _, name = stem.partition("_")
        assert code.upper() in pages
        assert name.replace("_", "-") in pages
    checked = run(*command, "check", "--no-cache", project, cwd=cwd, expect=1)
    assert "RNN503" in checked


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_it_runs_from_a_clean_environment(
    kind: str, request: pytest.FixtureRequest, copy: Path, project: Path, tmp_path: Path
) -> None:
    scripts = make_environment(tmp_path / "environment")
    what: list[str | Path] = (
        ["--editable", copy] if kind == "editable" else [request.getfixturevalue(kind)]
    )
    install(scripts, *what)
    assert_works([scripts / "rnnlint"], project, cwd=project)


def test_it_runs_from_a_bare_checkout(copy: Path, project: Path, tmp_path: Path) -> None:
    scripts = make_environment(tmp_path / "environment")
    assert_works([scripts / "python", "-m", "rnnlint"], project, cwd=copy)
