"""The sift: which files are worth parsing, found without parsing any."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from rnnlint.diagnostic import Notice
from rnnlint.project.discovery import ProjectFile
from rnnlint.project.sift import SiftResult, sift

LSTM = "import torch.nn as nn\n\n\nclass Net(nn.Module):\n    layer = nn.LSTM(1, 2)\n"


def sifted(files: Mapping[str, str | bytes]) -> SiftResult:
    """The sift of a project with these files."""
    contents = {p: t.encode() if isinstance(t, str) else t for p, t in files.items()}
    listed = [ProjectFile(path, 1, len(data)) for path, data in contents.items()]
    return sift(listed, contents.__getitem__)


@pytest.mark.parametrize(
    "program",
    [
        "import torch\nx = torch.nn.LSTM(1, 2)",
        "from torch import nn\nx = nn.GRUCell(1, 2)",
        "import torch.nn as tnn\nclass R(tnn.RNN): pass",
        "from torch.nn import (\n    Linear,\n    LSTM as L,\n)",
        "from torch.nn import Linear, \\\n    GRU",
        "from torch.nn.modules.rnn import RNNBase",
        "from torch.nn import *\nx = LSTM(1, 2)",
        "from torch import nn\nx = getattr(nn, args.cell)(1, 2)",
        "import torch\nx = getattr(torch.nn, 'LS' + 'TM')",
        "from torch import nn\nx = nn.__dict__[kind]",
        "import torch\nx = eval('nn.' + kind)",
        "import torch\nx = eval(f'nn.{kind}')",
        "from torch.nn.utils.rnn import pack_padded_sequence",
        "from fastai.text.all import *\nlearn = text_classifier_learner(dls, arch)",
        "from common import *\nx = nn.LSTM(1, 2)",
    ],
)
def test_a_recurrent_layer_is_seen_however_it_is_named(program: str) -> None:
    assert sifted({"a.py": program}).recurrent == ("a.py",)


@pytest.mark.parametrize(
    "program",
    [
        "",
        "import torch\n# an LSTM or a GRU would do as well\nx = torch.nn.Linear(1, 2)",
        "from tensorflow.keras import layers\nx = layers.LSTM(2)",
        "import torch\nx = getattr(nn, self.activation)()",
        "import torch\nfrom torch.nn.utils.rnn import pad_sequence",
        "import torch\nlearner = journey",
        "import torch\nx = models.FasterRCNN()",
    ],
)
def test_other_programs_are_not_recurrent(program: str) -> None:
    result = sifted({"a.py": program})
    assert result.recurrent == ()
    assert result.selected == ()


def test_importers_are_followed_upwards_through_names() -> None:
    result = sifted(
        {
            "pkg/__init__.py": "from .net import Net as Model\nfrom .other import Thing\n",
            "pkg/net.py": LSTM,
            "pkg/other.py": "class Thing: pass",
            "build.py": "from pkg import Model\ndef build():\n    return Model()\n",
            "main.py": "import build\nbuild.build()\n",
            "unrelated.py": "from pkg import Thing\nThing()\n",
        }
    )
    assert set(result.selected) == {"pkg/__init__.py", "pkg/net.py", "build.py", "main.py"}
    assert result.recurrent == ("pkg/net.py",)
    assert result.reasons["build.py"] == "imports a recurrent name from pkg/__init__.py"


def test_only_what_is_built_on_a_recurrent_name_counts() -> None:
    result = sifted(
        {
            "layers.py": LSTM + "\n\ndef clean(text):\n    return text.strip()\n",
            "text.py": "from layers import clean\nclean('a')\n",
            "module.py": "import layers\nlayers.clean('a')\n",
            "train.py": "import layers\nlayers.Net()\n",
            "chosen.py": "import layers\nnet = getattr(layers, kind)()\n",
            "starred.py": "from layers import *\n",
        }
    )
    assert set(result.selected) == {"layers.py", "train.py", "chosen.py", "starred.py"}


def test_modules_are_followed_through_packages() -> None:
    result = sifted(
        {
            "pkg/__init__.py": "",
            "pkg/models/__init__.py": "from . import net\n",
            "pkg/models/net.py": LSTM,
            "a.py": "import pkg.models.net\npkg.models.net.Net()\n",
            "b.py": "from pkg.models import net as n\nn.Net()\n",
            "c.py": "import pkg.models as m\nm.net.Net()\n",
            "d.py": "import pkg\nlogging.getLogger('pkg')\npkg.version\n",
        }
    )
    assert {"a.py", "b.py", "c.py"} <= set(result.selected)
    assert "d.py" not in result.selected


def test_a_decorated_registered_class_is_a_name_as_well() -> None:
    result = sifted(
        {
            "net.py": "from torch import nn\n@register('lstm')\nclass Net(nn.LSTM):\n    pass\n",
            "zoo.py": "from net import Net\nZOO: dict = {'lstm': Net}\n",
            "train.py": "from zoo import ZOO\nZOO[kind]()\n",
        }
    )
    assert result.selected == ("net.py", "train.py", "zoo.py")


def test_files_that_are_imported_come_along() -> None:
    result = sifted(
        {
            "net.py": LSTM,
            "train.py": "from net import Net\nfrom data import loader\nimport settings\n",
            "settings.py": "HIDDEN = 3\n",
            "data.py": "from collating import pad\nfrom strings import strip\nloader = 1\n",
            "collating.py": "def pad(batch):\n    return pad_sequence(batch)\n",
            "strings.py": "def strip(text):\n    return text\n",
        }
    )
    assert set(result.selected) == {"net.py", "train.py", "settings.py", "data.py", "collating.py"}
    assert result.reasons["collating.py"] == "imported by data.py"


def test_imported_names_are_followed_through_reexports() -> None:
    result = sifted(
        {
            "net.py": LSTM,
            "train.py": "from net import Net\nfrom lib import load, short\n",
            "lib/__init__.py": "from .far import *\nfrom .near import long as short\n",
            "lib/far.py": "from .further import load\n",
            "lib/further.py": "def load(): pass\n",
            "lib/near.py": "def long(): pass\n",
            "lib/unused.py": "def unused(): pass\n",
        }
    )
    assert set(result.selected) == {
        "net.py",
        "train.py",
        "lib/__init__.py",
        "lib/far.py",
        "lib/further.py",
        "lib/near.py",
    }


def test_mutual_imports_and_circular_reexports_end() -> None:
    result = sifted(
        {
            "a.py": "from b import *\nfrom b import g\n" + LSTM,
            "b.py": "from a import *\nfrom a import h, Net\n",
            "c.py": "from c import c\nimport c\nfrom a import missing\n",
        }
    )
    assert result.selected == ("a.py", "b.py")


def notebook(*cells: str) -> str:
    listed = [{"cell_type": "code", "source": cell} for cell in cells]
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": listed})


def test_notebooks_take_part() -> None:
    result = sifted(
        {
            "net.py": LSTM,
            "train.ipynb": notebook("!ls", "from net import Net\nimport data\n", "Net()"),
            "data.py": "",
            "other.ipynb": notebook("import pandas"),
            "lstm.ipynb": notebook("import torch", "torch.nn.LSTM(1, 2)"),
            "prose.ipynb": notebook("import torch").replace("}]", ', "outputs": ["nn.LSTM("]}]'),
        }
    )
    assert result.selected == ("data.py", "lstm.ipynb", "net.py", "train.ipynb")


def test_what_cannot_be_read_is_told_and_the_rest_goes_on() -> None:
    files = [ProjectFile(path, 1, 1) for path in ("absent.py", "net.py", "null.py", "x.ipynb")]
    absent = Notice("absent.py", "cannot be read", fatal=True)
    contents: dict[str, bytes | Notice] = {
        "absent.py": absent,
        "net.py": LSTM.encode(),
        "null.py": b"\0",
        "x.ipynb": b"{",
    }
    result = sift(files, contents.__getitem__)
    assert result.selected == ("net.py",)
    assert [notice.path for notice in result.notices] == ["absent.py", "null.py", "x.ipynb"]
    assert result.notices[0] == absent
    assert all(notice.fatal for notice in result.notices)


def test_unchanged_files_are_not_read_for_the_survey() -> None:
    contents = {"net.py": LSTM.encode(), "other.py": b"import os\n", "bad.py": b"\0"}
    read: list[str] = []

    def reader(path: str) -> bytes:
        read.append(path)
        return contents[path]

    files = [ProjectFile(path, 1, len(data)) for path, data in contents.items()]
    first = sift(files, reader)
    assert set(read) == set(contents)
    read.clear()
    again = sift(files, reader, first.records)
    assert again == first
    assert "other.py" not in read
    assert "bad.py" not in read


def test_a_touched_file_keeps_its_facts_and_an_edited_one_does_not() -> None:
    first = sift([ProjectFile("net.py", 1, len(LSTM))], lambda _: LSTM.encode())
    touched = sift([ProjectFile("net.py", 2, len(LSTM))], lambda _: LSTM.encode(), first.records)
    assert touched.records["net.py"].digest == first.records["net.py"].digest
    assert touched.records["net.py"].mtime_ns == 2
    edited = sift([ProjectFile("net.py", 3, 1)], lambda _: b"x", touched.records)
    assert edited.selected == ()
    assert edited.records["net.py"].digest != first.records["net.py"].digest
