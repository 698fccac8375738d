"""What the bytes of one file tell without parsing it.

These facts depend on the file's content alone, so that the cache can keep them by its digest.
They decide which files are worth parsing: they may say yes too often, and hardly ever no wrongly.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

import msgspec

from rnnlint.project.imports import ModuleImport, module_imports
from rnnlint.project.notebook import NotebookError, notebook_program


class FileFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The facts that are gathered for every file of a project."""

    recurrent: bool
    """Whether the file seems to build or name a recurrent layer of PyTorch."""
    imports: tuple[ModuleImport, ...] = ()
    problem: str = ""
    """Why nothing could be learned, "" when all is well."""
    problem_is_fatal: bool = True


class Block(msgspec.Struct, frozen=True, gc=False):
    """A top-level statement with what it defines and what it mentions."""

    start: int
    """Where it begins in the program."""
    text: str
    names: tuple[str, ...]


def program_bytes(path: str, data: bytes) -> bytes:
    """The Python in a file: its bytes, or the program of a notebook.

    Raises:
        NotebookError: the notebook cannot be read.
    """
    return notebook_program(data)[0].encode() if path.endswith(".ipynb") else data


def facts_of(path: str, data: bytes) -> FileFacts:
    """The facts about the file at `path`, which holds `data`."""
    try:
        program = program_bytes(path, data)
    except NotebookError as error:
        return FileFacts(False, problem=str(error), problem_is_fatal=not error.foreign)
    if b"\0" in program:
        return FileFacts(False, problem="contains null bytes, so it is not Python source")
    return FileFacts(mentions_recurrence(program), module_imports(program))


# --- recurrent layers --------------------------------------------------------------

_FRAMEWORKS = (
    b"torch",
    b"lightning",
    b"fastai",
    b"skorch",
    b"transformers",
    b"accelerate",
    b"ignite",
    b"import *",  # a star import can bring `nn` along
)
# Each expression begins with a literal, which makes the search for it fast.
_SUFFIX = rb"(?:Cell|CellBase|Base)?\b"
_LAYERS = tuple(re.compile(rb"\." + kind + _SUFFIX) for kind in (b"LSTM", b"GRU", b"RNN"))
_LAYER_NAME = re.compile(rb"\b(?:LSTM|GRU|RNN)" + _SUFFIX)
# The bounds keep a hostile file from being read again for each of its words.
_LAYER_IMPORT = re.compile(rb"torch\.nn[\w.]{0,200}[ \t]{1,200}import\b[ \t]*")
_IMPORTED_NAMES = re.compile(rb"\([^)]*|[^\n(\\]*(?:\\(?:\r?\n)?[^\n(\\]*)*")
_LONGEST_LIST = 8_000
_STAR_IMPORT = re.compile(rb"torch\.nn[\w.]{0,200}[ \t]{1,200}import[ \t]{1,200}\*")
_BARE_LAYER = re.compile(rb"\b(?:LSTM|GRU|RNN)(?:Cell)?[ \t]*[(,)\]}]")
_CHOSEN_LAYER = re.compile(
    # Activations, norms and losses are chosen in this way too, and by far more often.
    rb"getattr\(\s*[\w.]*\bnn\s*,(?!\s*[\w.'\"\[\]]*(?:[aA]ct|[nN]orm|[lL]oss|[cC]rit|[pP]ool))"
)
_TELLING = (
    # a layer whose name is only known when the program runs
    b"nn.__dict__",
    b"vars(nn)",
    b"'nn.'",
    b'"nn."',
    b"nn.{",
    # the module of the layers
    b"modules.rnn",
    b"modules import rnn",
    # what only makes sense with a recurrent layer
    b"pack_padded_sequence",
    b"pad_packed_sequence",
    b"pack_sequence",
    b"PackedSequence",
    # what other libraries build recurrent models with
    b"AWD_LSTM",
    b"AWD_QRNN",
    b"text_classifier_learner",
    b"language_model_learner",
    b"get_text_classifier",
    b"get_language_model",
    b"PytorchSeq2SeqWrapper",
    b"PytorchSeq2VecWrapper",
)
_TRAINING = re.compile(
    r"pad_|padd|_pad|collate|batchify|DataLoader|Dataset|Iterator|clip_grad|clip_value|nn\.init"
    r"|init\.|xavier|orthogonal|kaiming|optim|scheduler|lr_|backward|add_argument|forward"
    r"|lengths|seq_len|LightningDataModule|\.step\("
)


def mentions_recurrence(program: bytes) -> bool:
    """Whether a program seems to build or name a recurrent layer of PyTorch."""
    return any(name in program for name in _FRAMEWORKS) and names_layer(program)


