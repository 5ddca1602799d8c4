package router

import "testing"

// TestReadOnly says which statements a standby may answer.
func TestReadOnly(t *testing.T) {
	env := fixture()
	for text, want := range map[string]bool{
		"SELECT 1": true,
		"SELECT doc FROM meetings WHERE room = 'a'":                  true,
		"SELECT doc FROM meetings ORDER BY room":                     true,
		"SELECT count(*) FROM meetings":                              true,
		"SELECT * FROM codes":                                        true,
		"SELECT * FROM notes":                                        true,
		"SELECT * FROM rooms":                                        true,
		"SELECT now(), doc FROM meetings WHERE room = $1":            true,
		"VALUES (1), (2)":                                            true,
		"SELECT doc FROM meetings WHERE room = 'a' FOR UPDATE":       false,
		"SELECT random() FROM meetings WHERE room = 'a'":             false,
		"SELECT gen_random_uuid()":                                   false,
		"SELECT clock_timestamp()":                                   false,
		"SELECT nextval('notes_id_seq')":                             false,
		"SELECT last_value FROM notes_id_seq":                        false,
		"SELECT unheard_of(1)":                                       false,
		"SELECT pg_current_wal_lsn()":                                false,
		"SELECT pg_advisory_lock(1)":                                 false,
		"SELECT set_config('a.b', '1', false)":                       false,
		"SELECT relname FROM pg_class":                               false,
		"SELECT * FROM pleiad.backends":                              false,
		"SELECT * FROM scratch":                                      false,
		"SELECT * FROM not_there":                                    false,
		"INSERT INTO notes VALUES (1)":                               false,
		"UPDATE meetings SET doc = '1' WHERE room = 'a'":             false,
		"WITH d AS (DELETE FROM notes RETURNING id) SELECT * FROM d": false,
		"EXPLAIN ANALYZE SELECT doc FROM meetings WHERE room = 'a'":  false,
		"COPY notes TO STDOUT":                                       false,
		"CREATE TABLE x (a int)":                                     false,
		"SELECT doc INTO copied FROM meetings WHERE room = 'a'":      false,
	} {
		if got := Plan(text, env).ReadOnly; got != want {
			t.Errorf("%s: read-only is %t, want %t", text, got, want)
		}
	}
}
