"""A session is the same value here and in aind-behavior-services."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from aind_behavior_services.session import Session as ServicesSession
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aind_launcher.errors import UsageError
from aind_launcher.model.names import checked_name
from aind_launcher.model.session import Session

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in {"con", "prn", "aux", "nul"} and not name.lower().startswith(("com", "lpt"))
)
moments = st.datetimes(
    min_value=datetime(2000, 1, 1),
    max_value=datetime(2100, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-8)), timezone(timedelta(hours=5, minutes=30))]),
)


@given(
    subject=names,
    date=moments,
    notes=st.none() | st.text(),
    experimenter=st.lists(st.text(min_size=1)),
    commit=st.none() | st.from_regex(r"[0-9a-f]{40}", fullmatch=True),
    dirty=st.booleans(),
    skip=st.booleans(),
)
def test_a_session_goes_to_aind_behavior_services_and_back(subject, date, notes, experimenter, commit, dirty, skip):
    ours = Session(
        subject=subject,
        date=date,
        notes=notes,
        experimenter=experimenter,
        commit_hash=commit,
        allow_dirty_repo=dirty,
        skip_hardware_validation=skip,
    )
    theirs = ServicesSession.model_validate_json(ours.model_dump_json())
    assert theirs.session_name == ours.session_name
    assert Session.model_validate_json(theirs.model_dump_json()) == ours
    assert ServicesSession(**theirs.model_dump(exclude={"session_name"})).session_name == ours.session_name


def test_a_date_without_a_zone_is_local_time_in_both():
    text = '{"subject": "1", "date": "2026-01-31T10:00:00"}'
    assert Session.model_validate_json(text).date == ServicesSession.model_validate_json(text).date


def test_a_date_as_it_stands_in_a_sessions_name_is_read():
    assert Session.model_validate({"subject": "1", "date": "2025-01-01T100000Z"}).date.hour == 10


def test_fields_of_a_newer_schema_are_kept():
    session = Session.model_validate({"subject": "1", "ethics_protocol": "2414", "version": "9.0.0"})
    assert session.model_dump()["ethics_protocol"] == "2414"
    assert session.version == "9.0.0"


@pytest.mark.parametrize(
    "subject", ["../../x", "", "a/b", "a\\b", "..", "CON", "nul.txt", "a.", " a", "x" * 200, "a:b"]
)
def test_a_subject_that_is_no_folder_name_is_refused(subject):
    with pytest.raises(UsageError, match="subject"):
        checked_name("subject", subject)
    with pytest.raises((UsageError, ValidationError)):
        Session(subject=subject)


def test_a_name_that_is_too_long_or_reserved_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="has 300 characters; 128 are the most"):
        checked_name("subject", "1" * 300)
    with pytest.raises(UsageError, match="Windows reserves this name"):
        checked_name("subject", "CON")
