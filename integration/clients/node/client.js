'use strict';
// node-postgres: pool, prepared statements, types, transactions, errors, notifications.
const { Pool, Client } = require('pg');

const connectionString = process.env.DSN;
const show = (...v) => console.log(...v.map((x) => JSON.stringify(x)));

async function main() {
  const pool = new Pool({ connectionString, max: 4 });
  pool.on('error', (e) => { throw e; });
  await pool.query('create table items (id int primary key, name text, doc jsonb, at timestamptz, tags text[], raw bytea)');
  await Promise.all(Array.from({ length: 40 }, (_, i) => pool.query(
    'insert into items values ($1, $2, $3, $4, $5, $6)',
    [i, `item ${i}`, { i, odd: i % 2 === 1 }, new Date(Date.UTC(2024, 0, 1 + i)), ['a', `t${i % 3}`], Buffer.from([i])])));
  show((await pool.query('select * from items where id = $1', [7])).rows);
  show((await pool.query('select id from items where id = any($1) order by id', [[3, 1, 2]])).rows);
  show((await pool.query("select id from items where doc @> '{\"odd\": true}' order by id desc limit 5")).rows.map((r) => r.id));
  show((await pool.query({ text: 'select id, name from items order by id limit $1 offset $2', values: [2, 3], rowMode: 'array' })).rows);
  const fields = (await pool.query('select id, name, doc from items limit 0')).fields;
  show(fields.map((f) => [f.name, f.dataTypeID]));
  for (let i = 0; i < 3; i++) {
    const named = await pool.query({ name: 'by-id', text: 'select name from items where id = $1', values: [i] });
    show(named.rows[0]);
  }
  const several = await pool.query('select 1 as a; select 2 as b');
  show(several.map((r) => r.rows));

  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('update items set name = $1 where id = $2', ['changed', 5]);
    const all = await client.query('update items set tags = $1', [['all']]);
    show(all.rowCount);
    await client.query('rollback');
    show((await client.query('select name, tags from items where id = 5')).rows);
    await client.query('begin');
    await client.query("delete from items where id in (38, 39)");
    await client.query('commit');
    show((await client.query('select id from items where id > 35 order by id')).rows);
  } finally {
    client.release();
  }
  for (const text of ['select nosuch from items', 'insert into items (id) values (1)', 'select 1/0']) {
    try {
      await pool.query(text);
    } catch (e) {
      show(e.code, e.message, e.position || null, e.constraint || null);
    }
  }
  const listener = new Client({ connectionString });
  await listener.connect();
  const heard = new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error('no notification within 30 s')), 30000);
    listener.on('notification', (n) => { clearTimeout(limit); resolve([n.channel, n.payload]); });
  });
  await listener.query('listen news');
  await pool.query("select pg_notify('news', 'from node')");
  show(await heard);
  await listener.end();

  // Many statements in flight on one connection, answered in order.
  const busy = new Client({ connectionString });
  await busy.connect();
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => busy.query('select $1::int as n, name from items where id = $2', [i, i % 30])));
  show(answers.every((a, i) => a.rows[0].n === i && a.rows[0].name === `item ${i % 30}`));
  await busy.end();
  await pool.end();
}

main().catch((e) => { console.error(e); process.exit(1); });
