"""The SLIMS of the demo: knows the demo's animals, can be down for a while, and tells what arrived."""

from pathlib import Path

import pytest
from conftest import MONDAY, SUBJECT, session_of, suggested

from aind_launcher import TransientError
from aind_launcher_slims.demo import service
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.settings import SlimsSettings


def test_it_comes_back_where_it_was_with_what_it_had_and_tells_what_arrived(tmp_path: Path) -> None:
    with service(tmp_path, [SUBJECT]) as running:
        plugin = Slims(SlimsSettings.model_validate(running.settings))
        session = session_of(MONDAY, experimenter=["aind-launch demo"])
        assert {check.outcome for check in plugin.pre_session(session)} == {"passed"}
        assert running.arrived() == ["0 behaviour sessions, 0 of them with a curriculum's suggestion"]
        plugin.post_session(session, suggested("stage two"))

        assert running.down is not None
        with running.down(), pytest.raises(TransientError):
            plugin.load_animal_state(session)

        state = plugin.load_animal_state(session)
        assert state is not None and state.trainer_state.stage == "stage two"
        assert running.arrived() == [
            "1 behaviour session, 1 of them with a curriculum's suggestion",
            "The latest puts the animal at stage two; attached are Metrics, TrainerState",
        ]
