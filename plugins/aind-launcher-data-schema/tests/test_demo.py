"""What the demo sets for this plugin, so that a task without metadata of its own gets some."""

from pathlib import Path

from aind_launcher import SessionContext
from aind_launcher_data_schema.demo import service
from aind_launcher_data_schema.plugin import DataSchema
from aind_launcher_data_schema.settings import DataSchemaSettings


def test_the_demo_s_settings_make_a_file(session: SessionContext, tmp_path: Path) -> None:
    with service(tmp_path, [session.subject]) as running:
        told = {name.replace("-", "_"): value for name, value in running.settings.items()}
        kept = DataSchema(DataSchemaSettings.model_validate(told)).post_session(session, None)

    assert kept["created"] is True
    assert (running.arrived(), running.down) == ((), None)
