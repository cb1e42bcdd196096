"""The transfer service and the metadata service at the wire: an HTTP server on loopback, for the demo and for tests."""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PROJECTS = ("Behavior Platform", "Dynamic Routing")


class TransferDouble:
    """Takes upload requests and knows project names while the context lasts.

    Its requests are those that the service sends: a list of `upload_jobs` each.

    :param projects: the names that it knows.
    """

    def __init__(self, projects: Sequence[str] = PROJECTS) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer_with = 200
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self, list(projects)))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def endpoint(self) -> str:
        """What the plugin's setting `transfer-endpoint` is set to."""
        return f"{self.url}/api/v2/submit_jobs"

    @property
    def project_names(self) -> str:
        """What the plugin's setting `project-names-url` is set to."""
        return f"{self.url}/projects"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler_of(double: TransferDouble, projects: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            double.requests.append(json.loads(body))
            self._answer(double.answer_with, {"message": "Submitted"})

        def do_GET(self) -> None:
            answers: dict[str, Any] = {"/projects": projects, "/strange": {"a": 1}}
            self._answer(200 if self.path in answers else 404, answers.get(self.path))

        def _answer(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Whoever asks looks at `TransferDouble.requests`."""

    return Handler
