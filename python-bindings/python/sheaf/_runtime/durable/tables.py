"""What is saved with the head of a cluster: files by name in its tables, over HTTP."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from sheaf._runtime import process

if TYPE_CHECKING:
    from sheaf._runtime.environment import Head

# A head that starts again is asked again after each of these.
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
_DONE = (HTTPStatus.OK, HTTPStatus.CREATED)


class Tables:
    """The part of the head's tables below a name; it has the methods of ``sheaf._sheaf.Blobs``."""

    def __init__(self, url: str) -> None:
        self._root = url.partition("://")[2].strip("/")
        head = process.head()
        if head is None:
            raise OSError(
                f"{url} is kept by the head of a cluster, and this program runs in none\n"
                "  help: sheaf head --state-dir FOLDER, and init('sheaf://host:port'); or a folder or URL as the store"
            )
        self._head: Head = head

    def create(self, name: str, data: bytes) -> bool:
        """Write a file, whole or not at all; ``False`` where there is one."""
        status, _ = self._ask("PUT", self._file(name), data, HTTPStatus.CONFLICT)
        return status == HTTPStatus.CREATED

    def read(self, name: str) -> bytes | None:
        """What a file has; ``None`` where there is none."""
        status, data = self._ask("GET", self._file(name), None, HTTPStatus.GONE)
        return data if status == HTTPStatus.OK else None

    def names(self, folder: str | None = None) -> list[str]:
        """The names of files, in a folder or in all."""
        prefix = f"{self._root}/" if folder is None else f"{self._root}/{folder}/"
        _, data = self._ask("GET", f"/api/durable/names/{quote(prefix)}", None)
        return [name.removeprefix(f"{self._root}/") for name in json.loads(data)]

    def delete(self, names: list[str]) -> None:
        """Delete files; those that are not there do not matter."""
        self._ask("POST", "/api/durable/delete", json.dumps([f"{self._root}/{name}" for name in names]).encode())

    def _file(self, name: str) -> str:
        return f"/api/durable/files/{quote(f'{self._root}/{name}')}"

    def _ask(self, method: str, path: str, body: bytes | None, *others: HTTPStatus) -> tuple[int, bytes]:
        """An answer that is done, or one of the others; anything else is an ``OSError``."""
        from http.client import HTTPException

        for pause in (*_PAUSES_SECONDS, None):
            try:
                status, data = self._answer(method, path, body)
            except (OSError, HTTPException) as error:
                if pause is None:
                    raise OSError(f"{self._head} does not answer: {error or type(error).__name__}") from error
                time.sleep(pause)
                continue
            if status in _DONE or status in others:
                return status, data
            told = data.decode(errors="replace")
            raise OSError(f"{self._head} does not keep what it is given: {status} {told}")
        raise AssertionError

    def _answer(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = self._head.connection()
        try:
            connection.request(method, path, body, self._head.credentials())
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