def names_layer(program: bytes) -> bool:
    """Whether a piece of a program that uses PyTorch names a recurrent layer."""
    if any(layer.search(program) is not None for layer in _LAYERS):
        return True
    if any(word in program for word in _TELLING):
        return True
    if _CHOSEN_LAYER.search(program) is not None:
        return True
    return _imports_layer(program) or _names_starred_layer(program)


def _imports_layer(program: bytes) -> bool:
    """Whether a recurrent layer stands in the list of names of an import from `torch.nn`."""
    layers: list[int] | None = None
    for statement in _LAYER_IMPORT.finditer(program):
        if layers is None:
            layers = [name.start() for name in _LAYER_NAME.finditer(program)]
        following = bisect_left(layers, statement.end())
        if following == len(layers):
            return False
        names = _IMPORTED_NAMES.match(program, statement.end(), statement.end() + _LONGEST_LIST)
        if names is not None and layers[following] < names.end():
            return True
    return False


def _names_starred_layer(program: bytes) -> bool:
    """Whether a recurrent layer is named without its module behind a star import."""
    star = _STAR_IMPORT.search(program)
    return star is not None and _BARE_LAYER.search(program, star.end()) is not None


def mentions_training(program: str) -> bool:
    """Whether a program, or a part of one, has to do with data, training or configuration."""
    return _TRAINING.search(program) is not None


# --- top-level statements -------------------------------------------------------------

_BLOCK_START = re.compile(
    # The line end makes a literal prefix, which is much faster to search for than `^`.
    r"\n(?:(?:async[ \t]+)?(?:def|class)[ \t]+(?P<defined>\w+)"
    r"|(?P<assigned>\w+)[ \t]*(?::[^=\n]+)?=(?!=)"
    r"|(?P<decorator>@)"
    r"|(?:if|for|while|with|try|else|elif|except|finally|import|from|print)\b)"
)
_INNER_DEFINITION = re.compile(
    r"\n(?: {1,4}|\t)(?:(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)|(\w+)[ \t]*=(?!=))"
)


def top_level_blocks(program: str) -> tuple[Block, ...]:
    """The top-level statements of a program, as far as the start of its lines shows them."""
    # The line end in front lets the first line match; offsets of lines are those of the
    # line ends before them, and so those in the program as it was.
    program = "\n" + program
    starts = list(_BLOCK_START.finditer(program))
    ends = [*(match.start() for match in starts), len(program)][1:]
    blocks: list[Block] = []
    begin: int | None = None
    for match, end in zip(starts, ends, strict=True):
        begin = match.start() if begin is None else begin
        if match["decorator"]:
            continue  # the decorators belong to what they decorate
        text = program[begin:end]
        name = match["defined"] or match["assigned"]
        names = _inner_names(text) if not name else () if name == "__all__" else (name,)
        blocks.append(Block(begin, text, names))
        begin = None
    return tuple(blocks)


def mentions_name(text: str, name: str) -> bool:
    """Whether an identifier stands in a text."""
    return name in text and re.search(rf"\b{re.escape(name)}\b", text) is not None


def _inner_names(text: str) -> tuple[str, ...]:
    """What a compound statement defines in its branches."""
    return tuple(first or second for first, second in _INNER_DEFINITION.findall(text))


_IMPORT_LINE = re.compile(r"[ \t\f]*(?:import|from) ")
_LONGEST_CALL = 8_000


def module_uses(program: str, handle: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Where a program uses a module that it holds as `handle`, and with which attributes.

    There are none where the module is taken for a value: `getattr(models, kind)`.
    """
    pattern = re.compile(rf"{re.escape(handle)}\b((?:\.\w+)*)")
    searched, imports = 0, _IMPORT_LINE.match(program) is not None
    for match in pattern.finditer(program):
        # Of a long line each stretch is searched once.
        line_end = program.rfind("\n", searched, match.start())
        if line_end >= 0:
            imports = _IMPORT_LINE.match(program, line_end + 1) is not None
        searched = match.start()
        before = program[match.start() - 1 : match.start()]
        if imports or before == "." or before == "_" or before.isalnum():
            continue
        attributes = tuple(match[1].split(".")[1:])
        if attributes and attributes[0] != "__dict__":
            yield match.start(), attributes
        elif attributes or _is_argument(program, match.start(), match.end()):
            yield match.start(), ()


def _is_argument(program: str, start: int, end: int) -> bool:
    """Whether a name stands between brackets or commas, and not in a list of imports."""
    if program[end : end + 1] not in (",", ")") or program[start - 1] not in ("(", ",", " ", "="):
        return False
    opening = program.rfind("(", max(start - _LONGEST_CALL, 0), start)
    return opening >= 0 and not program[max(opening - 9, 0) : opening].rstrip().endswith("import")
