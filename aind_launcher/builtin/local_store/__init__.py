"""The built-in plugin `local-store`."""
