"""The double's HTTP side: SLIMS's paths, its authentication, its error pages, and the faults on the way."""

import base64
import json
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from aind_launcher_slims.wire_double.criteria import BadRequest, Values
from aind_launcher_slims.wire_double.faults import Cut, Fault, struck
from aind_launcher_slims.wire_double.store import Store, StoredAttachment, entity

_ROOT = "/slimsrest/rest/"


@dataclass(frozen=True)
class Exchange:
    """A request that arrived, and the status it got; None where the connection was cut.

    :param path: below ``rest/``.
    :param authorization: the header of that name.
    """

    method: str
    path: str
    body: Any
    status: int | None
    authorization: str | None = None


@dataclass(frozen=True)
class _Answer:
    content: bytes
    status: int = 200
    kind: str = "application/json"
    location: str | None = None


class SlimsDouble:
    """A SLIMS on loopback, running while the context lasts.

    :param database: keep the records in this file; in memory without it. They outlast `stop` either way.
    """

    def __init__(
        self,
        database: Path | None = None,
        username: str = "launcher",
        password: str = "only-for-tests",  # noqa: S107
    ) -> None:
        self.username = username
        self.password = password
        self.faults: list[Fault] = []
        self.exchanges: list[Exchange] = []
        self._store = Store(database)
        self._released = threading.Event()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._store.close()

    @property
    def url(self) -> str:
        """What the plugin's setting ``url`` and ``SLIMS_URL`` are set to."""
        return f"http://127.0.0.1:{self._port}/slimsrest/"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point client and plugin here."""
        return {"SLIMS_URL": self.url, "SLIMS_USERNAME": self.username, "SLIMS_PASSWORD": self.password}

    def start(self) -> None:
        """Answer, after a `stop` on the same port as before."""
        self._released.clear()
        self._server = _Server(("127.0.0.1", self._port), _handler_of(self))
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections, as a SLIMS that is down does; the records stay."""
        self._released.set()
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = self._thread = None

    def fault(
        self,
        status: int | None = None,
        *,
        delay: float = 0.0,
        drips: float = 0.0,
        echoes: bool = False,
        cut: Cut | None = None,
        method: str | None = None,
        path: str = "",
        nth: int | None = None,
    ) -> Fault:
        """Let requests fail from now on; see `Fault`. ``faults.clear()`` ends it."""
        rule = Fault(status, delay, drips, echoes, cut, method, path, nth)
        self.faults.append(rule)
        return rule

    def add(self, table: str, **columns: Any) -> int:
        """Add a record of any known table by its SLIMS column names, and tell its key."""
        values = self._store.add(table, columns)
        return int(next(value for name, value in values.items() if name.endswith("_pk")))

    def add_animal(self, barcode: str, **columns: Any) -> int:
        return self.add("Content", cntn_barCode=barcode, cntn_id=barcode, **columns)

    def add_instrument(self, name: str) -> int:
        return self.add("Instrument", nstr_name=name)

    def add_user(self, username: str) -> int:
        return self.add("User", user_userName=username)

    def attach(self, pk: int, name: str, content: bytes, table: str = "ContentEvent") -> None:
        """Add an attachment to a record."""
        self._store.attach(table, pk, name, content)

    def update(self, table: str, pk: int, **columns: Any) -> None:
        """Change a record, as a person does in SLIMS."""
        self._store.update(table, pk, columns)

    def remove(self, table: str, pk: int) -> None:
        """Remove a record or, from the table Attachment, an attachment."""
        self._store.remove(table, pk)

    def records(self, table: str = "ContentEvent") -> list[Values]:
        """All records of a table, by their SLIMS column names, oldest first."""
        return self._store.fetch(table)

    def attachments(self, pk: int, table: str = "ContentEvent") -> list[StoredAttachment]:
        """The attachments of a record, oldest first."""
        return self._store.attachments(table, pk)

    def answer(self, method: str, path: str, body: Any) -> _Answer:
        """Carry a request out.

        :raises BadRequest: it makes no sense.
        """
        for route, pattern, function in _ROUTES:
            if route == method and (found := re.fullmatch(pattern, path)):
                return function(self._store, body if isinstance(body, dict) else {}, *found.groups())
        return _error_page(404)

    def is_known(self, authorization: str | None) -> bool:
        """Whether a request's header has the credentials of this double."""
        expected = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return authorization == f"Basic {expected}"

    def pause(self, seconds: float) -> None:
        """Let a request wait, but not for longer than the double runs."""
        self._released.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Windows would let a second server share the port with the first.
    allow_reuse_address = not hasattr(socket, "SO_EXCLUSIVEADDRUSE")

    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests are about."""


def _handler_of(double: SlimsDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            path = self.path.partition("?")[0].removeprefix(_ROOT)
            fault = struck(tuple(double.faults), self.command, path)
            answer = None if fault.cut == "before commit" else self._answer(path, sent, fault)
            if fault.cut:
                answer = None
            body = json.loads(sent) if sent else None
            status, authorization = answer.status if answer else None, self.headers.get("Authorization")
            double.exchanges.append(Exchange(self.command, path, body, status, authorization))
            if fault.delay:
                double.pause(fault.delay)
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self._send(answer, fault.drips)

        do_PUT = do_POST = do_DELETE = do_GET

        def _answer(self, path: str, sent: bytes, fault: Fault) -> _Answer:
            if fault.status is not None:
                return _error_page(fault.status)
            if fault.echoes:
                return _refusal(f"Invalid request. Authorization: {self.headers.get('Authorization')}")
            if not self.path.startswith(_ROOT):
                return _error_page(404)
            if not double.is_known(self.headers.get("Authorization")):
                return _error_page(401)
            try:
                return double.answer(self.command, path, json.loads(sent) if sent else None)
            except BadRequest as error:
                return _refusal(str(error))

        def _send(self, answer: _Answer, drips: float) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.content)))
            if answer.location:
                self.send_header("Location", answer.location)
            self.end_headers()
            for part in [answer.content] if not drips else [bytes([byte]) for byte in answer.content]:
                double.pause(drips)
                self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            """Tests look at `SlimsDouble.exchanges`."""

    return Handler


def _error_page(status: int) -> _Answer:
    """SLIMS runs in a servlet container, whose own pages are HTML."""
    title = f"HTTP Status {status} – {HTTPStatus(status).phrase}"  # noqa: RUF001
    page = f'<!doctype html><html lang="en"><head><title>{title}</title></head><body><h1>{title}</h1></body></html>'
    location = "/login" if 300 <= status < 400 else None
    return _Answer(page.encode(), status, "text/html;charset=utf-8", location)


def _refusal(message: str) -> _Answer:
    return _Answer(json.dumps({"errorMessage": message}).encode(), 400)


def _entities(table: str, records: list[Values]) -> _Answer:
    return _Answer(json.dumps({"entities": [entity(table, values) for values in records]}).encode())


def _fetch(store: Store, body: Mapping[str, Any], table: str) -> _Answer:
    return _entities(table, store.fetch(table, body))


def _get(store: Store, body: Mapping[str, Any], table: str, pk: str) -> _Answer:
    values = store.get(table, int(pk))
    return _entities(table, [] if values is None else [values])


def _add(store: Store, body: Mapping[str, Any], table: str) -> _Answer:
    return _entities(table, [store.add(table, body)])


def _update(store: Store, body: Mapping[str, Any], table: str, pk: str) -> _Answer:
    values = store.update(table, int(pk), body)
    return _error_page(404) if values is None else _entities(table, [values])


def _remove(store: Store, body: Mapping[str, Any], table: str, pk: str) -> _Answer:
    return _Answer(b"") if store.remove(table, int(pk)) else _error_page(404)


def _list_attachments(store: Store, body: Mapping[str, Any], table: str, pk: str) -> _Answer:
    return _entities("Attachment", store.fetch_attachments(table, int(pk), body))


def _download(store: Store, body: Mapping[str, Any], pk: str) -> _Answer:
    content = store.content(int(pk))
    return _error_page(404) if content is None else _Answer(content, kind="application/octet-stream")


def _upload(store: Store, body: Mapping[str, Any]) -> _Answer:
    try:
        table, record = str(body["atln_recordTable"]), int(body["atln_recordPk"])
        name, content = str(body["attm_name"]), base64.b64decode(body["contents"])
    except (KeyError, ValueError) as error:
        raise BadRequest(f"Incomplete attachment: {error}") from None
    pk = store.attach(table, record, name, content)
    if pk is None:
        return _error_page(404)
    return _Answer(str(pk).encode(), kind="text/plain", location=f"{_ROOT}Attachment/{pk}")


_ROUTES: tuple[tuple[str, str, Callable[..., _Answer]], ...] = (
    ("GET", r"repo/(\d+)", _download),
    ("POST", r"repo", _upload),
    ("GET", r"attachment/(\w+)/(\d+)", _list_attachments),
    ("GET", r"(\w+)/advanced", _fetch),
    ("GET", r"(\w+)/(\d+)", _get),
    ("PUT", r"(\w+)", _add),
    ("POST", r"(\w+)/(\d+)", _update),
    ("DELETE", r"(\w+)/(\d+)", _remove),
)
