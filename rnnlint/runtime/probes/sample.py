"""A batch as the probes see it: what its parts are, and how it can be changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeAlias, TypedDict

from torch import Tensor, nn

from rnnlint.runtime.lengths import Lengths, resolve_lengths
from rnnlint.runtime.probes.layout import (
    Layout,
    OptionError,
    Real,
    Source,
    evident_padding,
    find_layout,
    find_lengths,
    find_masks,
)
from rnnlint.runtime.probes.preserving import Snapshot
from rnnlint.runtime.probes.structure import Leaves, Path, changed, is_leaf, leaves, selected

Loss: TypeAlias = Callable[[Any, Any], Tensor]
Call: TypeAlias = Callable[[nn.Module, Any], Any]

TARGETS = ("target", "targets", "label", "labels", "y")


class Options(TypedDict, total=False):
    """How a model is called, and what a batch means, where it cannot be seen.

    Attributes:
        call: ``call(model, batch)`` returns what the model does on a batch, where that is not
            ``model(*inputs)``, or ``model(**inputs)`` of a dictionary.
        target: the key or the position of the target, where it is not the last item, nor under
            one of the keys ``target``, ``targets``, ``label``, ``labels``, ``y``.
        batch_first: whether the batch is the first axis of the input, or the second; told by
            targets and lengths where it can be.
        lengths: what is real in this batch, where no input says so: lengths or a mask, as
            everywhere in :mod:`rnnlint.runtime`.
        padding_value: what padding is filled with; what already stands there, else the
            ``padding_idx`` of the embedding, else zero.
        causal: whether each output must be told by the past alone.  Taken for granted where the
            target is the input, shifted by one step.
    """

    call: Call | None
    target: int | str | None
    batch_first: bool | None
    lengths: Lengths | None
    padding_value: float | None
    causal: bool | None


class NotApplicable(Exception):  # noqa: N818 - it is none
    """Why a probe cannot be made on this model or batch."""


class Sample:
    """A batch, and how a model takes it.

    Args:
        model: the model.
        batch: what the loader yields.
        loss: ``loss(output, target)``; None where the model returns its loss itself.
        options: see :class:`Options`.
        snapshot: the model's.

    Raises:
        TypeError: an option has another name.
    """

    def __init__(
        self, model: nn.Module, batch: Any, loss: Loss | None, options: Options, snapshot: Snapshot
    ) -> None:
        unknown = sorted(set(options) - set(Options.__annotations__))
        if unknown:
            raise TypeError(
                f"there is no option {unknown[0]!r}: {', '.join(Options.__annotations__)} are"
            )
        self.model = model
        self.batch = batch
        self.loss = loss
        self.options = options
        self.snapshot = snapshot
        self.call = options.get("call")
        self._forward = _parameters(model)
        self._target = self._target_place()

    @cached_property
    def inputs(self) -> Leaves:
        """The leaves of the batch that are not the target's."""
        found = leaves(self.batch)
        if self._target is None:
            return found
        return {path: leaf for path, leaf in found.items() if path[:1] != (self._target,)}

    @cached_property
    def names(self) -> dict[Path, str]:
        """The names of the inputs, where keys or the parameters of ``forward`` tell them."""
        names = {}
        for path in self.inputs:
            keys = [part for part in path if isinstance(part, str)]
            place = self._argument_place(path)
            if keys:
                names[path] = keys[-1]
            elif place is not None and place < len(self._forward):
                names[path] = self._forward[place].name
        return names

    def name(self, path: Path) -> str:
        """What an input is called in messages."""
        return self.names.get(path) or f"batch{''.join(f'[{part!r}]' for part in path)}"

    @cached_property
    def layout(self) -> Layout:
        """Where batch and time are.

        Raises:
            OptionError: nothing tells.
            NotApplicable: the batch has no such axes.
        """
        found = find_layout(
            self.inputs,
            self.target_of(self.batch),
            self.names,
            self.options.get("batch_first"),
            any(isinstance(module, nn.Conv1d) for module in self.snapshot.modules),
        )
        if found is None:
            raise NotApplicable("no input has the axes of batch and time")
        return found

    @cached_property
    def real(self) -> Real | None:
        """What is real in the batch; None where nothing says that it is padded."""
        layout = self.layout
        lengths = dict(find_lengths(self.inputs, layout, self.names))
        masks = list(find_masks(self.inputs, layout, self.names))
        sources: dict[Path, Source] = {
            **dict.fromkeys(lengths, "lengths"),
            **{path: "mask" for path, _, _ in masks},
        }
        if masks:
            _, mask, side = masks[0]
            return Real(mask.sum(1), side, sources)
        main = self.inputs[layout.main]
        evident = (
            evident_padding(main, layout, self._padding_index) if isinstance(main, Tensor) else None
        )
        given = self.options.get("lengths")
        if given is not None or lengths:
            counts = next(iter(lengths.values())) if given is None else self._given_lengths(given)
            return Real(counts, "right" if evident is None else evident[1], sources)
        return None if evident is None else Real(*evident, sources)

    def _given_lengths(self, given: Lengths) -> Tensor:
        try:
            return resolve_lengths(given, batch=self.layout.sequences, steps=self.layout.steps)
        except ValueError as error:
            raise OptionError(f"lengths=: {error}") from error

    @cached_property
    def padding_value(self) -> float:
        """What the padding of the main input is filled with."""
        chosen = self.options.get("padding_value")
        if chosen is not None:
            return chosen
        standing = self._standing_padding()
        if standing is not None:
            return standing
        main = self.inputs[self.layout.main]
        is_ids = isinstance(main, Tensor) and not main.is_floating_point()
        return float(self._padding_index or 0) if is_ids else 0.0

    def _standing_padding(self) -> float | None:
        layout, real = self.layout, self.real
        main = self.inputs[layout.main]
        if real is None or not isinstance(main, Tensor):
            return None
        steps = main.detach().cpu().movedim((layout.batch_axis, layout.time_axis), (0, 1))
        padding = steps[~real.mask(layout.steps)]
        if padding.numel() and bool((padding == padding.flatten()[0]).all()):
            return float(padding.flatten()[0])
        return None

    @property
    def _padding_index(self) -> int | None:
        """The ``padding_idx`` of the model's embeddings, where they agree."""
        declared = {
            module.padding_idx
            for module in self.snapshot.modules
            if isinstance(module, nn.Embedding) and module.padding_idx is not None
        }
        return declared.pop() if len(declared) == 1 else None

    def target_of(self, batch: Any) -> Any:
        """The target in a batch; the batch itself where it has none."""
        return batch if self._target is None else batch[self._target]

    @property
    def has_target(self) -> bool:
        """Whether a part of the batch is the target."""
        return self._target is not None

    def changed(self, change: Callable[[Path, Any], Any]) -> Any:
        """The batch with other inputs."""
        inputs = self.inputs

        def change_input(path: Path, leaf: Any) -> Any:
            return change(path, leaf) if path in inputs else leaf

        return changed(self.batch, change_input)

    def selected(self, index: list[int]) -> Any:
        """The batch, or other sequences of it, by their places; targets go with them."""
        layout = self.layout

        def select(path: Path, leaf: Any) -> Any:
            axis = layout.batch_axis_of(leaf)
            return leaf if axis is None else selected(leaf, axis, index)

        return changed(self.batch, select)

    def _target_place(self) -> int | str | None:
        batch, chosen = self.batch, self.options.get("target")
        if isinstance(batch, Mapping):
            keys = [key for key in TARGETS if key in batch]
            if chosen is not None or (self.loss is None and self.call is None):
                return chosen
            return keys[0] if len(keys) == 1 else None
        if is_leaf(batch) or not isinstance(batch, (tuple, list)) or len(batch) < 2:
            return None
        place = len(batch) - 1 if chosen is None else range(len(batch))[int(chosen)]
        return None if chosen is None and self._takes_all(len(batch)) else place

    def _takes_all(self, count: int) -> bool:
        """Whether the model takes the target, and returns its loss."""
        if self.loss is not None or self.call is not None or len(self._forward) < count:
            return False
        last = self._forward[count - 1]
        return last.default is inspect.Parameter.empty or last.name in TARGETS

    def _arguments(self, batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if isinstance(batch, Mapping):
            return (), {key: part for key, part in batch.items() if key != self._target}
        if self._is_whole(batch):
            return (batch,), {}
        inputs = tuple(part for place, part in enumerate(batch) if place != self._target)
        if len(inputs) == 1 and self._is_spread(inputs[0]):
            return ((), dict(inputs[0])) if isinstance(inputs[0], Mapping) else (inputs[0], {})
        return inputs, {}

    def _argument_place(self, path: Path) -> int | None:
        """Which positional argument of the model an input is."""
        if self.call is not None or isinstance(self.batch, Mapping):
            return None
        if self._is_whole(self.batch):
            return 0
        places = [place for place in range(len(self.batch)) if place != self._target]
        if len(places) == 1 and self._is_spread(self.batch[places[0]]):
            place = path[1]
        else:
            place = places.index(int(path[0]))
        return place if isinstance(place, int) else None

    def _is_whole(self, batch: Any) -> bool:
        return is_leaf(batch) or not isinstance(batch, (tuple, list))

    def _is_spread(self, value: Any) -> bool:
        """Whether the model takes the parts of a structure one by one."""
        if is_leaf(value):
            return False
        if isinstance(value, Mapping):
            return set(value) <= {parameter.name for parameter in self._forward}
        required = [p for p in self._forward if p.default is inspect.Parameter.empty]
        return isinstance(value, (tuple, list)) and len(required) > 1


def _parameters(model: nn.Module) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter for parameter in parameters if parameter.kind in positional]
