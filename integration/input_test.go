package integration

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// drain reads what comes until the peer closes or falls silent, and reports a peer that does neither.
func drain(c net.Conn, limit time.Duration) ([]byte, error) {
	var all bytes.Buffer
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	_, err := io.Copy(&all, c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return all.Bytes(), fmt.Errorf("still open after %s", limit)
	}
	return all.Bytes(), nil
}

// alive proves that the program still serves.
func alive(t *testing.T, s *side) {
	t.Helper()
	if got := s.one(t, s.conn(t, s.database), "select 'alive'"); got != "alive" {
		t.Errorf("the program answers %q", got)
	}
}

// TestInputStartup sends what is no startup packet; the program answers with an error or closes, and serves on.
func TestInputStartup(t *testing.T) {
	t.Parallel()
	s := needPleiad(t)
	be := func(numbers ...uint32) []byte {
		var b []byte
		for _, n := range numbers {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	good := startupMessage("user", s.user, "database", s.database)
	for name, packet := range map[string][]byte{
		"zero length":              be(0),
		"length 4":                 be(4),
		"length 7":                 be(7, 0),
		"length -1":                be(0xffffffff, 3<<16),
		"length -2147483648":       be(0x80000000, 3<<16),
		"length 2147483647":        be(0x7fffffff, 3<<16),
		"length 10001":             append(be(10001, 3<<16), bytes.Repeat([]byte("x"), 10001-8)...),
		"protocol 1":               startupVersion(1<<16, "user", s.user),
		"protocol 4":               startupVersion(4<<16, "user", s.user),
		"protocol 0":               startupVersion(0, "user", s.user),
		"no user":                  startupMessage("database", s.database),
		"no terminator":            append(be(uint32(8+len("user\x00x"))), append(be(3<<16), "user\x00x"...)...),
		"name without value":       append(be(uint32(8+len("user\x00"))), append(be(3<<16), "user\x00"...)...),
		"bytes behind terminator":  append(be(uint32(8+len("user\x00x\x00\x00junk"))), append(be(3<<16), "user\x00x\x00\x00junk"...)...),
		"http":                     []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"tls without being asked":  []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 200)),
		"query instead of startup": queryMessage("select 1"),
		"cancel too short":         be(8, 1234<<16|5678),
		"cancel too long":          append(be(400, 1234<<16|5678), make([]byte, 392)...),
		"cancel unknown":           be(16, 1234<<16|5678, 1, 1),
		"ssl twice":                append(be(8, 1234<<16|5679), be(8, 1234<<16|5679)...),
		"gss twice":                append(be(8, 1234<<16|5680), be(8, 1234<<16|5680)...),
		"ssl of wrong length":      be(9, 1234<<16|5679),
		"replication":              startupMessage("user", s.user, "replication", "database", "database", s.database),
		"a huge name":              startupMessage("user", strings.Repeat("u", 9000), "database", s.database),
		"not UTF-8":                startupMessage("user", "\xff\xfe", "database", s.database),
		"a thousand parameters":    startupMessage(append([]string{"user", s.user}, strings.Split(strings.Repeat("a b ", 500), " ")[:1000]...)...),
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, s.addr)
			if _, err := c.Write(packet); err != nil {
				t.Fatal(err)
			}
			if tcp, ok := c.Conn.(*net.TCPConn); ok && len(packet) < 10 {
				tcp.CloseWrite() // a packet that promises more than comes waits for it otherwise
			}
			if got, err := drain(c, 20*time.Second); err != nil {
				t.Errorf("%v; it said %q", err, got)
			}
			alive(t, s)
		})
	}
	t.Run("a byte at a time", func(t *testing.T) {
		c := dialRaw(t, s.addr)
		for _, b := range append(good, queryMessage("select 'slowly'")...) {
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.until("ReadyForQuery"); err != nil {
			t.Fatal(err)
		}
		lines, err := c.until("ReadyForQuery")
		if err != nil || !strings.Contains(strings.Join(lines, "\n"), "slowly") {
			t.Errorf("%v, %v", lines, err)
		}
	})
	t.Run("ssl refused, then plain", func(t *testing.T) {
		c := dialRaw(t, s.addr)
		if _, err := c.Write(be(8, 1234<<16|5679)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 1)
		if _, err := io.ReadFull(c, answer); err != nil || answer[0] != 'N' && answer[0] != 'S' {
			t.Fatalf("SSLRequest is answered with %q, %v", answer, err)
		}
		if answer[0] == 'N' {
			c.mustStart(t, "user", s.user, "database", s.database)
		}
	})
	for name, version := range map[string]uint32{"3.2": 3<<16 | 2, "3.99": 3<<16 | 99} {
		t.Run("protocol "+name, func(t *testing.T) {
			c := dialRaw(t, s.addr)
			if _, err := c.Write(startupVersion(version, "user", s.user, "database", s.database, "_pq_.nosuch", "1")); err != nil {
				t.Fatal(err)
			}
			lines, err := c.until("ReadyForQuery", "ErrorResponse")
			if said := strings.Join(lines, "\n"); err != nil || !strings.Contains(said, "NegotiateProtocolVersion") || !strings.Contains(said, "_pq_.nosuch") {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// TestInputMessages sends what is no message in a session.
func TestInputMessages(t *testing.T) {
	t.Parallel()
	s := needPleiad(t)
	head := func(kind byte, length uint32) []byte { return binary.BigEndian.AppendUint32([]byte{kind}, length) }
	million := binary.BigEndian.AppendUint16([]byte("\x00\x00\x00\x00"), 0xffff)
	million = append(million, bytes.Repeat([]byte{0, 0, 0, 1, '1'}, 1_000_000)...)
	for name, packet := range map[string][]byte{
		"unknown type":                 head(0x01, 4),
		"length 0":                     head('Q', 0),
		"length 3":                     head('Q', 3),
		"length -1":                    head('Q', 0xffffffff),
		"length -2":                    head('P', 0xfffffffe),
		"length 2147483647":            head('Q', 0x7fffffff),
		"length 1 GiB":                 append(head('d', 1<<30), "x"...),
		"Sync of 4 GB":                 head('S', 0xfffffff0),
		"truncated Parse":              frame('P', []byte("name")),
		"Parse with absent types":      frame('P', []byte("\x00select 1\x00\xff\xff")),
		"Bind of nothing":              frame('B', nil),
		"Bind with a million values":   frame('B', million),
		"Bind with negative length":    frame('B', []byte("\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00")),
		"Bind with 65535 formats":      frame('B', append([]byte("\x00\x00\xff\xff"), make([]byte, 2*65535)...)),
		"Execute of nothing":           frame('E', nil),
		"Describe of nothing":          frame('D', nil),
		"Close of nothing":             frame('C', []byte("S")),
		"CopyFail without end":         frame('f', []byte("x")),
		"FunctionCall":                 frame('F', []byte{0, 0, 0, 1}),
		"server's own message":         frame('Z', []byte("I")),
		"password":                     frame('p', []byte("x\x00")),
		"Terminate with a body":        frame('X', []byte("x")),
		"a text without end":           frame('Q', []byte("select 1")),
		"NUL inside":                   frame('Q', []byte("select '\x00'\x00")),
		"not UTF-8":                    frame('Q', []byte("select '\xc3\x28\xff'\x00")),
		"Parse and nothing more":       frame('P', []byte("\x00select 1\x00\x00\x00")),
		"half a header":                {'Q', 0, 0},
		"a long name":                  frame('P', append(bytes.Repeat([]byte("n"), 1<<20), "\x00select 1\x00\x00\x00"...)),
		"a hundred thousand Syncs":     bytes.Repeat(frame('S', nil), 100_000),
		"a hundred thousand Flushes":   bytes.Repeat(frame('H', nil), 100_000),
		"ten thousand empty queries":   bytes.Repeat(queryMessage(""), 10_000),
		"stray COPY data":              bytes.Repeat(frame('d', make([]byte, 1000)), 1000),
		"ten thousand parse errors":    bytes.Repeat(append(frame('P', []byte("\x00selec\x00\x00\x00")), frame('S', nil)...), 10_000),
		"ten thousand prepared names":  prepareMany(10_000),
		"statement names without Sync": prepareMany(10_000)[:200_000],
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", s.database)
			written := make(chan error, 1)
			go func() {
				_, err := c.Write(packet) // may fail: the program is free to close early
				if tcp, ok := c.Conn.(*net.TCPConn); ok && err == nil {
					err = tcp.CloseWrite()
				}
				written <- err
			}()
			if got, err := drain(c, 60*time.Second); err != nil {
				t.Errorf("%v; it said %d bytes", err, len(got))
			}
			<-written
			alive(t, s)
		})
	}
	dev := suite.dev
	if err := dev.complaints(); err != nil {
		t.Error(err)
	}
}

func prepareMany(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, frame('P', fmt.Appendf(nil, "n%d\x00select %d\x00\x00\x00", i, i))...)
	}
	return append(b, frame('S', nil)...)
}

// TestInputSQL sends texts that hurt parsers: each must end in an error or an answer, soon, and leave the
// session usable.
func TestInputSQL(t *testing.T) {
	t.Parallel()
	s := needPleiad(t)
	db := s.newDatabase(t)
	s.exec(t, s.conn(t, db), "create table t (k int primary key, v text) partition by hash (k)")
	plainDB := suite.plain.newDatabase(t)
	suite.plain.exec(t, suite.plain.conn(t, plainDB), "create table t (k int primary key, v text) partition by hash (k)")
	for name, sql := range map[string]string{
		"10 MB of parentheses":      "select " + strings.Repeat("(", 5<<20) + "1" + strings.Repeat(")", 5<<20),
		"10 MB of open parentheses": strings.Repeat("(", 10<<20),
		"10 MB of brackets":         "select " + strings.Repeat("array[", 10<<20/6),
		"nested comments":           strings.Repeat("/*", 100_000) + strings.Repeat("*/", 100_000) + " select 1",
		"open nested comments":      strings.Repeat("/*", 1_000_000),
		"1+1+…":                     "select " + strings.Repeat("1+", 100_000) + "1",
		"1+1+… on a table":          "select k from t where k = " + strings.Repeat("1+", 100_000) + "1",
		"not not not":               "select " + strings.Repeat("not ", 100_000) + "true",
		"minus minus":               "select " + strings.Repeat("- ", 100_000) + "1",
		"or or or":                  "select k from t where " + strings.Repeat("k = 1 or ", 50_000) + "k = 2",
		"casts":                     "select 1" + strings.Repeat("::int", 50_000),
		"case case case":            "select " + strings.Repeat("case when true then ", 50_000) + "1" + strings.Repeat(" end", 50_000),
		"subqueries":                "select " + strings.Repeat("(select ", 50_000) + "1" + strings.Repeat(")", 50_000),
		"unions":                    strings.Repeat("select 1 union all ", 50_000) + "select 1",
		"joins":                     "select 1 from t" + strings.Repeat(" join t", 20_000),
		"dots":                      "select a" + strings.Repeat(".a", 100_000),
		"commas":                    "select k from t where k in (" + strings.Repeat("1,", 200_000) + "2)",
		"a long literal":            "select '" + strings.Repeat("x", 12<<20) + "'",
		"an open literal":           "select '" + strings.Repeat("x", 1<<20),
		"an open dollar quote":      "select $tag$" + strings.Repeat("$", 1<<20),
		"dollar tags":               "select " + strings.Repeat("$a$", 333_333),
		"semicolons":                strings.Repeat(";", 1<<20),
		"many statements":           strings.Repeat("select 1;", 5_000),
		"a long name":               "select 1 as \"" + strings.Repeat("n", 1<<20) + "\"",
		"spaces":                    strings.Repeat(" ", 8<<20) + "select 1",
		"parameters":                "select $99999999999999999999",
		"parameter 65536":           "select $65536",
		"digits":                    "select " + strings.Repeat("9", 1<<20),
		"values":                    "insert into t values " + strings.Repeat("(1,'x'),", 50_000) + "(1,'y')",
		"control characters":        "select \x01\x02\x03\x7f",
		"control in names":          "select 1 as \"\x01\"",
		"unicode escapes":           `select U&'\+FFFFFF'`,
		"surrogates":                `select U&'\D800'`,
		"begin begin":               strings.Repeat("begin;", 10_000) + strings.Repeat("commit;", 10_000),
		"savepoints":                "begin;" + strings.Repeat("savepoint s;", 2_000) + "rollback",
	} {
		t.Run(name, func(t *testing.T) {
			for _, packet := range [][]byte{
				queryMessage(sql),
				append(frame('P', append(append([]byte{0}, sql...), 0, 0, 0)), frame('S', nil)...),
			} {
				c := dialRaw(t, s.addr).mustStart(t, "user", s.user, "database", db)
				took := untilReady(t, c, packet)
				if took > patience(5*time.Second) {
					p := dialRaw(t, suite.plain.addr).mustStart(t, "user", suite.plain.user, "database", plainDB)
					if own := untilReady(t, p, packet); took > 3*own+patience(5*time.Second) {
						t.Errorf("took %s, PostgreSQL alone %s", took, own)
					}
				}
				if err := c.queue(queryMessage("rollback; select 'usable'")); err != nil {
					t.Fatal(err)
				}
				if lines, err := c.until("ReadyForQuery"); err != nil || !strings.Contains(strings.Join(lines, "\n"), "usable") {
					t.Errorf("the session afterwards: %v, %v", lines, err)
				}
				c.Close()
			}
		})
	}
}

// untilReady sends bytes and returns how long the answer took, up to ReadyForQuery.
func untilReady(t *testing.T, c *rawConn, packet []byte) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
	for {
		kind, _, err := c.receive(callLimit)
		if err != nil {
			t.Fatalf("no answer after %s: %v", time.Since(began), err)
		}
		if kind == 'Z' {
			return time.Since(began)
		}
	}
}

