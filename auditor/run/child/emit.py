"""Sends events to the parent: one JSON object a line, through a pipe that the parent opened."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading

_WATCHED = {"socket.connect": 1, "socket.getaddrinfo": 0, "subprocess.Popen": 1, "os.system": 0, "ctypes.dlopen": 0}


class Emitter:
    """Writes events in the order in which they happen; any thread may call it."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1 << 16)
        os.set_inheritable(descriptor, False)
        self._lock = threading.Lock()

    def emit(self, event: dict) -> None:
        """Send one event."""
        text = json.dumps(event, separators=(",", ":"))
        with self._lock:
            if not self._file.closed:
                self._file.write(text + "\n")

    def close(self) -> None:
        """Send what is buffered; later events are dropped."""
        with self._lock:
            self._file.close()


class Tee:
    """Standard output that also tells each finished line as an event; `before_line` is called first.

    A line is written at once, when it is complete or flushed: those of several ranks lie on one stream.
    """

    def __init__(self, stream, emitter: Emitter, before_line) -> None:
        self._stream = stream
        self._emitter = emitter
        self._before_line = before_line
        self._rest = ""  # of the line that is not complete
        self._held = ""  # of it, what was not written yet

    def write(self, text: str) -> int:
        """Write the lines that are complete, and tell them."""
        self._held += text
        *lines, self._rest = (self._rest + text).split("\n")
        if lines:
            whole = len(self._held) - len(self._rest)
            self._stream.write(self._held[:whole])
            self._held = self._held[whole:]
            self._before_line()
        for line in lines:
            self._emitter.emit({"t": "line", "text": line})
        return len(text)

    def flush(self) -> None:
        """Write what is left, and flush the stream below."""
        self._stream.write(self._held)
        self._held = ""
        self._stream.flush()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def _told(what) -> str:
    """An address, a path, or a command with its words joined by spaces."""
    if isinstance(what, list):
        return " ".join(map(_told, what))
    return os.fsdecode(what) if isinstance(what, str | bytes | os.PathLike) else str(what)


def watch_system(emit) -> None:
    """Tell which data files are opened and what is started or connected to."""

    def hook(name: str, arguments: tuple) -> None:
        if name == "open":
            path, mode = arguments[0], arguments[1]
            if isinstance(path, str | bytes | os.PathLike) and "fineweb" in os.fsdecode(path):
                emit({"t": "open", "path": os.fsdecode(path), "mode": str(mode)})
        elif name in _WATCHED:
            emit({"t": "system", "call": name, "what": _told(arguments[_WATCHED[name]])[:300]})

    sys.addaudithook(hook)


def exchange(folder: str, emit) -> None:
    """Before the script reads a file that it has written, put the file of that name from a folder in its place."""
    root, source = os.getcwd(), os.path.abspath(folder)
    busy = threading.local()

    def hook(name: str, arguments: tuple) -> None:
        if name != "open" or getattr(busy, "now", False) or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        mode, flags = arguments[1], arguments[2] or 0
        if (isinstance(mode, str) and mode.strip("bt") != "r") or flags & (os.O_WRONLY | os.O_RDWR):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))
        other = os.path.join(source, os.path.relpath(path, root))
        busy.now = True
        try:
            if os.path.isfile(other) and os.path.isfile(path) and path.startswith(root + os.sep):
                shutil.copyfile(other, path)
                emit({"t": "swapped", "path": os.path.relpath(path, root)})
        finally:
            busy.now = False

    sys.addaudithook(hook)
