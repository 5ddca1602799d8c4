"""psycopg2's own ways: server-side cursors, COPY, execute_values, autocommit, types, errors, notifications."""

import datetime
import decimal
import io
import json
import os
import select
import uuid

import psycopg2
import psycopg2.extensions
import psycopg2.extras

dsn = os.environ["DSN"]
conn = psycopg2.connect(dsn)
psycopg2.extras.register_uuid()
cur = conn.cursor()
cur.execute("CREATE TABLE things (id int PRIMARY KEY, doc jsonb, at timestamptz, price numeric(10,2), tags text[], u uuid, raw bytea, ok bool, d date)")
conn.commit()

rows = [
    (i, json.dumps({"n": i, "s": "ünï %d" % i}), datetime.datetime(2024, 1, 1 + i % 28, tzinfo=datetime.timezone.utc),
     decimal.Decimal(i) / 4, ["a", "b c", None, 'q"'], uuid.UUID(int=i), bytes(range(i % 7)), i % 2 == 0, datetime.date(2024, 2, 1 + i % 28))
    for i in range(1, 61)
]
psycopg2.extras.execute_values(cur, "INSERT INTO things VALUES %s", rows, page_size=25)
print("inserted, last page", cur.rowcount)
returned = psycopg2.extras.execute_values(cur, "INSERT INTO things (id) VALUES %s RETURNING id", [(100,), (101,), (102,)], fetch=True)
print("returned", sorted(returned))
psycopg2.extras.execute_batch(cur, "UPDATE things SET ok = %s WHERE id = %s", [(None, i) for i in range(1, 11)])
conn.commit()

cur.execute("SELECT * FROM things ORDER BY id LIMIT 3")
for row in cur.fetchall():
    print([bytes(v) if isinstance(v, memoryview) else v for v in row])
print([d.name for d in cur.description], [d.type_code for d in cur.description])

with conn.cursor("server_side") as named:
    named.itersize = 7
    named.execute("SELECT id FROM things ORDER BY id")
    print("cursor", [r[0] for r in named])
with conn.cursor("any order") as named:
    named.itersize = 11
    named.execute("SELECT id FROM things")
    print("cursor", sorted(r[0] for r in named))
with conn.cursor("both_ways", scrollable=True) as named:
    named.execute("SELECT id, doc FROM things WHERE id <= 60 ORDER BY price DESC, id")
    print("cursor", named.fetchmany(3), named.rowcount)
    named.scroll(20)
    print("cursor", named.fetchone())
    named.scroll(-5)
    print("cursor", named.fetchone())
    named.scroll(58, mode="absolute")
    print("cursor", named.fetchall())
    named.scroll(0, mode="absolute")
    print("cursor", len(named.fetchall()))
with conn.cursor("total") as named:
    named.execute("SELECT count(*), sum(price) FROM things")
    print("cursor", named.fetchall())
held = conn.cursor("held", withhold=True, scrollable=True)
held.execute("SELECT id, tags FROM things ORDER BY id")
print("held", held.fetchmany(2))
conn.commit()
print("held", held.fetchmany(2))
conn.rollback()
held.scroll(50, mode="absolute")
print("held", held.fetchmany(2))
held.close()
conn.commit()
with conn.cursor("of_one_key") as named:
    named.execute("SELECT id FROM things WHERE id = 7")
    print("cursor", [r[0] for r in named])
conn.commit()

with conn.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as dicts:
    dicts.execute("SELECT id, doc FROM things WHERE id IN %s ORDER BY id", ((3, 1, 2),))
    print([dict(r) for r in dicts])
    dicts.execute("SELECT id FROM things WHERE id = ANY(%s) ORDER BY id DESC", ([4, 5, 60],))
    print([r["id"] for r in dicts])

out = io.StringIO()
cur.copy_expert("COPY (SELECT id, price FROM things WHERE id = 5) TO STDOUT WITH CSV HEADER", out)
print(out.getvalue())
cur.copy_expert("COPY things (id, ok) FROM STDIN WITH CSV", io.StringIO("200,true\n201,false\n202,\n"))
print("copied", cur.rowcount)
conn.commit()

for statement in ["INSERT INTO things (id) VALUES (1)", "SELECT nosuch FROM things", "SELECT 1/0", "INSERT INTO things (id) VALUES (300), (1)"]:
    try:
        cur.execute(statement)
    except psycopg2.Error as e:
        print(type(e).__name__, e.pgcode, e.diag.message_primary, e.diag.constraint_name)
        try:
            cur.execute("SELECT 1")
        except psycopg2.errors.InFailedSqlTransaction as again:
            print("then", again.pgcode)
        conn.rollback()

with conn:
    with conn.cursor() as c:
        c.execute("SAVEPOINT s")
        c.execute("DELETE FROM things WHERE id > 190")
        print("deleted", c.rowcount)
        c.execute("ROLLBACK TO s")
with conn.cursor() as c:
    c.execute("SELECT id FROM things WHERE id > 190 ORDER BY id")
    print(c.fetchall())
conn.rollback()

conn.set_session(isolation_level="REPEATABLE READ", readonly=True)
try:
    cur.execute("DELETE FROM things WHERE id = 1")
except psycopg2.Error as e:
    print(type(e).__name__, e.pgcode)
conn.rollback()
conn.set_session(isolation_level="DEFAULT", readonly=False, autocommit=True)
cur.execute("UPDATE things SET ok = true WHERE id = 1")
cur.execute("SET application_name = 'features'")
cur.execute("SHOW application_name")
print(cur.fetchone(), conn.get_parameter_status("application_name"), conn.info.transaction_status)

other = psycopg2.connect(dsn)
other.autocommit = True
cur.execute("LISTEN news")
other.cursor().execute("NOTIFY news, 'hello'")
if select.select([conn], [], [], 30) == ([], [], []):
    raise SystemExit("no notification within 30 s")
conn.poll()
print([(n.channel, n.payload) for n in conn.notifies])

cur.execute("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
print(conn.notices[-1])
print("server", conn.server_version // 10000 >= 15, conn.encoding)
conn.cancel()
other.close()
conn.close()
