"""A web server that answers each path with an HTML page, as a console does, or with JSON from the test."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def web_page(status: int = 200) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return its URL, and the JSON by path; with "recognises" among them it sends X-Alerta-On-Behalf-Of back."""
    routes: dict[str, Any] = {}

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = routes.get(self.path)
            data = b"<html>a page</html>" if found is None else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if "recognises" in routes:
                self.send_header("X-Alerta-On-Behalf-Of", self.headers.get("X-Alerta-On-Behalf-Of", ""))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", routes
    finally:
        server.shutdown()
        server.server_close()
