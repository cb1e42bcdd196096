"""A curriculum for the simulated animal of the demo."""

from importlib.metadata import version

__version__ = version("demo-curriculum")
