"""The language server: what editors see of rnnlint while code is being written.

A thin face over the engine.  `serving` speaks the protocol and does nothing that takes time;
`documents` are what editors show, `state` one moment of them all; a `worker` takes the newest
moment and has the `analyst` look at it; `publishing`, `actions` and `hovering` say what came
of it, in the units of `positions`.
"""
