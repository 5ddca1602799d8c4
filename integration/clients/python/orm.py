"""SQLAlchemy: tables made by metadata, the ORM's unit of work, Core statements, reflection."""

import os

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session, declarative_base

engine = sa.create_engine(os.environ["DSN"].replace("postgres://", "postgresql+psycopg2://"), future=True)
Base = declarative_base()


class Person(Base):
    __tablename__ = "people"
    id = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    name = sa.Column(sa.String(50), nullable=False)
    age = sa.Column(sa.Integer)
    doc = sa.Column(JSONB)


class Message(Base):
    __tablename__ = "messages"
    room = sa.Column(sa.Text, primary_key=True)
    seq = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    body = sa.Column(sa.Text)


class Ticket(Base):
    __tablename__ = "tickets"
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.Text)


Base.metadata.create_all(engine)
Base.metadata.create_all(engine)

with Session(engine) as s:
    s.add_all([Person(id=i, name="p%d" % i, age=20 + i % 5, doc={"i": i, "even": i % 2 == 0}) for i in range(1, 31)])
    s.add_all([Message(room="r%d" % (i % 4), seq=i, body="m%d" % i) for i in range(1, 21)])
    s.commit()

with Session(engine) as s:
    tickets = [Ticket(title="t%d" % i) for i in range(5)]
    s.add_all(tickets)
    s.commit()
    print("tickets", len({t.id for t in tickets}), [t.title for t in tickets])
    print("one ticket", s.get(Ticket, tickets[2].id).title)

with Session(engine) as s:
    print(s.get(Person, 7).name, s.get(Person, 999))
    print([p.id for p in s.execute(sa.select(Person).where(Person.age == 22).order_by(Person.id)).scalars()])
    print([p.id for p in s.execute(sa.select(Person).where(Person.id.in_([5, 3, 9])).order_by(Person.id.desc())).scalars()])
    print([p.id for p in s.execute(sa.select(Person).order_by(Person.age.desc(), Person.id).limit(4).offset(2)).scalars()])
    print([p.id for p in s.execute(sa.select(Person).where(Person.doc["even"].as_boolean()).order_by(Person.id).limit(3)).scalars()])
    person = s.get(Person, 7)
    person.age += 100
    person.doc = {**person.doc, "changed": True}
    s.delete(s.get(Person, 8))
    s.flush()
    print("in transaction", s.get(Person, 7).age, s.get(Person, 8))
    s.rollback()
    print("after rollback", s.get(Person, 7).age, s.get(Person, 8).name)
    s.get(Person, 7).age = 77
    with s.begin_nested() as nested:
        s.get(Person, 9).age = 99
        s.flush()
        nested.rollback()
    s.commit()
    print("after commit", s.get(Person, 7).age, s.get(Person, 9).age)

with engine.begin() as c:
    table = Person.__table__
    up = insert(table).values([{"id": 1, "name": "again"}, {"id": 50, "name": "new"}])
    up = up.on_conflict_do_update(index_elements=["id"], set_={"name": up.excluded.name}).returning(table.c.id, table.c.name)
    print(sorted(tuple(r) for r in c.execute(up)))
    print(c.execute(sa.update(table).where(table.c.age == 23).values(age=table.c.age + 1)).rowcount)
    print(c.execute(sa.delete(table).where(table.c.id > 28)).rowcount)
    join = sa.select(Message.room, Message.seq).where(Message.room == "r1").order_by(Message.seq)
    print([tuple(r) for r in c.execute(join)])

try:
    with engine.begin() as c:
        c.execute(sa.insert(Person.__table__), [{"id": 60, "name": "x"}, {"id": 1, "name": "dup"}])
except sa.exc.IntegrityError as e:
    print("IntegrityError", e.orig.pgcode)
with engine.connect() as c:
    print("not there", c.execute(sa.select(Person.id).where(Person.id == 60)).all())

inspector = sa.inspect(engine)
print(sorted(n for n in inspector.get_table_names()))
print([(col["name"], str(col["type"]), col["nullable"]) for col in inspector.get_columns("people")])
print(inspector.get_pk_constraint("messages")["constrained_columns"])
print(inspector.has_table("people"), inspector.has_table("nosuch"))

with engine.connect() as c:
    streamed = c.execution_options(stream_results=True, max_row_buffer=5).execute(sa.select(Person.id).where(Person.id == 7))
    print("streamed", [r.id for r in streamed])

Base.metadata.drop_all(engine)
print(sa.inspect(engine).get_table_names())
engine.dispose()
