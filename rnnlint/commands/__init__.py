"""What the commands of `rnnlint` are made of: their options, and what they write."""
