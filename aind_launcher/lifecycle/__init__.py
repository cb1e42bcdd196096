"""A session from its start to its hand-off."""
