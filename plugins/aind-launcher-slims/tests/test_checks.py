"""What is known of SLIMS before an animal is on the rig, and what the plugin costs those who do not need it yet."""

import subprocess
import sys
from typing import Any

import pytest
from conftest import MONDAY, SUBJECT, SUNDAY, plugin_for, session_of, standing, suggested

from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.wire_double import SlimsDouble

CHEAP = """
import logging, sys
import aind_launcher_slims.plugin as plugin
heavy = sorted({"aind_slims_api", "slims", "requests", "flask", "keyring"} & set(sys.modules))
assert not heavy, heavy
logging.getLogger().setLevel(logging.WARNING)
plugin.Slims(plugin.SlimsSettings(url="https://slims.example.org/", username="a", password="b"))._connection()
assert "aind_slims_api" in sys.modules
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
from slims.slims import slims_instances
assert slims_instances == {}
"""


def test_the_client_is_imported_late_and_leaves_the_log_and_no_password_behind() -> None:
    subprocess.run([sys.executable, "-c", CHEAP], check=True)


def outcomes(checks: list[Any]) -> list[tuple[str, str]]:
    return [(check.name, check.outcome) for check in checks]


def test_a_session_is_checked_before_it_starts(slims: SlimsDouble, plugin: Slims) -> None:
    slims.add_instrument("rig-1")
    checks = plugin.pre_session(session_of(MONDAY))
    assert outcomes(checks) == [("SLIMS", "passed"), ("animal in SLIMS", "passed")]
    assert "no trainer state of 123456 yet" in checks[1].message
    assert slims.records() == []


def test_agreement_is_shown_and_disagreement_names_both(slims: SlimsDouble, plugin: Slims) -> None:
    slims.add_instrument("rig-1")
    plugin.post_session(session_of(SUNDAY), suggested("stage two"))
    (_, agreed) = plugin.pre_session(session_of(MONDAY, standing("stage two", SUNDAY)))
    assert agreed.outcome == "passed" and "stage two of Template 0.3.0" in agreed.message
    (_, differs) = plugin.pre_session(session_of(MONDAY, standing("stage one", SUNDAY)))
    assert differs.outcome == "warning" and "stage one" in differs.message and "stage two" in differs.message
    (_, nothing) = plugin.pre_session(session_of(MONDAY))
    assert nothing.outcome == "warning" and "no trainer state" in nothing.message


def test_what_slims_does_not_know_is_a_warning_before_the_session(slims: SlimsDouble, plugin: Slims) -> None:
    checks = plugin.pre_session(session_of(MONDAY, experimenter=["bert"]))
    warnings = [check.message for check in checks if check.outcome == "warning"]
    assert len(warnings) == 2 and "instrument rig-1" in warnings[0] and "user bert" in warnings[1]


def test_a_name_that_two_instruments_have_is_a_warning_and_the_newest_is_recorded(
    slims: SlimsDouble, plugin: Slims
) -> None:
    slims.add_instrument("rig-1")
    newest = slims.add_instrument("rig-1")

    [warning] = [check for check in plugin.pre_session(session_of(MONDAY)) if check.outcome == "warning"]
    plugin.post_session(session_of(MONDAY), None)

    assert f"2 instruments rig-1; sessions are recorded with the newest, record {newest}" in warning.message
    assert slims.records()[0]["cnvn_fk_instrument"] == newest


def test_a_slims_that_is_down_does_not_stop_a_session(slims: SlimsDouble, plugin: Slims) -> None:
    slims.stop()
    (check,) = plugin.pre_session(session_of(MONDAY))
    assert check.outcome == "warning" and check.hint and "resume" in check.hint


@pytest.mark.parametrize("trouble", ["credentials", "unknown", "twice", "address", "account"])
def test_what_would_fail_at_the_end_fails_before_the_session(slims: SlimsDouble, trouble: str) -> None:
    settings: dict[str, Any] = {}
    subject = SUBJECT
    match trouble:
        case "credentials":
            settings["password"] = "wrong"
        case "unknown":
            subject = "000000"
        case "twice":
            slims.add_animal(SUBJECT)
        case "address":
            settings["url"] = slims.url.replace("slimsrest/", "")
        case "account":
            settings["username"] = None
    (check,) = plugin_for(slims, **settings).pre_session(session_of(MONDAY, subject=subject))
    assert check.outcome == "failed" and check.message and check.hint


def test_doctor_checks_what_does_not_depend_on_an_animal(slims: SlimsDouble) -> None:
    assert outcomes(plugin_for(slims).check_rig()) == [("SLIMS", "passed")]
    assert outcomes(plugin_for(slims, instrument="x").check_rig()) == [("SLIMS", "passed"), ("SLIMS", "warning")]
    assert outcomes(plugin_for(slims, password="wrong").check_rig()) == [("SLIMS", "failed")]
