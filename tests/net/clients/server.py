# SPDX-License-Identifier: MIT
"""server.py PORT: an HTTP server of the standard library that never comes to an answer."""
import http.server
import sys
import threading


class Holds(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        threading.Event().wait()


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Holds)
server.daemon_threads = True
print("ready", flush=True)
server.serve_forever()
