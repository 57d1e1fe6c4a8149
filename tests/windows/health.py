#!/usr/bin/env python3
"""health.py FOLDER CERTIFICATE [PORT...]: the server's own health page, as Exchange's front and back end show it.

FOLDER is the doubles' (C:\\doubles of the prefix). health.mode in it, read at each question: ok (what pool.health says), 503,
hang, wrong-host, or reset. CERTIFICATE is self-signed, with its key in the same file. The first good answer after an act
ends the server's time out of service: that is an effect ("in").
"""
import http.server
import json
import pathlib
import ssl
import sys
import threading
import time

PATH = "/Microsoft-Server-ActiveSync/healthcheck.htm"
HANG_S = 600


class Health:
    def __init__(self, folder):
        self.folder, self.lock = pathlib.Path(folder), threading.Lock()

    def read(self, name, preset):
        try:
            return (self.folder / name).read_text(encoding="ascii").strip() or preset
        except FileNotFoundError:
            return preset

    def note_good(self):
        """A server that answers well is in service again, unless it already was."""
        log = self.folder / "effects.log"
        with self.lock:
            lines = log.read_text(encoding="ascii").splitlines() if log.exists() else []
            last = json.loads(lines[-1]) if lines else {"effect": "in"}
            if last["effect"] == "in":
                return
            now = int(time.time() * 1000)
            effect = {"at_ms": now, "mono_ms": now, "server": last["server"], "effect": "in", "cmd_id": "0" * 32,
                      "pid_before": last["pid_after"], "pid_after": last["pid_after"], "outcome": "ok", "seq": last["seq"],
                      "model_ms": now}
            with open(log, "a", encoding="ascii") as out:
                out.write(json.dumps(effect, separators=(",", ":")) + "\n")


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    health = None

    def do_GET(self):
        mode = self.health.read("health.mode", "ok")
        said = self.health.read("pool.health", "bad no worker")
        host = self.health.read("host", "localhost")
        if mode == "hang":
            time.sleep(HANG_S)
        if mode == "reset":
            self.close_connection = True
            return
        if self.path != PATH:
            return self.answer(404, "Not Found")
        if mode == "503" or (mode == "ok" and said != "good"):
            return self.answer(503, "Service Unavailable")
        if mode == "wrong-host":
            host = "OTHER-CAS99.example.com"
        else:
            self.health.note_good()
        return self.answer(200, f"200 OK<br/>{host}")

    def answer(self, status, body):
        data = body.encode("ascii")
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context = None

    def get_request(self):
        """The handshake is left to the connection's own thread."""
        plain, address = super().get_request()
        return self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_):
        """Who gave up in the middle is of no interest."""


def main():
    folder, certificate, *ports = sys.argv[1:]
    Page.health = Health(folder)
    Server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Server.context.load_cert_chain(certificate)
    for port in [int(p) for p in ports] or [443, 444]:
        server = Server(("", port), Page)
        server.socket.listen(64)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("health: ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
