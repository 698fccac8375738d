"""The companion as a whole: what it exports, and that it needs torch and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rnnlint.runtime

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).parent.parent
MODULES = sorted(
    path.stem if path.is_file() else path.name
    for path in (CHECKOUT / "rnnlint" / "runtime").iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem != "__init__"
)


def run(program: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done.stderr
    return done.stdout + done.stderr


def test_without_torch_it_says_how_to_get_it() -> None:
    said = run("import sys; sys.modules['torch'] = None; import rnnlint.runtime", expect=1)
    assert "pip install 'rnnlint[runtime]'" in said


def test_it_imports_torch_and_nothing_of_the_analyser() -> None:
    said = run(
        "import sys, rnnlint.runtime.plugins\n"
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('libcst', 'msgspec', 'click', 'accelerate', 'ignite', 'lightning', 'pytorch_lightning', "
        "'skorch', 'transformers') or "
        "name.startswith('rnnlint.') and not name.startswith('rnnlint.runtime')])"
    )
    assert said.strip() == "[]"


def test_without_its_framework_a_plugin_says_how_to_get_it() -> None:
    said = run(
        "import sys\n"
        "from importlib import import_module\n"
        "for name in 'ignite', 'lightning', 'pytorch_lightning', 'skorch', 'transformers':\n"
        "    sys.modules[name] = None\n"
        "for plugin in 'ignite', 'lightning', 'skorch', 'huggingface':\n"
        "    try:\n"
        "        import_module(f'rnnlint.runtime.plugins.{plugin}').RNNLintCallback()\n"
        "    except ImportError as error:\n"
        "        print(str(error).split(': ')[1])\n"
    )
    extras = ["ignite", "lightning", "skorch", "transformers"]
    assert said.splitlines() == [f"pip install 'rnnlint[{extra}]'" for extra in extras]
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_a_page(module: str) -> None:
    documented = __import__(f"rnnlint.runtime.{module}", fromlist=["_"]).__doc__
    assert documented is not None and documented.strip()


def test_what_is_exported_is_there_and_documented() -> None:
    assert rnnlint.runtime.__all__ == sorted(rnnlint.runtime.__all__)
    for name in rnnlint.runtime.__all__:
        assert getattr(rnnlint.runtime, name).__doc__, name
