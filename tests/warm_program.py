"""Programs that start at once: forked from a process that has imported what they need.

Importing torch, Lightning and Hydra takes seconds of a processor; a program whose start is not what
is tested is forked from a server that has done it. The server starts no thread and runs no test, so
that its children differ from programs of their own in nothing but that, and in how they end: Python
would free all that the server imported, a second's work on pages that are copied for it.
"""

import atexit
import contextlib
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

NUMBERS = struct.Struct("ii")  # a process and its exit code


class Server:
    """A process that starts programs; `program` forks one."""

    def __init__(self):
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def program(self, arguments, cwd, environment, output=None):
        """Start a script with its arguments; what it prints goes to `output`, or can be read."""
        request = json.dumps([list(arguments), str(cwd), dict(environment)]).encode()
        ended, theirs_ended = os.pipe()
        if output is not None:
            socket.send_fds(self.socket, [request], [output, output, theirs_ended])
            os.close(theirs_ended)
            return Program(list(arguments), None, None, ended)
        (out, theirs_out), (err, theirs_err) = os.pipe(), os.pipe()
        socket.send_fds(self.socket, [request], [theirs_out, theirs_err, theirs_ended])
        for descriptor in (theirs_out, theirs_err, theirs_ended):
            os.close(descriptor)
        return Program(list(arguments), out, err, ended)

    def close(self):
        self.socket.close()  # upon which it ends
        self.process.wait(timeout=30)


class Program:
    """What subprocess.Popen gives of a process: its number, output and exit code."""

    def __init__(self, arguments, out, err, ended):
        self.args, self.returncode = arguments, None
        self.stdout, self.stderr = (one and os.fdopen(one, encoding="utf-8") for one in (out, err))
        self._ended, self._texts = ended, {}
        self._readers = []
        self.pid, _ = NUMBERS.unpack(os.read(ended, NUMBERS.size))

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            _, self.returncode = NUMBERS.unpack(os.read(self._ended, NUMBERS.size))
            os.close(self._ended)
        return self.returncode

    def communicate(self, timeout=None):
        end = time.monotonic() + timeout if timeout is not None else None
        if not self._readers:
            for stream in (self.stdout, self.stderr):
                reader = threading.Thread(target=self._read, args=[stream], daemon=True)
                reader.start()
                self._readers.append(reader)
        for reader in self._readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        return self._texts[self.stdout], self._texts[self.stderr]

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def _read(self, stream):
        self._texts[stream] = "" if stream.closed else stream.read()
        stream.close()


def _serve(requests):
    """Fork a program per request; return in it, with its arguments."""
    while True:
        request, descriptors, *_ = socket.recv_fds(requests, 2**20, 3)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # so that their time counts as that of the tests
                pass
        if not request:
            os._exit(0)
        if os.fork() == 0:
            return _become(requests, request, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(requests, request, out, err, ended):
    requests.close()
    arguments, cwd, environment = json.loads(request)
    pid = os.fork()
    if pid:  # a parent that does nothing but wait for the program
        for descriptor in (out, err):
            os.close(descriptor)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.write(ended, NUMBERS.pack(pid, 0))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(ended, NUMBERS.pack(pid, code))
        os._exit(0)
    os.close(ended)
    for descriptor, standard in ((out, 1), (err, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    random.seed()
    sys.argv[:] = arguments
    sys.path[0] = os.path.dirname(arguments[0])
    return arguments[0]


def _run(script):
    """Run a script to its end: that of Python, except that memory is left to the system."""
    code = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException as end:
        if not isinstance(end, SystemExit) or not isinstance(end.code, int | None):
            gc.unfreeze()
            raise
        code = end.code or 0
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code & 0xFF)


def _import_what_programs_need():
    """Not vaelab.cli, which notes when it was started."""

    import vaelab.evaluate
    import vaelab.figures
    import vaelab.report
    import vaelab.run
    import vaelab.sweep.run
    import vaelab.visualize  # noqa: F401


if __name__ == "__main__":
    _import_what_programs_need()
    assert threading.active_count() == 1
    gc.freeze()  # what is imported stays, so no program need look through it, and copy its pages
    _run(_serve(socket.socket(fileno=int(sys.argv[1]))))
