"""A service on loopback that records each effect before it answers, and the plugins that tell it of theirs."""

import hashlib
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from textwrap import dedent
from threading import Thread
from typing import Any
from urllib.parse import unquote


def contents(folder: Path) -> str:
    """A digest of all files of a folder, as a transfer service would see them."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"=" + path.read_bytes())
    return digest.hexdigest()


# What a careful plugin does: it names each effect, and asks the service first whether it took place already.
PLUGINS = (
    dedent('''
    import json
    import os
    from datetime import UTC, datetime
    from pathlib import Path
    from urllib.error import HTTPError
    from urllib.parse import quote
    from urllib.request import Request, urlopen

    from pydantic import BaseModel

    from aind_launcher import Acquisition, hookimpl

    class Recorder:
        class Settings(BaseModel):
            url: str

        def __init__(self, settings):
            self.url = settings.url

        def do(self, key, told=None):
            try:
                with urlopen(f"{self.url}/{quote(key, safe='')}"):
                    return "done before"
            except HTTPError as answer:
                if answer.code != 404:
                    raise
            self.tell(key, told)
            return "done"

        def tell(self, key, told=None):
            place, process = f"{self.url}/{quote(key, safe='')}", {"Process": str(os.getpid())}
            with urlopen(Request(place, json.dumps(told).encode(), process, method="POST")):
                pass

    class Counted(Recorder):
        """An acquisition of which the service sees how often it ran."""

        @hookimpl(tryfirst=True)
        def run_session(self, session):
            start = datetime.now(UTC)
            self.tell(f"{session.name}/run_session")
            with (session.folder / "behavior" / "trials.txt").open("w", encoding="utf-8") as trials:
                for trial in range(20):
                    print(trial, file=trials, flush=True)
            return Acquisition(outcome="completed", start=start, end=datetime.now(UTC), exit_code=0)

    class Push(Recorder):
        @hookimpl
        def post_session(self, session, suggestion):
            digest = suggestion.digest if suggestion else ""
            return self.do(f"{session.name}/post_session/{type(self).__name__}/{digest}")

        @hookimpl
        def transfer_session(self, session):
            key = f"{session.name}/transfer_session/{type(self).__name__}/{session.hand_off}"
            return self.do(key, contents(session.folder))

    class Notes(Push):
        pass
''')
    + "\nimport hashlib\n\n\n"
    + inspect.getsource(contents)
)
NAMES = {"counted": "Counted", "push": "Push", "notes": "Notes"}


class RecordingServer(HTTPServer):
    """GET answers whether an effect is known; POST makes it, however often it is asked to.

    It answers one request after the other: who asks after a lost answer learns what became of it.

    :ivar made: every effect in order: its key and what came with it.
    :ivar before_answer: called between the effect and its answer, with the key and the asking process; where it
        raises, the answer is lost.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.made: list[tuple[str, Any]] = []
        self.before_answer: Callable[[str, int], None] = lambda key, process: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def settings(self) -> str:
        """The settings of `PLUGINS`, as a part of a pyproject.toml."""
        return "\n".join(f'[tool.aind-launcher.plugin.{name}]\nurl = "{self.url}"' for name in NAMES)

    def counts(self, session: str) -> Counter[str]:
        """How often each effect of a session was made: by hook, plugin and suggestion."""
        return Counter(key.partition("/")[2] for key, _ in self.made if key.startswith(f"{session}/"))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked is dead, or was meant not to get an answer."""


class _Request(BaseHTTPRequestHandler):
    server: RecordingServer

    def do_GET(self) -> None:
        known = any(key == self._key for key, _ in self.server.made)
        self._answer(200 if known else 404)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            return  # who asked died while asking
        self.server.made.append((self._key, json.loads(body)))
        self.server.before_answer(self._key, int(self.headers["Process"]))
        self._answer(201)

    @property
    def _key(self) -> str:
        return unquote(self.path[1:])

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is said on stderr."""


@contextmanager
def recording_server() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
