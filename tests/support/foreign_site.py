"""A hostile web site on another port of this machine, which its visitor's browser calls the same site as a console."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

_PAGE = """<!doctype html><title>a foreign page</title>
<p id="read"></p><p id="done"></p>
<form method="post" action="{origin}/log-out"><button>win</button></form>
<iframe src="{origin}/links/eucom-ndmc/board"></iframe>
<script>
const target = "{origin}";
const board = target + "/links/eucom-ndmc/board";
const tried = async (name, attempt) => {{
  try {{
    await attempt();
    return `${{name}}: read`;
  }} catch {{
    return `${{name}}: refused`;
  }}
}};
const loaded = (it) => new Promise((resolve, reject) => {{
  it.onload = it.onopen = resolve;
  it.onerror = reject;
}});
(async () => {{
  const found = [
    await tried("fetch", async () => (await fetch(board, {{credentials: "include"}})).text()),
    await tried("image", () => loaded(Object.assign(new Image(), {{src: target + "/static/icon-exercise.svg"}}))),
    await tried("stream", () => loaded(new EventSource(target + "/stream", {{withCredentials: true}}))),
  ];
  document.getElementById("read").textContent = found.join("; ");
  document.getElementById("done").textContent = "done";
}})();
</script>
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        origin = parse_qs(urlsplit(self.path).query).get("origin", [""])[0]
        page = _PAGE.format(origin=origin).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class ForeignSite:
    """Serves the page while it is entered."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def page(self, origin: str) -> str:
        """Return the address of a page that attacks the console at `origin`."""
        return f"http://localhost:{self._server.server_address[1]}/?origin={quote(origin, safe='')}"
