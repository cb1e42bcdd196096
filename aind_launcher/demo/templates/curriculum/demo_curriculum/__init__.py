"""A curriculum for the simulated animal of the demo."""

__version__ = "1.0.0"
