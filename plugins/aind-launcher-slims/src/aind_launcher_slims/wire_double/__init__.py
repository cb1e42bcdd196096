"""A SLIMS for tests: an HTTP server on loopback that speaks what the real `aind-slims-api` client sends.

It needs the standard library alone. As a pytest fixture: `slims_double`.
"""

from aind_launcher_slims.wire_double.faults import Fault
from aind_launcher_slims.wire_double.server import Exchange, SlimsDouble
from aind_launcher_slims.wire_double.store import StoredAttachment

__all__ = ["Exchange", "Fault", "SlimsDouble", "StoredAttachment"]
