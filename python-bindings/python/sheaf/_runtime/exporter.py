"""The metrics of this driver's node over HTTP, at ``/metrics``, for Prometheus on the same machine."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sheaf._runtime import process, reporter
from sheaf.errors import SheafError

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PATIENCE_SECONDS = 5


class Exporter:
    """A server on this port of the loopback interface, or on any that is free for 0, until ``close``."""

    def __init__(self, port: int) -> None:
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise OSError(
                error.errno, f"the metrics cannot be served on port {port}: {error.strerror or error}"
            ) from error
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="sheaf-exporter", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_SECONDS

    def do_GET(self) -> None:
        """Answer with the metrics as they are now."""
        if self.path.split("?")[0] != "/metrics":
            return self.send_error(404, "there is only /metrics")
        try:
            reporter.tell()
            text = process.client().metrics_text().encode()
        except (SheafError, RuntimeError) as error:
            return self.send_error(503, str(error).split("\n")[0])
        # Whoever asked may be gone.
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Type", _CONTENT_TYPE)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the driver's output is the user's."""
