"""aind-watchdog-service as its own `main` puts it together, without the private package that its `main` needs.

For the demo and for tests; a rig runs the service itself. Needs the extra `demo`.
"""

import argparse
import logging
import queue
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

from aind_watchdog_service.event_handler import EventHandler
from aind_watchdog_service.models.watch_config import WatchConfig
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from pythonjsonlogger.json import JsonFormatter
from watchdog.observers import Observer

# What the program prints when it watches.
WATCHING: Final = "watching"


class RealService:
    """The service's event handler, scheduler and jobs.

    :param flag: the directory that it watches for manifests.
    :param archive: where it moves those that it has carried out.
    :param log: what happens, in the JSON lines that its `main` writes. Default: beside the archive.
    """

    def __init__(self, flag: Path, archive: Path, log: Path | None = None) -> None:
        self.log = log or archive.with_name("service.log.jsonl")
        self._config = WatchConfig(
            flag_dir=str(flag),
            manifest_complete=str(archive),
            # The default is a folder of the institute's rigs.
            robocopy_args=["/e", "/z", "/j", "/r:5", "/np", f"/log+:{archive.with_name('robocopy.log')}"],
            structured_log_file=self.log,
        )
        self._jobs: queue.Queue[None] = queue.Queue()
        self._scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)})
        self._scheduler.add_listener(lambda _: self._jobs.put(None), EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        self._observer = Observer()
        self._logging = logging.FileHandler(self.log, encoding="utf-8", delay=True)
        self._logging.setFormatter(
            JsonFormatter(
                fmt="%(asctime)s %(levelname)s %(message)s",
                rename_fields={"asctime": "timestamp", "levelname": "level"},
                reserved_attrs=[],
            )
        )

    def start(self) -> int:
        """Take up the manifests that wait, then watch for new ones; tells how many waited."""
        logging.getLogger().addHandler(self._logging)
        self._scheduler.start()
        handler = EventHandler(self._scheduler, self._config)
        waited = len(handler.jobs)
        self._observer.schedule(handler, self._config.flag_dir)
        self._observer.start()
        return waited

    def finish_a_job(self) -> None:
        """Wait until one more job has ended, well or badly.

        :raises queue.Empty: none did within two minutes.
        """
        self._jobs.get(timeout=120)

    def stop(self) -> None:
        """Stop watching, and wait for what is under way."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
        self.finish_and_leave()

    def finish_and_leave(self) -> None:
        """Wait for the job that is under way, not for manifests: those wait for the service's next start.

        For a process that ends now; the service's handler may sleep for ten seconds at each new manifest.
        """
        if self._scheduler.running:
            self._scheduler.shutdown()
        logging.getLogger().removeHandler(self._logging)
        self._logging.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the service until standard input ends, or with ``--finish`` until it has carried out what waits."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--flag-directory", type=Path, required=True)
    parser.add_argument("--archive-directory", type=Path, required=True)
    parser.add_argument("--finish", action="store_true")
    told = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    service = RealService(told.flag_directory, told.archive_directory)
    ready = sys.stdout
    # The service prints, too.
    with redirect_stdout(sys.stderr):
        waited = service.start()
        print(WATCHING, file=ready, flush=True)
        if told.finish:
            for _ in range(waited):
                service.finish_a_job()
        else:
            sys.stdin.read()
        service.finish_and_leave()


if __name__ == "__main__":
    main()
