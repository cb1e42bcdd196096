"""What the tests share: sessions, suggestions, and the plugin as the launcher makes it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aind_launcher import (
    AnimalState,
    CurriculumSuggestion,
    Repository,
    Session,
    SessionContext,
    Ticket,
    TrainerStateText,
)
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.settings import SlimsSettings
from aind_launcher_slims.wire_double import SlimsDouble

SUBJECT = "123456"
SUNDAY = datetime(2025, 11, 16, 9, 30, 15, 123456, tzinfo=UTC)
MONDAY = SUNDAY.replace(day=17)
TUESDAY = SUNDAY.replace(day=18)


@pytest.fixture(autouse=True)
def _no_account_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLIMS_URL", "SLIMS_USERNAME", "SLIMS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def slims(slims_double: SlimsDouble) -> SlimsDouble:
    """A SLIMS that knows the animal."""
    slims_double.add_animal(SUBJECT)
    return slims_double


@pytest.fixture
def plugin(slims: SlimsDouble) -> Iterator[Slims]:
    yield Slims(SlimsSettings())


def plugin_for(double: SlimsDouble, **settings: Any) -> Slims:
    account = {"url": double.url, "username": double.username, "password": double.password}
    return Slims(SlimsSettings.model_validate(account | settings))


def state_text(stage: str) -> str:
    """A trainer state in a curriculum's own formatting, which must survive."""
    task = {"name": "Foraging", "version": "1.2.3", "task_parameters": {"reward": 2}}
    curriculum = {"name": "Template", "version": "0.3.0", "pkg_location": "my_curricula.template"}
    stage_document = {"name": stage, "task": task, "unicode": "µ€"}
    return json.dumps(
        {"curriculum": curriculum, "stage": stage_document, "is_on_curriculum": True}, indent=3, ensure_ascii=False
    )


def suggested(stage: str, **metrics: Any) -> CurriculumSuggestion:
    text = json.dumps({"trainer_state": json.loads(state_text(stage)), "metrics": metrics, "version": "0.3.0"})
    return CurriculumSuggestion(text=text, trainer_state=TrainerStateText(text=state_text(stage)))


def standing(stage: str, date: datetime, session_name: str | None = None) -> AnimalState:
    return AnimalState(trainer_state=TrainerStateText(text=state_text(stage)), date=date, session_name=session_name)


def session_of(
    date: datetime, ran_with: AnimalState | None = None, number: int | None = None, **session: Any
) -> SessionContext:
    """:param number: of its ticket."""
    record = Session.model_validate({"subject": SUBJECT, "date": date, "experiment": "Foraging study"} | session)
    return SessionContext(
        session=record,
        folder=Path("data") / record.session_name,
        staging=Path("state") / record.session_name,
        repository=Repository(path=Path(), commit="c" * 40),
        rig={"rig_name": "rig-1"},
        animal_state=ran_with,
        ticket=Ticket(register_id="library", number=number) if number else None,
    )


def begun(plugin: Slims, date: datetime, number: int | None = None, register: str = "library") -> SessionContext:
    """A session that has asked SLIMS where the animal stands, and got its ticket."""
    session = session_of(date)
    said = plugin.load_animal_state(session)
    return session.model_copy(
        update={
            "animal_state": said,
            "ticket": Ticket(register_id=register, number=number) if number else None,
            "results": {"load_animal_state": {"slims": said.model_dump(mode="json") if said else None}},
        }
    )


def foreign(slims: SlimsDouble, date: datetime | None, attachments: dict[str, str], **columns: Any) -> int:
    """A behaviour session as another tool writes it."""
    animal = slims.records("Content")[0]["cntn_pk"]
    if date is not None:
        columns["cnvn_cf_scheduledDate"] = int(date.timestamp() * 1000)
    pk = slims.add("ContentEvent", cnvn_fk_content=animal, cnvn_fk_contentEventType=10, **columns)
    for name, text in attachments.items():
        slims.attach(pk, name, text.encode())
    return pk
