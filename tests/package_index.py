"""A package index on loopback that says when each version was uploaded, and a curriculum that needs its package."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from environments import BACKEND_FILES


def needy_files(needs: str | None = "tones", name: str = "my-curricula") -> dict[str, str]:
    """A curriculum that needs nothing but `needs`: its build backend lies in its own tree."""
    backend, pyproject = BACKEND_FILES["backend.py"], BACKEND_FILES["pyproject.toml"]
    dependencies = [needs] if needs else []
    required = "".join(f"Requires-Dist: {need}\\n" for need in dependencies)
    static = f'version = "0"\nrequires-python = ">=3.11"\ndependencies = {json.dumps(dependencies)}'
    files = {
        "backend.py": backend.replace("Version: {version}\\n", "Version: {version}\\n" + required),
        "pyproject.toml": pyproject.replace('dynamic = ["version"]', static),
    }
    names = {"my-curricula": name, "my_curricula": name.replace("-", "_")}
    for old, new in names.items():
        files = {path: text.replace(old, new) for path, text in files.items()}
    return files


def wheel(version: str, name: str = "tones") -> bytes:
    """A package of one empty module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return packed.getvalue()


def put_wheel(folder: Path, version: str) -> None:
    """Put the package ``tones`` into a folder that serves as a flat index."""
    folder.mkdir(exist_ok=True)
    (folder / f"tones-{version}-py3-none-any.whl").write_bytes(wheel(version))


@dataclass
class Index:
    """Packages without dependencies, as PEP 691 and PEP 700 describe them.

    :param files: each wheel, and when it was uploaded; None where the index does not say so.
    """

    url: str = ""
    files: dict[str, tuple[bytes, datetime | None]] = field(default_factory=dict)

    def upload(self, version: str, when: datetime | None, name: str = "tones") -> None:
        self.files[f"{name}-{version}-py3-none-any.whl"] = (wheel(version, name), when)

    def answer(self, path: str) -> bytes | None:
        last = path.rstrip("/").rpartition("/")[2]
        if last in self.files:
            return self.files[last][0]
        listed = self._listed(last.replace("-", "_"))
        answer = {"meta": {"api-version": "1.1"}, "name": last, "versions": [], "files": listed}
        return json.dumps(answer).encode() if listed else None

    def _listed(self, package: str) -> list[dict[str, object]]:
        return [
            {
                "filename": name,
                "url": f"/files/{name}",
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                "size": len(content),
                **({"upload-time": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")} if when else {}),
            }
            for name, (content, when) in self.files.items()
            if name.startswith(f"{package}-")
        ]


@contextmanager
def serving() -> Iterator[Index]:
    """An empty index that answers on loopback."""
    index = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = index.answer(self.path)
            self.send_response(404 if body is None else 200)
            kind = "application/octet-stream" if self.path.endswith(".whl") else "application/vnd.pypi.simple.v1+json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            """Not on the test's stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield index
        server.shutdown()
        thread.join()
