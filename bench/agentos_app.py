"""AgentOS with the benchmark's agents, for `uvicorn --factory bench.agentos_app:create_app`."""

from __future__ import annotations

import os

from agno.db.sqlite import AsyncSqliteDb, SqliteDb
from agno.os import AgentOS
from fastapi import FastAPI

from bench.agents.tokens import bench_20, bench_200, bench_live


def create_app() -> FastAPI:
    """AgentOS on the SQLite file `BENCH_DB`.

    `BENCH_DB_KIND` chooses Agno's class for it. `sync` is the default, as it gave AgentOS more requests a
    second than `async` in all eight cells of two quick runs each (1.07 to 2.04 times). `async` had the
    sooner first token in some cells with 20 clients.
    """
    file = os.environ["BENCH_DB"]
    sync = os.environ.get("BENCH_DB_KIND", "sync") == "sync"
    db: SqliteDb | AsyncSqliteDb = SqliteDb(db_file=file) if sync else AsyncSqliteDb(db_file=file)
    agents = [bench_20(), bench_200(), bench_live()]
    for agent in agents:
        agent.db = db
    app: FastAPI = AgentOS(agents=list(agents), db=db, telemetry=False).get_app()
    return app
