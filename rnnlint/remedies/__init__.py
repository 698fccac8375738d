"""Repairs that several rules offer, or that take more than a query: with the Program at hand."""
