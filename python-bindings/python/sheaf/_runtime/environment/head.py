"""The head of a cluster as a keeper of packages: drivers give them to it over HTTP, and nodes get them from it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sheaf._runtime.environment import cache, packages
from sheaf.exceptions import RuntimeEnvSetupError

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPConnection, HTTPResponse

_PART_BYTES = 1 << 20
# How long it may be silent.
_SILENCE_SECONDS = 30.0
# One that starts again, or is busy, is asked again after each of these.
_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
_WORDS_BYTES = 1_000


@dataclass(frozen=True)
class Head:
    """Where the head is, and what lets one in, as a driver or node was told."""

    place: str
    """Host and port."""
    token_file: str | None = None
    tls: tuple[str, str, str] | None = None
    """The files of the certificate, its key, and the authority of the head's."""

    @classmethod
    def at(cls, address: str, token_file: str | None, tls: tuple[str, str, str] | None) -> Head:
        """That of a driver, which may go to another folder."""
        files = None if tls is None else (os.path.abspath(tls[0]), os.path.abspath(tls[1]), os.path.abspath(tls[2]))
        return cls(address.rsplit("://")[-1], None if token_file is None else os.path.abspath(token_file), files)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Head | None:
        """That of a node, by what it tells its workers; ``None`` where there is none."""
        tls = told.get("tls")
        place = told.get("head")
        return None if place is None else cls(place, told.get("token_file"), (tls[0], tls[1], tls[2]) if tls else None)

    @property
    def told(self) -> dict[str, Any]:
        """What ``of`` makes the same of."""
        return {"head": self.place, "token_file": self.token_file, "tls": self.tls}

    def give(self, sha256: str, file: Path, what: str, until: float) -> None:
        """Let it have a package, unless it has it. Raises ``RuntimeEnvSetupError``."""

        def give() -> None:
            with self._answer("HEAD", sha256) as answer:
                if answer.status == HTTPStatus.OK:
                    return
            with file.open("rb") as source, self._answer("PUT", sha256, source, file.stat().st_size) as answer:
                _check(answer)

        self._tried(give, f"runtime_env: {what} cannot be given to {self}", until)

    def get(self, sha256: str, path: Path, until: float) -> None:
        """Write a package of it to a file. Raises ``RuntimeEnvSetupError``."""

        def get() -> None:
            with path.open("wb+") as target, self._answer("GET", sha256) as answer:
                _check(answer)
                cache.check_room(path.parent, answer.length or 0)
                while part := answer.read(_PART_BYTES):
                    target.write(part)
                    if time.monotonic() > until:
                        raise RuntimeEnvSetupError(f"the package {sha256} did not come in time from {self}")
                target.flush()
                if (found := packages.hash_of(target)) != sha256:
                    raise ConnectionError(f"what came has the hash {found}")

        self._tried(get, f"the package {sha256} cannot be had from {self}", until)

    def _tried(self, act: Callable[[], None], what: str, until: float) -> None:
        """Do it again where the reason why it failed may pass."""
        from http.client import HTTPException

        for pause in (*_PAUSES_SECONDS, None):
            try:
                return act()
            except (OSError, HTTPException) as error:
                if cache.is_no_room(error):
                    raise
                if pause is None or time.monotonic() + pause > until:
                    raise RuntimeEnvSetupError(f"{what}: {error or type(error).__name__}") from error
            except LookupError as error:
                raise RuntimeEnvSetupError(f"{what}: {error.args[0]}") from error
            time.sleep(pause)
        return None

    @contextlib.contextmanager
    def _answer(self, method: str, sha256: str, body: IO[bytes] | None = None, size: int = 0) -> Iterator[HTTPResponse]:
        connection = self.connection()
        headers = {} if body is None else {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        try:
            connection.request(method, f"/api/packages/{sha256}", body, headers | self.credentials())
            yield connection.getresponse()
        finally:
            connection.close()

    def credentials(self) -> dict[str, str]:
        """The headers that let one in."""
        if self.token_file is None:
            return {}
        token = Path(self.token_file).read_text(encoding="utf-8").partition("\n")[0].strip()
        return {"Authorization": f"Bearer {token}"}

    def connection(self) -> HTTPConnection:
        """A connection to it, which the first request opens. A silent head is given up after half a minute."""
        # Only who has a package to move needs these: a worker starts faster without.
        from http import client

        if self.tls is None:
            return client.HTTPConnection(self.place, timeout=_SILENCE_SECONDS)
        return client.HTTPSConnection(self.place, timeout=_SILENCE_SECONDS, context=_context(self.tls))

    def __str__(self) -> str:
        return f"the head at {self.place}"


def _context(files: tuple[str, str, str]) -> ssl.SSLContext:
    import ssl

    certificate, key, authority = files
    context = ssl.create_default_context(cafile=authority)
    # Python asks for more of an authority from 3.13 on than nodes do among themselves.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_cert_chain(certificate, key)
    return context


def _check(answer: HTTPResponse) -> None:
    """Raise for an answer that is a refusal: ``OSError`` for one that may pass, ``LookupError`` for any other."""
    if answer.status < HTTPStatus.BAD_REQUEST:
        return
    words = f"{answer.status} {answer.reason}: {answer.read(_WORDS_BYTES).decode(errors='replace').strip()}"
    if answer.status == HTTPStatus.NOT_FOUND:
        # A driver that lives gives it again in a moment.
        raise ConnectionError(
            "it has it no more: it keeps what was used last, and nothing when it starts again, "
            "and the driver that gave it is gone"
        )
    raise LookupError(words) if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR else ConnectionError(words)
