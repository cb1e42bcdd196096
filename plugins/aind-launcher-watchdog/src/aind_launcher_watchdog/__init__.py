"""Hands a session's folder to the watchdog transfer service."""

__version__ = "0.1.0"
