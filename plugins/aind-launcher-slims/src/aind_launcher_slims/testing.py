"""Pytest fixtures for authors of plugins that talk to SLIMS; registered with pytest by installation."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aind_launcher_slims.wire_double import SlimsDouble


@pytest.fixture
def slims_double(monkeypatch: pytest.MonkeyPatch) -> "Iterator[SlimsDouble]":
    """A SLIMS on loopback; ``SLIMS_URL``, ``SLIMS_USERNAME`` and ``SLIMS_PASSWORD`` point to it."""
    from aind_launcher_slims.wire_double import SlimsDouble

    with SlimsDouble() as double:
        for name, value in double.environment.items():
            monkeypatch.setenv(name, value)
        yield double
