"""What the help says besides the options: examples, exit codes, variables and files."""

from __future__ import annotations

from rnnlint.terminal import Section

EXIT_CODES: Section = (
    "Exit codes",
    (
        ("0", "Nothing was found, nothing at or above --fail-on, or --exit-zero was given."),
        ("1", "Something was found, at or above --fail-on; or --diff has something to show."),
        ("2", "rnnlint could not do what it was asked to; the message says why."),
        ("130", "Ctrl-C ended it."),
    ),
)
ENVIRONMENT: Section = (
    "Environment",
    (
        ("RNNLINT_OUTPUT_FORMAT", "The --output-format where none is given."),
        ("RNNLINT_MONITOR", "Set to 1, Lightning's trainers watch their runs."),
        ("RNNLINT_TRACEBACK", "Set, it has a fault of rnnlint shown with its traceback."),
        ("NO_COLOR, FORCE_COLOR", "Set, text is never coloured, or always."),
        ("COLUMNS", "The width of the report, 40 to 120."),
    ),
)
FILES: Section = (
    "Files",
    (
        ("pyproject.toml", "Settings, below [tool.rnnlint]; the nearest file that has some holds."),
        ("rnnlint.toml", "The same without the heading; it goes before pyproject.toml."),
        (".gitignore", "What it names is left out."),
        (".rnnlint_cache", "What earlier runs found out; 'rnnlint clean' removes it."),
    ),
)
COMMANDS: Section = (
    "Examples",
    (
        ("rnnlint check", "What is wrong with the project in this folder?"),
        ("rnnlint check --fix", "Repair what can be repaired safely."),
        ("rnnlint rule RNN101", "What does this rule mean?"),
        ("rnnlint check --help", "All options, with more examples."),
    ),
)
CHECKS: Section = (
    "Examples",
    (
        ("rnnlint check", "Report on the project in this folder."),
        ("rnnlint check train.py", "Report on one file, and read the project for it."),
        ("rnnlint check --explain", "And say why training may fail, the likeliest cause first."),
        ("rnnlint check --diff", "Show what --fix would change."),
        ("rnnlint check --fix --unsafe-fixes", "Repair also what wants a look afterwards."),
        ("rnnlint check --select RNN1 --ignore RNN108", "Look for one family but for one rule."),
        ("rnnlint check --fail-on error -o report.txt", "Write a report, fail for errors alone."),
        ("rnnlint check - --stdin-filename train.py <train.py", "Check text that is not saved."),
    ),
)
DOCTOR: Section = (
    "Examples",
    (
        ("rnnlint doctor train.py --epochs 3", "Watch 200 steps; the script gets --epochs 3."),
        ("rnnlint doctor --steps 0 train.py", "Watch the whole run."),
        ("rnnlint doctor -m project.train", "Watch a module, as python -m runs it."),
        ("rnnlint doctor --output-format html train.py", "Write a page with plots of the run."),
    ),
)
DOCTOR_CODES: Section = (
    "Exit codes",
    (
        ("0", "The script ended well, or by --steps or --seconds."),
        ("2", "It could not be run or observed; the message says why."),
        ("130", "Ctrl-C ended it."),
        ("else", "The script's own."),
    ),
)
RULES: Section = (
    "Examples",
    (
        ("rnnlint rule RNN101", "One rule, by its code,"),
        ("rnnlint rule unpacked-padded-input", "or by its name."),
        ("rnnlint rule --all --output-format json", "All of them, for a program."),
    ),
)
