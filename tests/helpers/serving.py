"""The server for phones, started as the lecture starts it, and asked byte by byte."""

import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager

import psutil

from browsing import end
from fooling_utils.web import HERE


class Server:
    """A running server: its process, its port, and its first line."""

    def __init__(self, process, line):
        self.process, self.line = process, line
        self.port = int(re.search(r":(\d+)/$", line)[1])

    def connect(self, receive=None):
        """A connection to it, which keeps at most `receive` bytes that are not read."""
        connection = socket.socket()
        connection.settimeout(20)
        if receive:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def ask(self, path, *headers, method="GET", body=b"", host="x"):
        """Status, headers (with names in lower case) and body of an answer; nothing in the path is changed."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        with self.connect() as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            answer = b""
            while piece := connection.recv(1 << 16):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        named = (line.split(": ", 1) for line in lines)
        return int(status.split()[1]), {name.lower(): value for name, value in named}, body

    def memory(self):
        """The bytes that it holds now."""
        return psutil.Process(self.process.pid).memory_info().rss


@contextmanager
def server_of(folder, *options):
    """A server of a folder on a free port."""
    command = [sys.executable, str(HERE / "serve.py"), str(folder), "--port", "0", *options]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline().strip()
        assert line, "it has not begun"
        yield Server(process, line)
    finally:
        end(process)
        process.stdin.close()
        process.stdout.close()
