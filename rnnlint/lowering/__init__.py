"""Python text to the intermediate representation, one file at a time."""
