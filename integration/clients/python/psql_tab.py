"""psql on a terminal: the tab key completes the name of a table and then of a column."""

import os
import pty
import select
import subprocess
import sys
import time

master, slave = pty.openpty()
env = dict(os.environ, TERM="dumb", INPUTRC="/dev/null", PSQLRC="/dev/null", PSQL_HISTORY="/dev/null", PAGER="cat")
psql = subprocess.Popen([os.environ["PSQL"], "-X", os.environ["DSN"]], stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
os.close(slave)


def expect(what):
    seen = b""
    deadline = time.monotonic() + 30
    while what not in seen:
        if not select.select([master], [], [], max(0, deadline - time.monotonic()))[0]:
            sys.exit("waited for %r, saw %r" % (what, seen))
        seen += os.read(master, 65536)
    return seen


expect(b"=# ")
os.write(master, b"select * from tab_compl\t")
expect(b"tab_completed")
os.write(master, b" where long_col\t")
expect(b"long_column_name")
os.write(master, b" = 1;\n")
expect(b"(1 row)")
os.write(master, b"\\d tab_compl\t")
expect(b"eted")
os.write(master, b"\n")
expect(b"long_column_name")
os.write(master, b"set pleiad_nosuch\x15\\q\n")
psql.wait(timeout=30)
print("completed")
