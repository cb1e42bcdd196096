"""What can be known of a hand-off before the animal is on the rig."""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath, PureWindowsPath

from aind_launcher import Check, LauncherError, SessionContext
from aind_launcher_watchdog import refused
from aind_launcher_watchdog.contents import Contents, refuse_known_losses
from aind_launcher_watchdog.handover import probe
from aind_launcher_watchdog.places import Places
from aind_launcher_watchdog.settings import CONFIG_VARIABLE, WatchdogSettings


def of_rig(settings: WatchdogSettings, system: str) -> Iterator[Check]:
    """What does not depend on an animal, the cheap ones first.

    :param system: `sys.platform` of the service's machine, which is this one.
    """
    yield _outcome("watchdog destination", lambda: require_absolute(settings.destination, system), settings.destination)
    try:
        places = Places.of(settings)
    except LauncherError as error:
        places = None
        yield Check.failed("watchdog configuration", error.message, error.hint)
    if places:
        yield from _flag_directory(places, settings)
    if settings.service_process:
        yield _service(settings.service_process)
    if places:
        yield from refused.checks(places.flag, places.log)
    if settings.project_names_url:
        yield _project(settings.project_name, settings.project_names_url, settings.timeout)


def of_session(session: SessionContext, settings: WatchdogSettings, system: str) -> Iterator[Check]:
    """Those of the rig, and whether the service will take this session's manifest."""
    yield from of_rig(settings, system)
    yield _outcome("watchdog manifest", lambda: _try_manifest(session, settings, system), "valid")


def require_absolute(destination: str, system: str) -> None:
    """Refuse a destination that would depend on where the service was started.

    :raises LauncherError: it is not absolute on `system`.
    """
    path = PureWindowsPath(destination) if system == "win32" else PurePosixPath(destination)
    if not path.is_absolute():
        raise LauncherError(
            f"The destination {destination!r} is not an absolute path.",
            "Set plugin.watchdog.destination with its drive or share.",
        )


def is_service(name: str | None, arguments: Sequence[str], wanted: str) -> bool:
    """Whether a process is the service: its executable, or Python with its module or script.

    :param name: the process's; `arguments` is its command line.
    """
    plain = wanted.casefold().removesuffix(".exe")
    process = (name or "").casefold().removesuffix(".exe")
    if process == plain:
        return True
    # Takes both kinds of separators.
    parts = (part for argument in arguments[1:4] for part in PureWindowsPath(argument).parts)
    return process.startswith("python") and any(part.casefold().split(".")[0] == plain for part in parts)


def _outcome(name: str, attempt: Callable[[], None], passed: str) -> Check:
    try:
        attempt()
    except LauncherError as error:
        return Check(name=name, outcome="failed", message=error.message, hint=error.hint)
    return Check(name=name, outcome="passed", message=passed)


def _flag_directory(places: Places, settings: WatchdogSettings) -> Iterator[Check]:
    told = f" (of {places.configuration})" if settings.flag_directory is None else ""
    yield _outcome("watchdog flag directory", lambda: probe(places.flag, places.outbox), f"{places.flag}{told}")
    if places.doubt:
        yield Check.warning(
            "watchdog configuration",
            places.doubt,
            f"Take plugin.watchdog.flag-directory out of the settings, or correct {CONFIG_VARIABLE} or what it names.",
        )


def _service(wanted: str) -> Check:
    import psutil

    for process in psutil.process_iter(["name", "cmdline"]):
        if is_service(process.info["name"], process.info["cmdline"] or (), wanted):
            return Check(name="watchdog service", outcome="passed", message=f"{wanted} runs as process {process.pid}")
    return Check(
        name="watchdog service",
        outcome="warning",
        message=f"No process {wanted} runs on this machine; the data will wait here until it does.",
        hint="Start the watchdog service.",
    )


def _try_manifest(session: SessionContext, settings: WatchdogSettings, system: str) -> None:
    """Make and read a manifest as this session's will be made."""
    from aind_launcher_watchdog import manifest

    refuse_known_losses(session, settings.extra_modalities, system)
    imagined = Contents(modalities={"behavior": (session.folder / "behavior",)})
    manifest.text(manifest.manifest(session, settings, imagined))


def _project(project: str, url: str, timeout: float) -> Check:
    name = "watchdog project"
    try:
        known = project_names(url, timeout)
    except LauncherError as error:
        return Check(name=name, outcome="warning", message=error.message, hint=error.hint)
    if project in known:
        return Check(name=name, outcome="passed", message=project)
    close = get_close_matches(project, known, n=1)
    return Check(
        name=name,
        outcome="failed",
        message=f"{project!r} is not a project that {url} knows.",
        hint=f"Did you mean {close[0]!r}? Set plugin.watchdog.project-name."
        if close
        else "Correct plugin.watchdog.project-name.",
    )


def project_names(url: str, timeout: float) -> list[str]:
    """The names that the metadata service gives.

    :raises LauncherError: it gives none within `timeout` seconds.
    """
    import requests

    try:
        response = requests.get(url, timeout=timeout)
        response.raise_for_status()
        answer = response.json()
    except (requests.RequestException, ValueError) as error:
        raise LauncherError(
            f"{url} could not be asked for project names: {error}.", "Check the name of the project yourself."
        ) from None
    names = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LauncherError(
            f"{url} did not answer with a list of project names.", "Correct plugin.watchdog.project-names-url."
        )
    return names
