"""Settings as TOML that a settings file may hold."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


def toml(value: object) -> str:
    """Write a value as TOML, on one line."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    # What JSON makes of strings, numbers and truth values is TOML too.
    return msgspec.json.encode(value).decode()


def render(settings: msgspec.Struct) -> str:
    """Write settings, a line each, under a comment that says where they are from."""
    values: dict[str, object] = msgspec.to_builtins(settings)
    source = values.pop("source", None)
    directory = values.pop("directory", None)
    lines = [f"# from {source or 'the defaults'}", f"# globs are relative to {directory}"]
    lines += [f"{key} = {toml(value)}" for key, value in values.items()]
    return "".join(line + "\n" for line in lines)
