"""Repairs: from what a rule wants done to text that is written back."""
