"""SLIMS for aind-launcher: where an animal stands there, and a record of each of its sessions."""

__version__ = "0.1.0"
