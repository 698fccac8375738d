"""What the recurrent weights of a module are like: how far they carry a signal through time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

GATES = {
    "LSTM": ("i", "f", "g", "o"),
    "GRU": ("r", "z", "n"),
    "RNN_TANH": ("h",),
    "RNN_RELU": ("h",),
}
"""The gates of a stacked weight, in PyTorch's order."""

REMEMBERING_GATE = {"LSTM": 1, "GRU": 1}
"""The gate that keeps the state where it is open: f, and z, as PyTorch's h' = (1 - z) n + z h."""

_WIDTH = 80


@dataclass(frozen=True, eq=False)
class Recurrence:
    """The weights that carry one state: of a cell, or of one layer in one direction.

    Attributes:
        path: where the layer or cell stands, as in ``named_modules``.
        layer: the layer or cell itself.
        kind: a key of :data:`GATES`.
        suffix: what the names of the parameters end in, ``_l0_reverse`` for instance.
    """

    path: str
    layer: nn.RNNBase | nn.RNNCellBase
    kind: str
    suffix: str

    @property
    def gates(self) -> tuple[str, ...]:
        return GATES[self.kind]

    @property
    def hidden_size(self) -> int:
        return self.layer.hidden_size

    @property
    def has_biases(self) -> bool:
        return self.layer.bias

    @property
    def projected_size(self) -> int:
        """The size of what an LSTM with ``proj_size`` hands on; 0 without."""
        return int(getattr(self.layer, "proj_size", 0))

    def full_name(self, role: str) -> str:
        """The name of a parameter, ``weight_hh`` for instance, as in ``named_parameters``."""
        return f"{self.path}.{role}{self.suffix}".lstrip(".")

    def parameter(self, role: str) -> nn.Parameter | None:
        """The parameter; None where the layer computes it from others, or has none."""
        own = self.layer.named_parameters(recurse=False, remove_duplicate=False)
        return dict(own).get(role + self.suffix)

    def value(self, role: str) -> Tensor:
        """A copy of the weight that the layer computes with, on the CPU, in single precision or
        better, which factorizations ask for.

        Raises:
            ValueError: the weight has no values yet.
        """
        with _evaluating(self.layer):
            weight: Tensor = getattr(self.layer, role + self.suffix).detach()
        if isinstance(weight, nn.UninitializedParameter) or weight.is_meta:
            raise ValueError(
                f"{self.full_name(role)} has no values yet: give it some first, with "
                "module.to_empty(device=...) and init_recurrent_ or load_state_dict"
            )
        # A DTensor holds one rank's share; asking for the method spares importing distributed.
        gather = getattr(weight, "full_tensor", None)
        full: Tensor = weight if gather is None else gather()
        return full.to("cpu", torch.promote_types(full.dtype, torch.float32), copy=True)


def recurrences(module: nn.Module) -> list[Recurrence]:
    """Every recurrence of a module, in the order of ``named_modules``.

    Raises:
        TypeError: it is no module.
        ValueError: there is none.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"an nn.Module is expected, and this is a {type(module).__name__}")
    found = [
        Recurrence(path, layer, kind, suffix)
        for path, layer in module.named_modules()
        if isinstance(layer, nn.RNNBase | nn.RNNCellBase) and (kind := _kind(layer)) is not None
        for suffix in _suffixes(layer)
    ]
    if not found:
        raise ValueError(
            f"there is no nn.LSTM, nn.GRU, nn.RNN or cell of theirs in this "
            f"{type(module).__name__}: pass the module that holds it, before it is scripted or "
            "quantized"
        )
    return found


def _kind(layer: nn.RNNBase | nn.RNNCellBase) -> str | None:
    if isinstance(layer, nn.RNNBase):
        return layer.mode if layer.mode in GATES else None
    if isinstance(layer, nn.LSTMCell):
        return "LSTM"
    if isinstance(layer, nn.GRUCell):
        return "GRU"
    if isinstance(layer, nn.RNNCell):
        return f"RNN_{layer.nonlinearity.upper()}"
    return None


def _suffixes(layer: nn.RNNBase | nn.RNNCellBase) -> list[str]:
    if not isinstance(layer, nn.RNNBase):
        return [""]
    directions = ("", "_reverse") if layer.bidirectional else ("",)
    return [f"_l{number}{end}" for number in range(layer.num_layers) for end in directions]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Parametrizations as in evaluation: spectral norm turns its vectors at each reading, and a
    weight dropout would be read as it fell."""
    parts = list(module.modules())
    modes = [part.training for part in parts]
    try:
        for part in parts:
            part.training = False
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


@dataclass(frozen=True)
class GateDescription:
    """One gate's block of a recurrent weight.

    Attributes:
        gate: ``i``, ``f``, ``g``, ``o`` of an LSTM; ``r``, ``z``, ``n`` of a GRU; ``h``.
        spectral_radius: the largest modulus of an eigenvalue.  With ``proj_size`` that of the
            block after the projection, ``weight_hr @ block``, since the block is not square.
        minimum: the smallest singular value.
        rms: the root mean square of the singular values: by how much the block scales a random
            vector.
        median: the median singular value.
        maximum: the largest singular value.

    All are NaN where a weight is NaN or infinite.
    """

    gate: str
    spectral_radius: float
    minimum: float
    rms: float
    median: float
    maximum: float


