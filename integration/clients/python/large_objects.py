"""Large objects: psycopg2's, which call functions by oid (libpq's lo_*), and psql's commands."""

import os
import re
import subprocess
import tempfile

import psycopg2

conn = psycopg2.connect(os.environ["DSN"])
cur = conn.cursor()
cur.execute("create table files (name text primary key, body oid)")
conn.commit()

data = bytes(range(256)) * 40_000  # 10 MB
big = conn.lobject(0, "wb")
for at in range(0, len(data), 1_000_000):
    print("wrote", big.write(data[at : at + 1_000_000]))
print("at", big.tell())
big.close()
cur.execute("insert into files values (%s, %s), (%s, %s) returning name", ("big", big.oid, "none", None))
print(cur.fetchall())
conn.commit()

again = conn.lobject(big.oid, "rb")
print("same", again.read() == data)
print("seek", again.seek(-3, os.SEEK_END), again.read())
again.close()
conn.rollback()

small = conn.lobject(0, "w", 0)
print("text", small.write("h\u00e9llo"), small.seek(0), small.tell())
small.truncate(3)
small.close()
conn.rollback()
try:
    conn.lobject(small.oid, "r")
except psycopg2.Error as e:
    print(re.sub(r"\d+", "N", str(e)).strip())
try:
    cur.execute("select 1")
except psycopg2.Error as e:
    print(type(e).__name__)
conn.rollback()

with tempfile.TemporaryDirectory() as folder:
    source, copy = os.path.join(folder, "source"), os.path.join(folder, "copy")
    with open(source, "wb") as f:
        f.write(data[:100_000])
    made = conn.lobject(0, "n", 0, source)
    conn.commit()
    conn.lobject(made.oid).export(copy)
    print("exported", open(copy, "rb").read() == data[:100_000])
    conn.rollback()
    conn.lobject(made.oid).unlink()
    conn.lobject(big.oid).unlink()
    conn.commit()
    script = "\n".join(
        [
            r"\pset format unaligned",  # columns are as wide as an oid is long
            r"\lo_import %s 'a comment'" % source,
            r"\set id :LASTOID",
            r"\lo_list",
            r"select lo_get(:id) = (select string_agg(set_byte('\x00', 0, i % 256), '' order by i) from generate_series(0, 99999) i) as same;",
            r"\lo_export :id %s" % copy,
            r"begin;",
            r"\lo_unlink :id",
            r"rollback;",
            r"\lo_unlink :id",
            r"\lo_unlink 1",
            r"\lo_list",
        ]
    )
    out = subprocess.run(
        [os.environ["PSQL"], "-X", os.environ["DSN"]], input=script, capture_output=True, text=True, check=True
    )
    print(re.sub(r"\d\d\d+", "N", out.stdout + out.stderr))
    print("same", out.stdout.count("\nt\n"))
    print("exported", open(copy, "rb").read() == data[:100_000])
