"""A hub of one's own for tests: its cache's layout on disk, and as much of its HTTP as fetching uses."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(cache: Path, repo: str, source: Path, *, commit: str = COMMIT, ref: str = "main") -> Path:
    """A model in the hub's cache layout: blobs by hash, links in the snapshot, a ref with the commit."""
    base = cache / f"models--{repo.replace('/', '--')}"
    snapshot = base / "snapshots" / commit
    (base / "blobs").mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True)
    for path in (p for p in source.iterdir() if p.is_file()):
        blob = base / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))
    (base / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
    (base / "refs" / ref).write_text(commit)
    return snapshot


class HubHandler(http.server.BaseHTTPRequestHandler):
    """A hub of one repository, as much of its HTTP interface as snapshot_download uses."""

    folder: Path
    requests: ClassVar[list[tuple[str, str]]]
    token: str | None = None

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        type(self).requests.append((self.command, self.path))
        type(self).token = self.headers.get("Authorization")
        files = sorted(p for p in self.folder.iterdir() if p.is_file())
        path = self.path.split("?")[0]
        if path.startswith("/api/models/someone/remote/revision/") or path == "/api/models/someone/remote":
            siblings = [{"rfilename": p.name} for p in files]
            self._json({"id": "someone/remote", "sha": COMMIT, "siblings": siblings}, with_body)
        elif path.startswith("/api/models/someone/remote/tree/"):
            self._json([self._entry(p) for p in files], with_body)
        elif path.startswith(f"/someone/remote/resolve/{COMMIT}/"):
            self._file(self.folder / path.rsplit("/", 1)[1], with_body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _entry(self, path: Path) -> dict[str, Any]:
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        entry: dict[str, Any] = {
            "type": "file",
            "path": path.name,
            "size": path.stat().st_size,
            "oid": sha[:40],
        }
        if path.suffix in (".safetensors", ".bin"):
            entry["lfs"] = {"oid": sha, "size": path.stat().st_size, "pointerSize": 134}
        return entry

    def _json(self, value: object, with_body: bool) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"}, with_body)

    def _file(self, path: Path, with_body: bool) -> None:
        data = path.read_bytes()
        sha = hashlib.sha256(data).hexdigest()
        self._send(data, {"X-Repo-Commit": COMMIT, "ETag": f'"{sha}"'}, with_body)

    def _send(self, data: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...