// TestInputRandom sends random bytes, and good conversations with bytes changed, cut out or cut off.
func TestInputRandom(t *testing.T) {
	t.Parallel()
	s := needPleiad(t)
	const seed = 42
	r := rand.New(rand.NewPCG(seed, seed))
	start := startupMessage("user", s.user, "database", s.database)
	talk := append([]byte(nil), start...)
	talk = append(talk, queryMessage("select 1; select 'two'")...)
	talk = append(talk, frame('P', []byte("s\x00select $1::int, $2::text\x00\x00\x01\x00\x00\x00\x17"))...)
	talk = append(talk, frame('B', []byte("p\x00s\x00\x00\x02\x00\x00\x00\x00\x00\x02\x00\x00\x00\x011\x00\x00\x00\x01x\x00\x01\x00\x01"))...)
	talk = append(talk, frame('D', []byte("Pp\x00"))...)
	talk = append(talk, frame('E', []byte("p\x00\x00\x00\x00\x00"))...)
	talk = append(talk, frame('C', []byte("Ss\x00"))...)
	talk = append(talk, frame('S', nil)...)
	talk = append(talk, queryMessage("copy (select 1) to stdout")...)
	talk = append(talk, frame('X', nil)...)
	for i := range 400 {
		b := append([]byte(nil), talk...)
		switch i % 4 {
		case 0:
			b = make([]byte, r.IntN(2000))
			for j := range b {
				b[j] = byte(r.Uint32())
			}
			if i%8 == 0 {
				b = append(append([]byte(nil), start...), b...)
			}
		case 1:
			for range 1 + r.IntN(8) {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
		case 2:
			b = b[:r.IntN(len(b))]
		case 3:
			from := r.IntN(len(b))
			b = append(b[:from], b[min(len(b), from+1+r.IntN(20)):]...)
		}
		c := dialRaw(t, s.addr)
		written := make(chan struct{})
		go func() {
			defer close(written)
			if _, err := c.Write(b); err != nil {
				return // closed early, as it may
			}
			if tcp, ok := c.Conn.(*net.TCPConn); ok {
				tcp.CloseWrite()
			}
		}()
		if got, err := drain(c, 30*time.Second); err != nil {
			t.Errorf("seed %d, input %d: %v; it said %d bytes to %q", seed, i, err, len(got), b)
		}
		<-written
		c.Close()
	}
	alive(t, s)
	if err := suite.dev.complaints(); err != nil {
		t.Error(err)
	}
}
