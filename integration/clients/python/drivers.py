"""psycopg 3 and asyncpg: pipelines, binary values, statements prepared by themselves, types looked up, cursors, COPY."""

import asyncio
import io
import logging
import os
import uuid

import asyncpg
import psycopg
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Jsonb

dsn = os.environ["DSN"]
logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # what it says of a failed pipeline depends on time


def sync():
    conn = psycopg.connect(dsn, prepare_threshold=2)
    cur = conn.cursor()
    cur.execute("CREATE TABLE things (id int PRIMARY KEY, doc jsonb, tags text[], u uuid, f float8)")
    cur.executemany(
        "INSERT INTO things VALUES (%s, %s, %s, %s, %s)",
        [(i, Jsonb({"n": i}), ["a", None, str(i)], uuid.UUID(int=i), i / 3) for i in range(1, 41)],
    )
    print("executemany", cur.rowcount)
    conn.commit()
    for binary in (False, True):
        with conn.cursor(binary=binary) as c:
            for i in range(1, 6):
                print(c.execute("SELECT * FROM things WHERE id = %s", (i,)).fetchone(), [d.type_code for d in c.description])
            print(c.execute("SELECT id, tags FROM things WHERE id = any(%s) ORDER BY id", ([40, 2, 1],)).fetchall())
            print(c.execute("SELECT id % 3 AS m, count(*), max(tags) FROM things GROUP BY m ORDER BY m").fetchall())
    with conn.pipeline():
        answers = [conn.execute("SELECT id, doc FROM things WHERE id = %s", (i,)) for i in range(1, 12)]
        conn.execute("INSERT INTO things (id) VALUES (50), (51), (52)")
        total = conn.execute("SELECT count(*) FROM things")
        print([a.fetchone() for a in answers], total.fetchone())
    conn.commit()
    try:
        with conn.pipeline():
            conn.execute("INSERT INTO things (id) VALUES (60)")
            conn.execute("INSERT INTO things (id) VALUES (61), (50)")
            conn.execute("INSERT INTO things (id) VALUES (62)")
    except psycopg.errors.UniqueViolation as e:
        print(e.diag.message_primary, e.diag.message_detail, e.diag.constraint_name)
    conn.rollback()
    with conn.cursor("held", withhold=True, scrollable=True, binary=True) as held:
        held.execute("SELECT id, f FROM things WHERE id < 30 ORDER BY id DESC")
        print(held.fetchmany(2))
        conn.commit()
        # types that are made while the session holds connections
        conn.execute("DO $$ BEGIN CREATE TYPE mood AS ENUM ('sad', 'ok'); EXCEPTION WHEN duplicate_object THEN null; END $$")
        conn.execute("CREATE TYPE pair AS (x int, y text)")
        conn.execute("CREATE TABLE felt (id int PRIMARY KEY, m mood, ms mood[], p pair, ps pair[])")
        conn.commit()
        mood, pair = EnumInfo.fetch(conn, "mood"), CompositeInfo.fetch(conn, "pair")
        register_enum(mood, conn)
        register_composite(pair, conn)
        for i in range(8):
            row = (i, mood.enum.ok, [mood.enum.sad, mood.enum.ok], pair.python_type(i, 'q"'), [pair.python_type(1, None)])
            conn.execute("INSERT INTO felt VALUES (%s, %s, %s, %s, %s)", row)
        print(conn.cursor(binary=True).execute("SELECT * FROM felt ORDER BY id").fetchall())
        print(held.fetchone())
    conn.commit()
    with cur.copy("COPY things (id, u, f) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int4", "uuid", "float8"])
        for i in range(100, 130):
            copy.write_row((i, uuid.UUID(int=i), i / 2))
    with cur.copy("COPY (SELECT id, u FROM things WHERE id > 97 ORDER BY id LIMIT 5) TO STDOUT (FORMAT binary)") as copy:
        copy.set_types(["int4", "uuid"])
        print(list(copy.rows()))
    conn.commit()
    conn.execute("SET TIME ZONE INTERVAL '+02:30' HOUR TO MINUTE")
    print(conn.execute("SELECT DISTINCT current_setting('timezone') FROM things").fetchall())
    conn.close()


async def attempt(statement):
    try:
        print(await statement)
    except asyncpg.PostgresError as e:
        print(type(e).__name__, e.sqlstate, e.message, e.detail, getattr(e, "constraint_name", None))


async def asynchronous():
    params = psycopg.conninfo.conninfo_to_dict(dsn)
    options = params.pop("options", "")
    settings = dict([options.removeprefix("-c ").split("=")]) if options else None
    place = {k: params.get(k) for k in ("host", "port", "user", "database")} | {"database": params["dbname"]}
    conn = await asyncpg.connect(**place, server_settings=settings)
    rows = await conn.fetch("SELECT * FROM felt ORDER BY id")
    print([dict(r) for r in rows])
    statement = await conn.prepare("SELECT * FROM felt WHERE m = $1 AND id = $2")
    print([(a.name, a.type.name, a.type.kind) for a in statement.get_attributes()], [p.name for p in statement.get_parameters()])
    print([await statement.fetchval("ok", i, column=3) for i in range(4)])
    await conn.executemany("INSERT INTO felt (id, ms, p) VALUES ($1, $2, $3)", [(i, ["ok"], (i, None)) for i in range(20, 40)])
    await attempt(conn.executemany("INSERT INTO felt (id) VALUES ($1)", [(200,), (201,), (20,), (202,)]))
    print(await conn.fetchval("SELECT count(*) FROM felt"))
    async with conn.transaction():
        print([r["id"] async for r in conn.cursor("SELECT id FROM felt ORDER BY id", prefetch=7)])
        cursor = await conn.cursor("SELECT id, p FROM felt WHERE id > $1 ORDER BY id", 3)
        print(await cursor.fetch(2), await cursor.forward(6), await cursor.fetchrow())
    print(await conn.copy_records_to_table("felt", records=[(i, "sad") for i in range(300, 350)], columns=["id", "m"]))
    await attempt(conn.copy_records_to_table("felt", records=[(400,), (300,)], columns=["id"]))
    out = io.BytesIO()
    print(await conn.copy_from_query("SELECT id, m FROM felt WHERE id >= $1 ORDER BY id LIMIT 3", 300, output=out, format="csv"), out.getvalue())
    heard = asyncio.get_running_loop().create_future()
    await conn.add_listener("news", lambda _, __, channel, payload: heard.set_result((channel, payload)))
    await conn.execute("NOTIFY news, 'hello'")
    print(await asyncio.wait_for(heard, 30))
    other = await asyncpg.connect(**place)
    print(len(await conn.fetchrow("SELECT * FROM felt WHERE id = $1", 1)))
    await other.execute("ALTER TABLE felt ADD COLUMN more int DEFAULT 5")
    print(await conn.fetchrow("SELECT more, id FROM felt WHERE id = $1", 1), len(await conn.fetchrow("SELECT * FROM felt WHERE id = $1", 1)))
    await conn.reset()
    await other.close()
    await conn.close()


sync()
asyncio.run(asynchronous())
