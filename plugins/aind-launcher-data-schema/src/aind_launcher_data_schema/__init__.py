"""Puts a session's metrics and curriculum into its `acquisition.json`."""

__version__ = "0.1.0"
