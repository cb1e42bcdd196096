"""One clear sentence for everything that can be wrong with SLIMS, and which of it a second try may correct."""

import logging
import socket
import threading
from contextlib import suppress

import pytest
from conftest import MONDAY, SUBJECT, SUNDAY, plugin_for, session_of, suggested
from pydantic import SecretStr

from aind_launcher import AnimalError, LauncherError, TransientError
from aind_launcher_slims import client
from aind_launcher_slims.plugin import Slims
from aind_launcher_slims.settings import SlimsSettings
from aind_launcher_slims.wire_double import SlimsDouble

SECRET = "only-for-tests"


def failure(plugin: Slims) -> LauncherError:
    with pytest.raises(LauncherError) as raised:
        plugin.post_session(session_of(MONDAY), suggested("next"))
    assert SECRET not in str(raised.value) and "\n" not in str(raised.value)
    return raised.value


def test_wrong_credentials_are_permanent_and_say_where_they_came_from(
    slims: SlimsDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMS_PASSWORD", "wrong-password")
    error = failure(Slims(SlimsSettings()))
    assert not isinstance(error, TransientError)
    assert "refuses the user name or password from SLIMS_USERNAME and SLIMS_PASSWORD (401)" in error.message
    assert "wrong-password" not in str(error) and slims.username not in str(error)


def test_wrong_credentials_are_noticed_while_attachments_are_read(slims: SlimsDouble, plugin: Slims) -> None:
    plugin.post_session(session_of(SUNDAY), suggested("stage one"))
    slims.fault(401, path="^repo/")
    with pytest.raises(LauncherError, match=r"\(401\)"):
        plugin.load_animal_state(session_of(MONDAY))


def test_an_unknown_animal_is_named(slims_double: SlimsDouble) -> None:
    plugin = plugin_for(slims_double)
    assert plugin.load_animal_state(session_of(MONDAY)) is None
    error = failure(plugin)
    assert isinstance(error, AnimalError) and f"has no animal {SUBJECT}" in error.message


def test_two_animals_with_one_barcode_are_both_named(slims: SlimsDouble, plugin: Slims) -> None:
    second = slims.add_animal(SUBJECT)
    error = failure(plugin)
    assert isinstance(error, AnimalError) and f"2 animals with the barcode {SUBJECT}" in error.message
    assert str(second) in error.message
    with pytest.raises(AnimalError, match="2 animals"):
        plugin.load_animal_state(session_of(MONDAY))


def test_a_slims_that_is_down_is_worth_a_second_try(slims: SlimsDouble, plugin: Slims) -> None:
    slims.stop()
    error = failure(plugin)
    assert isinstance(error, TransientError) and "cannot be reached: " in error.message
    slims.start()
    assert plugin.post_session(session_of(MONDAY), suggested("next")).outcome == "applied"


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_busy_slims_is_worth_a_second_try(slims: SlimsDouble, plugin: Slims, status: int) -> None:
    slims.fault(status)
    error = failure(plugin)
    assert isinstance(error, TransientError) and f"cannot answer now ({status})" in error.message


def test_a_silent_slims_is_given_up_after_the_time_out(slims: SlimsDouble) -> None:
    slims.fault(delay=60)
    error = failure(plugin_for(slims, timeout=0.2))
    assert isinstance(error, TransientError) and "did not answer within 0.2 s" in error.message


@pytest.mark.parametrize(("method", "path"), [("GET", "Content"), ("PUT", "Event"), ("POST", "Event/")])
def test_an_answer_that_drips_is_given_up_after_the_time_out(slims: SlimsDouble, method: str, path: str) -> None:
    slims.fault(drips=0.1, method=method, path=path)
    error = failure(plugin_for(slims, timeout=0.5))
    assert isinstance(error, TransientError) and "did not answer within 0.5 s" in error.message


def test_an_attachment_that_drips_is_given_up_after_the_time_out(slims: SlimsDouble, plugin: Slims) -> None:
    plugin.post_session(session_of(SUNDAY), suggested("stage one"))
    slims.fault(drips=0.1, path="^repo/")
    with pytest.raises(TransientError, match="did not answer within 0.5 s"):
        plugin_for(slims, timeout=0.5).load_animal_state(session_of(MONDAY))


def test_a_header_that_drips_is_given_up_after_the_time_out() -> None:
    """Each byte comes in time, and the line never ends."""
    done = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            while not done.wait(0.05):
                connection.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        try:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            settings = SlimsSettings(url=url, username="launcher", password=SecretStr(SECRET), timeout=0.3)
            assert "did not answer within 0.3 s" in failure(Slims(settings)).message
        finally:
            done.set()
            dripping.join()


def test_a_slims_that_did_not_answer_gets_less_time_until_it_answers_again(
    slims: SlimsDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SECONDS_FOR_THE_SILENT", 1)
    plugin = plugin_for(slims, timeout=1.1)
    hung = slims.fault(delay=60)
    assert "within 1.1 s" in failure(plugin).message
    assert "within 1 s" in plugin.pre_session(session_of(MONDAY))[0].message
    slims.faults.remove(hung)
    assert plugin.post_session(session_of(MONDAY), None).outcome == "recorded"
    slims.faults.append(hung)
    assert "within 1.1 s" in failure(plugin).message


def test_a_slims_that_did_not_answer_never_gets_more_time_than_the_setting(slims: SlimsDouble) -> None:
    slims.fault(delay=60)
    plugin = plugin_for(slims, timeout=0.2)
    assert ["within 0.2 s" in failure(plugin).message for _ in range(2)] == [True, True]


@pytest.mark.parametrize("path", ["", "elsewhere/"])
def test_a_wrong_address_is_permanent(slims: SlimsDouble, path: str) -> None:
    error = failure(plugin_for(slims, url=slims.url.replace("slimsrest/", path)))
    assert not isinstance(error, TransientError)
    assert "has nothing there (404)" in error.message and "plugin.slims.url" in str(error)


def test_a_redirect_is_not_followed_with_the_credentials(slims: SlimsDouble, plugin: Slims) -> None:
    slims.fault(302)
    error = failure(plugin)
    assert "sends on to another address (302)" in error.message and len(slims.exchanges) == 1


def test_a_server_that_is_no_slims_is_told_apart(slims: SlimsDouble, plugin: Slims) -> None:
    slims.fault(200)
    assert "answers, but not as SLIMS does" in failure(plugin).message


def test_a_server_that_does_not_speak_http_is_told_apart(slims: SlimsDouble) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        error = failure(plugin_for(slims, url=f"http://127.0.0.1:{port}/", timeout=0.2))
    assert isinstance(error, TransientError)


def test_a_missing_right_is_permanent_and_says_to_what(slims: SlimsDouble, plugin: Slims) -> None:
    slims.fault(403, method="PUT")
    error = failure(plugin)
    assert not isinstance(error, TransientError) and "has no right to add to ContentEvent (403)" in error.message


def test_a_refused_request_says_what_slims_said(slims: SlimsDouble, plugin: Slims) -> None:
    slims.fault(400)
    assert "refused a request to Content/advanced (400)" in failure(plugin).message


def test_nothing_secret_reaches_the_log(
    slims: SlimsDouble, plugin: Slims, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        plugin.post_session(session_of(MONDAY), suggested("next"))
        slims.fault(503)
        failure(plugin)
    said = "".join(capfd.readouterr()) + caplog.text + repr(plugin.settings) + plugin.settings.model_dump_json()
    assert SECRET not in said and "SLIMS Add" in said


def test_passwords_in_any_alphabet_arrive(slims: SlimsDouble) -> None:
    slims.password = "пароль"
    plugin = plugin_for(slims)
    assert plugin.load_animal_state(session_of(MONDAY)) is None
