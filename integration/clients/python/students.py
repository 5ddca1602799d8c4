"""An ordinary psycopg2 program that knows nothing of shards. Its output is what it read."""

import os

import psycopg2

conn = psycopg2.connect(os.environ["DSN"])
cur = conn.cursor()

cur.execute("CREATE TABLE students (id INT PRIMARY KEY, name TEXT, age INT)")
conn.commit()

cur.execute("INSERT INTO students (id, name, age) VALUES (%s, %s, %s)", (1, "Alice", 20))
cur.execute("INSERT INTO students (id, name, age) VALUES (%s, %s, %s)", (2, "Bob", 22))
cur.execute("INSERT INTO students (id, name, age) VALUES (%s, %s, %s)", (3, "Charlie", 23))
conn.commit()

cur.execute("SELECT * FROM students ORDER BY id")
for row in cur.fetchall():
    print(row)

cur.execute("UPDATE students SET age = %s WHERE id = %s", (21, 1))
print("updated", cur.rowcount)
cur.execute("DELETE FROM students WHERE id = %s", (2,))
print("deleted", cur.rowcount)
conn.commit()

cur.execute("SELECT * FROM students")
for row in sorted(cur.fetchall()):
    print(row)

# The connection goes away with a transaction open: nothing of it stays.
cur.execute("INSERT INTO students (id, name, age) VALUES (9, 'Nobody', 99)")
cur.close()
conn.close()
