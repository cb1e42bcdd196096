"""The SLIMS of `aind-launch demo --with-services`: the wire double, with the demo's animals in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aind_launcher import DemoService
from aind_launcher_slims.wire_double import SlimsDouble

_INSTRUMENT = "demo rig"
# Who runs the demo's sessions.
_TRAINER = "aind-launch demo"


@contextmanager
def service(folder: Path, subjects: Sequence[str]) -> Iterator[DemoService]:
    """A SLIMS that keeps its records in `folder` and knows these animals."""
    with SlimsDouble(folder / "slims.sqlite") as double:
        for subject in subjects:
            double.add_animal(subject)
        double.add_instrument(_INSTRUMENT)
        double.add_user(_TRAINER)

        @contextmanager
        def down() -> Iterator[None]:
            double.stop()
            try:
                yield
            finally:
                double.start()

        yield DemoService(
            settings={
                "url": double.url,
                "username": double.username,
                "password": double.password,
                "instrument": _INSTRUMENT,
            },
            arrived=lambda: list(_arrived(double)),
            down=down,
        )


def _arrived(double: SlimsDouble) -> Iterator[str]:
    sessions = double.records()
    decided = [session for session in sessions if session["cnvn_cf_stageIsOnCurriculum"]]
    many = "" if len(sessions) == 1 else "s"
    yield f"{len(sessions)} behaviour session{many}, {len(decided)} of them with a curriculum's suggestion"
    if decided:
        latest = max(decided, key=lambda session: int(session["cnvn_cf_scheduledDate"]))
        attached = ", ".join(attachment.name for attachment in double.attachments(latest["cnvn_pk"]))
        yield f"The latest puts the animal at {latest['cnvn_cf_taskStage']}; attached are {attached}"
