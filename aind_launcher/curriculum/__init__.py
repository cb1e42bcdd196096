"""Curricula: where their code is pinned, the environments it is built into, and the processes it runs in."""
