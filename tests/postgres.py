"""A PostgreSQL server of the tests' own: real binaries, a temporary folder, a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from tests.proxy import free_port

PACKAGE = "postgresql"
"""Debian's package with the server."""

START_SECONDS = 30.0
STOP_SECONDS = 30.0
_INITDB_SECONDS = 60.0
_PORTS = 3
_FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class Postgres:
    """A server that starts with the `with` block and is gone after it, with its data, even if this process is killed.

    It trusts everyone who can reach it. Its port stays the same through `stop`, `kill` and `start`.
    Where root runs the tests, it runs as the user `postgres`, else `nobody`.

    Args:
        fsync: whether a commit waits for the disk.

    Raises:
        RuntimeError: the server is not installed, or not ready within `START_SECONDS`; the
            message names the package, or has the server's log.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self._options = () if fsync else _FAST
        self._binaries = server_binaries()
        self._user = _server_user()
        self._folder = Path()
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ending:
            self._folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="postgres-")))
            if self._user is not None:
                os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
            ending.enter_context(self._watched())
            ending.callback(self.kill)
            self._make_cluster()
            self._start_on_a_free_port()
            self._ending = ending.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    @property
    def log(self) -> str:
        """All that it has logged."""
        return (self._folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The server's main process."""
        assert self._process is not None, "it is stopped"
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's URL of a database, for psycopg."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/{database}"

    def new_database(self) -> str:
        """The URL of a new, empty database with a name of its own."""
        name = f"test_{secrets.token_hex(8)}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def start(self) -> None:
        """Start it again after `stop` or `kill`; it answers when this returns."""
        assert self._process is None, "it runs already"
        self._process = self._run(
            "postgres",
            *("-D", self._data, "-p", str(self._port), "-k", str(self._folder)),
            *("-c", "listen_addresses=127.0.0.1", *self._options),
        )
        self._wait_until_ready()

    def stop(self) -> None:
        """Shut it down in good order: what is under way is rolled back, and clients are disconnected."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _kill(process)
                raise

    def kill(self) -> None:
        """End all its processes at once, with SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            _kill(process)

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        """With all its processes stopped: connections are taken by the kernel, and nothing is answered."""
        pids = [self.pid, *_children(self.pid)]
        try:
            for pid in pids:
                _signal(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                _signal(pid, signal.SIGCONT)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _make_cluster(self) -> None:
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        process = self._run("initdb", "-D", self._data, *options)
        try:
            status = process.wait(_INITDB_SECONDS)
        except BaseException:
            _kill(process)
            raise
        if status != 0:
            raise RuntimeError(f"initdb failed:\n{self.log[-4_000:]}")

    def _start_on_a_free_port(self) -> None:
        """Another process may take the port between the look and the start."""
        for attempt in range(1, _PORTS + 1):
            self._port = free_port()
            try:
                self.start()
                break
            except RuntimeError:
                if attempt == _PORTS or "Address already in use" not in self.log:
                    raise

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Have the server stopped and its folder removed where this process ends before the `with` block."""
        script = 'read -r _; "$0" -D "$1/data" -m immediate stop; rm -rf "$1"'
        watcher = self._popen("sh", "-c", script, str(self._binaries / "pg_ctl"), str(self._folder), stdin=True)
        try:
            yield
        finally:
            watcher.kill()
            watcher.communicate(timeout=STOP_SECONDS)

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        return self._popen(str(self._binaries / program), *arguments)

    def _popen(self, *command: str, stdin: bool = False) -> subprocess.Popen[bytes]:
        """Start `command` as the server's user, in a process group of its own, with nothing of our environment."""
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self._folder,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log[-4_000:]}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self._execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(
            host="127.0.0.1", port=self._port, user="postgres", dbname="postgres", autocommit=True, connect_timeout=5
        ) as connection:
            connection.execute(statement)


def server_binaries() -> Path:
    """The folder with the newest server that is installed.

    Raises:
        RuntimeError: there is none; the message names the package.
    """
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    if not folders:
        raise RuntimeError(
            f"This test needs a PostgreSQL server: `apt-get install {PACKAGE}` on Debian, else its `initdb` in PATH."
        )
    return max(folders, key=lambda folder: [int(digits) for digits in re.findall(r"\d+", str(folder))])


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as, which refuses to run as root; None is oneself."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill `process` and its children, which PostgreSQL puts into groups of their own, and wait for their end."""
    children = _children(process.pid) if process.poll() is None else []
    for pid in children:
        _signal(pid, signal.SIGKILL)
    process.kill()
    process.wait(STOP_SECONDS)
    deadline = time.monotonic() + STOP_SECONDS
    while any(_runs(pid) for pid in children):
        assert time.monotonic() < deadline, "processes of PostgreSQL do not end"
        time.sleep(0.01)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _runs(pid: int) -> bool:
    """False also for one that has ended and that its new parent has not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
