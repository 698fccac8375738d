"""rnnlint answers one question: why is my PyTorch RNN failing to train?"""

from __future__ import annotations

__version__ = "0.1.0"
