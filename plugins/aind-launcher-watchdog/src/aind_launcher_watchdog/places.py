"""Where the service looks for manifests and what it writes: from the settings, else from its own configuration."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aind_launcher import LauncherError
from aind_launcher_watchdog.settings import CONFIG_VARIABLE, WatchdogSettings

if TYPE_CHECKING:
    from aind_watchdog_service.models.watch_config import WatchConfig


@dataclass(frozen=True)
class Places:
    """The directories and the log of the service on this machine.

    :param outbox: where manifests are written before they are moved to `flag`.
    :param archive: None where nobody said where the service keeps what it has carried out.
    :param log: the service's log in JSON lines; it need not exist.
    :param configuration: the file with the service's own configuration, where one is named.
    :param doubt: why that may not be the service that watches `flag`; None where nothing speaks against it.
    """

    flag: Path
    outbox: Path
    archive: Path | None
    log: Path | None
    configuration: Path | None = None
    doubt: str | None = None

    @classmethod
    def of(cls, settings: WatchdogSettings) -> "Places":
        """The places that these settings and the service's configuration tell.

        :raises LauncherError: the configuration cannot be read.
        """
        named = configuration_file(settings)
        config, doubt = None, None
        try:
            config = _read(named) if named else None
        except LauncherError as error:
            if settings.flag_directory is None:
                raise
            # A variable may be left of a service that is gone.
            doubt = error.message
        flag = settings.flag_directory or (Path(config.flag_dir) if config else None)
        if flag is None:
            raise LauncherError(
                "Nothing says where the watchdog service looks for manifests.",
                f"Set plugin.watchdog.flag-directory, or {CONFIG_VARIABLE} to the service's configuration.",
            )
        if config and os.path.normcase(Path(config.flag_dir)) != os.path.normcase(flag):
            doubt = (
                f"Manifests go to {flag}, but by its configuration {named} the watchdog service looks for them in "
                f"{config.flag_dir}."
            )
        return cls(
            flag=flag,
            outbox=settings.outbox_directory or flag.with_name(f"{flag.name}-outbox"),
            archive=settings.archive_directory or (Path(config.manifest_complete) if config else None),
            log=settings.service_log or (config.structured_log_file if config else _default_log()),
            configuration=named,
            doubt=doubt,
        )


def configuration_file(settings: WatchdogSettings) -> Path | None:
    """The service's own configuration, which rigs name by a variable."""
    variable = os.environ.get(CONFIG_VARIABLE)
    return settings.service_config or (Path(variable) if variable else None)


def _read(path: Path) -> "WatchConfig":
    import yaml
    from aind_watchdog_service.models.watch_config import WatchConfig
    from pydantic import ValidationError

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no settings")
        return WatchConfig(**content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
    raise LauncherError(
        f"The configuration {path} of the watchdog service cannot be read: {reason}.",
        f"Correct {CONFIG_VARIABLE} or plugin.watchdog.service-config, or set plugin.watchdog.flag-directory and "
        "service-config to a file that can be read.",
    )


def _default_log() -> Path | None:
    from aind_watchdog_service.models.watch_config import WatchConfig

    default: Path | None = WatchConfig.model_fields["structured_log_file"].default
    return default