@dataclass(frozen=True)
class RecurrentDescription:
    """One recurrent weight: of a cell, or of one layer in one direction.

    Attributes:
        name: the full name of the weight, as in ``named_parameters``.
        kind: ``LSTM``, ``GRU``, ``RNN_TANH`` or ``RNN_RELU``.
        gates: its gates, in PyTorch's order.
        mean_forget_gate: how far the forget gate of an LSTM, or the update gate of a GRU, is open
            at zero input and zero state, between 0 and 1, on average over the units; None for a
            plain RNN.
    """

    name: str
    kind: str
    gates: tuple[GateDescription, ...]
    mean_forget_gate: float | None

    @property
    def spectral_radius(self) -> float:
        """The largest of the gates, NaN where one is."""
        radii = [gate.spectral_radius for gate in self.gates]
        return math.nan if any(map(math.isnan, radii)) else max(radii)

    def __str__(self) -> str:
        return f"{_HEADER}\n{self._rows()}"

    def _rows(self) -> str:
        after = f": {self.kind}"
        if self.mean_forget_gate is not None:
            after += f", mean forget gate {self.mean_forget_gate:.3f}"
        # The end of a long name tells more than its beginning.
        room = _WIDTH - len(after)
        name = self.name if len(self.name) <= room else "..." + self.name[3 - room :]
        return "\n".join([name + after, *map(_row, self.gates)])


class RecurrentDescriptions(tuple[RecurrentDescription, ...]):
    """Descriptions of all recurrent weights of a module; prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join([_HEADER, *(description._rows() for description in self)])


_COLUMNS = ("radius", "min", "rms", "median", "max")
_HEADER = f"{'':6}{'spectral':>10}{'singular values':>40}\n{'gate':>6}" + "".join(
    f"{column:>10}" for column in _COLUMNS
)


def _row(gate: GateDescription) -> str:
    numbers = (gate.spectral_radius, gate.minimum, gate.rms, gate.median, gate.maximum)
    return f"{gate.gate:>6}" + "".join(f"{number:>#10.4g}" for number in numbers)


@torch.no_grad()
def describe_recurrent(module: nn.Module) -> RecurrentDescriptions:
    """How far the recurrent weights of a module carry a signal, layer by layer, gate by gate.

    PyTorch's default, U(-1/sqrt(H), 1/sqrt(H)), has an RMS singular value and a spectral radius
    of 0.58 whatever the hidden size H; :func:`init_recurrent_` makes both 1.  An LSTM forgets as
    its forget gate does: at 0.5, PyTorch's default, 0.001 of a cell is left after 10 steps.

    Parametrized weights are read as the module would compute with them in evaluation, those of
    ``torch.nn.utils.weight_norm`` and pruning as of their last forward pass.  Nothing is changed.
    Every weight is copied to the CPU, and eigenvalues take time in H³: two seconds a gate at
    H = 1024.  Sharded weights are gathered, so call it on all ranks.

    Args:
        module: any module with ``nn.LSTM``, ``nn.GRU``, ``nn.RNN`` or their cells inside.

    Returns:
        One description a layer and direction, or a cell, in the order of ``named_modules``:
        a tuple, which prints as a table.

    Raises:
        TypeError: ``module`` is no module.
        ValueError: it holds nothing recurrent, or a weight has no values yet.
    """
    return RecurrentDescriptions(map(_describe, recurrences(module)))


def _describe(recurrence: Recurrence) -> RecurrentDescription:
    projection = recurrence.value("weight_hr") if recurrence.projected_size else None
    blocks = recurrence.value("weight_hh").chunk(len(recurrence.gates))
    return RecurrentDescription(
        name=recurrence.full_name("weight_hh"),
        kind=recurrence.kind,
        gates=tuple(
            _describe_gate(gate, block, block if projection is None else projection @ block)
            for gate, block in zip(recurrence.gates, blocks, strict=True)
        ),
        mean_forget_gate=_mean_forget_gate(recurrence),
    )


def _describe_gate(gate: str, block: Tensor, square: Tensor) -> GateDescription:
    # The routines of LAPACK raise on these, and a network that diverged is worth describing.
    if not bool(torch.isfinite(block).all() & torch.isfinite(square).all()):
        return GateDescription(gate, *[math.nan] * 5)
    singular = torch.linalg.svdvals(block)
    return GateDescription(
        gate,
        spectral_radius=float(torch.linalg.eigvals(square).abs().max()),
        minimum=float(singular.min()),
        rms=float(singular.square().mean().sqrt()),
        median=float(singular.quantile(0.5)),
        maximum=float(singular.max()),
    )


def _mean_forget_gate(recurrence: Recurrence) -> float | None:
    number = REMEMBERING_GATE.get(recurrence.kind)
    if number is None:
        return None
    if not recurrence.has_biases:
        return 0.5
    biases = recurrence.value("bias_ih") + recurrence.value("bias_hh")
    return float(biases.chunk(len(recurrence.gates))[number].sigmoid().mean())
