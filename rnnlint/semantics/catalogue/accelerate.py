"""Hugging Face Accelerate."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table

ALIASES = {"accelerate.accelerator": "accelerate"}

TABLE: Table = {
    "accelerate.Accelerator": Entry("fabric", "accelerator"),
}
