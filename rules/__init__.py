"""The rules, one file each.

Nothing imports a rule by name: `rnnlint.registry` finds the files in this folder,
reads code and name off their stems, and imports those that are selected.
"""
