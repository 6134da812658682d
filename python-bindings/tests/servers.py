"""Servers on loopback for tests of remote files: a bucket that speaks the protocol of S3, and a folder over HTTP.

Each notes what it is asked. None outlives its ``with`` block, nor do its connections and threads.
"""

import hashlib
import itertools
import re
import socket
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

BUCKET = "bucket"
REGION = "eu-test-1"
KEY = "AKTEST"
SECRET = "SKTEST"


@dataclass(frozen=True)
class Asked:
    """A request that was answered."""

    method: str
    target: str
    range: str | None
    status: int


class Server(ThreadingHTTPServer):
    """Answers each connection on a thread, and ends them all with itself."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, handler: type["Handler"]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.asked: list[Asked] = []
        self.connections: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def server_close(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client may go away in the middle of an answer.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


Served = TypeVar("Served", bound=Server)


@contextmanager
def serving(server: Served) -> Iterator[Served]:
    """The server at work."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """What both servers answer alike."""

    protocol_version = "HTTP/1.1"
    # Otherwise each answer waits for the acknowledgement of its own headers.
    disable_nagle_algorithm = True
    server: Server

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.server.asked.append(Asked(self.command, unquote(self.path), self.headers.get("Range"), int(code)))

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_range(self, body: bytes, headers: Mapping[str, str]) -> None:
        """The body, or the range of it that is asked for."""
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return self.answer(200, body, headers)
        first, last = asked.groups()
        start = int(first) if first else max(len(body) - int(last), 0)
        stop = min(int(last) + 1, len(body)) if first and last else len(body)
        if start >= stop:
            return self.answer(416)
        place = f"bytes {start}-{stop - 1}/{len(body)}"
        return self.answer(206, body[start:stop], {**headers, "Content-Range": place})


class FolderServer(Server):
    """The files of a folder, over HTTP."""

    def __init__(self, folder: Path) -> None:
        super().__init__(FolderHandler)
        self.folder = folder


class FolderHandler(Handler):
    """Knows files and ranges, and no listing."""

    server: FolderServer

    def do_GET(self) -> None:
        file = self.server.folder / unquote(urlsplit(self.path).path).lstrip("/")
        if not file.is_file():
            return self.answer(404)
        return self.answer_range(file.read_bytes(), {"Last-Modified": formatdate(file.stat().st_mtime, usegmt=True)})

    do_HEAD = do_GET


def tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()}"'


@dataclass(frozen=True)
class Stored:
    """An object."""

    body: bytes
    modified: float

    def headers(self) -> dict[str, str]:
        return {"ETag": tag(self.body), "Last-Modified": formatdate(self.modified, usegmt=True)}

    def listed(self, key: str) -> str:
        modified = datetime.fromtimestamp(self.modified, UTC).isoformat(timespec="milliseconds")
        return (
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.body)}</Size>"
            f"<LastModified>{modified}</LastModified><ETag>{tag(self.body)}</ETag></Contents>"
        )


class ObjectServer(Server):
    """One bucket, for one access key, in one region."""

    def __init__(self) -> None:
        super().__init__(ObjectHandler)
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()

    @property
    def options(self) -> dict[str, str]:
        """The storage options that reach it."""
        return {"endpoint_url": self.url, "region": REGION, "access_key_id": KEY, "secret_access_key": SECRET}

    def put(self, key: str, body: bytes, *, create: bool = False) -> bool:
        """Whether the object was stored; with ``create`` not over another one."""
        with self.lock:
            if create and key in self.objects:
                return False
            self.objects[key] = Stored(body, time.time())
            return True


class ObjectHandler(Handler):
    """Path-style requests of S3's protocol. Who asks is checked by access key and region, not by the signature."""

    server: ObjectServer

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        scope = rf"AWS4-HMAC-SHA256 Credential={KEY}/\d{{8}}/{REGION}/s3/aws4_request, SignedHeaders=.+, Signature=.+"
        if not re.fullmatch(scope, self.headers.get("Authorization", "")):
            return self.refuse(403, "InvalidAccessKeyId", "The access key does not exist in our records.")
        url = urlsplit(self.path)
        bucket, _, self.key = unquote(url.path).lstrip("/").partition("/")
        self.query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if bucket != BUCKET:
            return self.refuse(404, "NoSuchBucket", "The specified bucket does not exist.")
        return self.act(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = respond

    def act(self, body: bytes) -> None:
        match self.command:
            case "GET" | "HEAD":
                return self.get() if self.key else self.list_objects()
            case "PUT":
                return self.put_part(body) if "partNumber" in self.query else self.put(body)
            case "POST" if "delete" in self.query:
                return self.delete([found.text or "" for found in ElementTree.fromstring(body).iterfind(".//{*}Key")])
            case "POST" if "uploads" in self.query:
                return self.begin()
            case "POST":
                return self.complete(body)
        if "uploadId" in self.query:
            self.server.uploads.pop(self.query["uploadId"], None)
        else:
            self.server.objects.pop(self.key, None)
        return self.answer(204)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())

    def get(self) -> None:
        stored = self.server.objects.get(self.key)
        if stored is None:
            return self.refuse(404, "NoSuchKey", "The specified key does not exist.")
        return self.answer_range(stored.body, stored.headers())

    def list_objects(self) -> None:
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter")
        with self.server.lock:
            found = {key: it for key, it in sorted(self.server.objects.items()) if key.startswith(prefix)}
        listed, folders = [], set()
        for key, stored in found.items():
            name, below, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if below:
                folders.add(f"<CommonPrefixes><Prefix>{escape(prefix + name + below)}</Prefix></CommonPrefixes>")
            else:
                listed.append(stored.listed(key))
        self.answer(200, f"<ListBucketResult>{''.join([*listed, *sorted(folders)])}</ListBucketResult>".encode())

    def put(self, body: bytes) -> None:
        if not self.server.put(self.key, body, create=self.headers.get("If-None-Match") == "*"):
            return self.refuse(412, "PreconditionFailed", "The object exists already.")
        return self.answer(200, headers={"ETag": tag(body)})

    def delete(self, keys: list[str]) -> None:
        for key in keys:
            self.server.objects.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        self.answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def begin(self) -> None:
        upload = f"upload-{next(self.server.numbers)}"
        self.server.uploads[upload] = {}
        result = f"<UploadId>{upload}</UploadId>"
        self.answer(200, f"<InitiateMultipartUploadResult>{result}</InitiateMultipartUploadResult>".encode())

    def put_part(self, body: bytes) -> None:
        parts = self.server.uploads.get(self.query["uploadId"])
        if parts is None:
            return self.refuse(404, "NoSuchUpload", "The upload does not exist.")
        parts[int(self.query["partNumber"])] = body
        return self.answer(200, headers={"ETag": tag(body)})

    def complete(self, body: bytes) -> None:
        parts = self.server.uploads.pop(self.query["uploadId"], {})
        named = [
            (int(part.findtext("{*}PartNumber", "0")), part.findtext("{*}ETag"))
            for part in ElementTree.fromstring(body).iterfind("{*}Part")
        ]
        if not parts or named != [(number, tag(part)) for number, part in sorted(parts.items())]:
            return self.refuse(400, "InvalidPart", "The parts are not those that were put.")
        whole = b"".join(part for _, part in sorted(parts.items()))
        self.server.put(self.key, whole)
        result = f"<ETag>{escape(tag(whole))}</ETag>"
        return self.answer(200, f"<CompleteMultipartUploadResult>{result}</CompleteMultipartUploadResult>".encode())
