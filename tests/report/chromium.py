"""Headless Chromium, driven over two pipes by the DevTools protocol: JSON, each ended by a NUL."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-breakpad", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
ABOVE = 10  # file descriptors from here up can't be 3 or 4, where Chromium expects the pipes
TIMEOUT = 60.0
COMPLAINTS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


class Chromium:
    """One page of a browser; `complaints` are its console lines and errors."""

    def __init__(self):
        reads, self.send_to = os.pipe()
        self.read_from, writes = os.pipe()
        pipes = [fcntl.fcntl(pipe, fcntl.F_DUPFD, ABOVE) for pipe in (reads, writes)]
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [PROGRAM, *FLAGS, f"--user-data-dir={self.profile.name}"]
        redirect = f'exec "$@" 3<&{pipes[0]} 4>&{pipes[1]}'
        self.process = subprocess.Popen(
            ["bash", "-c", redirect, "bash", *command], pass_fds=pipes, stderr=subprocess.DEVNULL
        )
        for pipe in (reads, writes, *pipes):
            os.close(pipe)
        self.number, self.received, self.complaints, self.events = 0, b"", [], []
        self.session = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def open(self, url):
        """Go to a page and wait until it is loaded."""
        self.complaints.clear()
        self.events.clear()
        self.ask("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.events:
            self._receive()

    def run(self, script):
        """The value of a JavaScript expression, waited for if it is a promise."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def ask(self, method, **params):
        """One command and its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.send_to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def close(self):
        """End the browser."""
        for pipe in (self.send_to, self.read_from):
            os.close(pipe)  # which is its sign to go
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()

    def _receive(self):
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.read_from], [], [], end - time.monotonic())
            assert ready, f"Chromium has been silent for {TIMEOUT:g} s"
            part = os.read(self.read_from, 1 << 20)
            assert part, "Chromium has ended"
            self.received += part
        line, _, self.received = self.received.partition(b"\0")
        message = json.loads(line)
        self.events.append(message.get("method"))
        if message.get("method") in COMPLAINTS:
            self.complaints.append(json.dumps(message["params"]))
        return message
