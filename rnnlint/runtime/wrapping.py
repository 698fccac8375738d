"""A module in the place of a recurrent layer, which looks like that layer from outside."""

from __future__ import annotations

from typing import Any

from torch import nn

_WRAPPED = "rnn."


class RecurrentWrapper(nn.Module):
    """Holds a recurrent layer and lends it new behaviour.

    The keys of its state dict are those of the layer, so that checkpoints go either way, and
    attributes that it does not have itself, such as ``hidden_size``, are the layer's.

    Args:
        rnn: the layer.

    Raises:
        TypeError: ``rnn`` is no recurrent layer.
    """

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        if not isinstance(rnn, nn.RNNBase):
            raise TypeError(f"rnn is an nn.LSTM, nn.GRU or nn.RNN, not {type(rnn).__name__}")
        self.rnn = rnn

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            # While it is being built or unpickled there is no layer yet to ask.
            if name == "rnn":
                raise
            return getattr(self.rnn, name)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The state dict of the wrapped layer; see :meth:`torch.nn.Module.state_dict`."""
        return self.rnn.state_dict(*args, **kwargs)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # Modules hand their children what begins with the child's name.
        for key in [key for key in state_dict if key.startswith(prefix)]:
            state_dict[prefix + _WRAPPED + key[len(prefix) :]] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
