"""The daily work of an operator: topics, offsets of the group, dead letters."""
