"""The companion of rnnlint: what a repaired training script imports.

Everything here is plain PyTorch (2.4 or newer) and usable alone.
"""
