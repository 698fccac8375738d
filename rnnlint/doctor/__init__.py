"""A real run confirms or dismisses what reading the code suspected.

`running` has the script run under observation in a process of its own, `evidence` is what that
wrote down, `verdicts` asks it about each finding, and `diagnosing` puts all in order.
"""
