package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
)

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awkward are characters that SASLprep treats each in its own way; the last three are not in Unicode 3.2.
var awkward = []rune("aZ 0'\\\u0007\u007f\u0080äß\u00a0\u00ad\u034f\u0300\u0301\u1100\u1161ﬁⅨ½Å한\u200b\u200d\u2028\u202e\u2060\u3000\ufeff\ufffd" +
	"אבاب٣\ue000\ufdd0\U000e0001\U0001d11e𝔘漢\u0221\u1e9e\U0001f600")

// Every stored verifier of PostgreSQL is computed anew from the password and its salt.
func TestScramVerifierIsPostgreSQLs(t *testing.T) {
	conn, err := pgconn.Connect(t.Context(), pg.uri("postgres", "")+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	run := func(sql string) {
		t.Helper()
		if err := conn.Exec(t.Context(), sql).Close(); err != nil {
			t.Fatal(err)
		}
	}
	run("DROP ROLE IF EXISTS u_saslprep; CREATE ROLE u_saslprep")
	rng := rand.New(rand.NewPCG(1, 2))
	passwords := []string{"geheim", "\u00ad", "\u200b", "x\u0007", "ä\u0007", "אa", "א", "א1", "1א", "אא1א", "ö\u0221"}
	for _, r := range awkward {
		passwords = append(passwords, string(r), "é"+string(r))
	}
	for len(passwords) < 400 {
		var b strings.Builder
		for range 1 + rng.IntN(5) {
			if rng.IntN(3) > 0 {
				b.WriteRune(awkward[rng.IntN(len(awkward))])
			} else if r := rune(1 + rng.IntN(0x2ffff)); utf8.ValidRune(r) && !newlyDecomposed(r) {
				b.WriteRune(r)
			}
		}
		if b.Len() > 0 {
			passwords = append(passwords, b.String())
		}
	}
	for _, password := range passwords {
		quoted := "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password) + "'"
		run("ALTER ROLE u_saslprep PASSWORD " + quoted)
		role, err := storedPassword(t, conn, "u_saslprep")
		if err != nil {
			t.Fatal(err)
		}
		v, err := ParseVerifier(role)
		if err != nil {
			t.Fatal(err)
		}
		if got := ScramVerifier(password, v.Salt, v.Iterations); got != role {
			t.Errorf("%+q: got %s, PostgreSQL has %s", password, got, role)
		}
	}
}

// newlyDecomposed are characters of Unicode 15 and later that NFKC changes: PostgreSQL 15 does not know them.
func newlyDecomposed(r rune) bool {
	return r >= 0x1e030 && r <= 0x1e06d || r >= 0x1ccd6 && r <= 0x1ccf9 || r == 0xa7f1 || r >= 0x105c9 && r <= 0x105e4 ||
		r >= 0x11383 && r <= 0x11391 || r >= 0x113c5 && r <= 0x113c8 || r >= 0x16121 && r <= 0x16128 || r >= 0x16d63 && r <= 0x16d6a
}

func storedPassword(t *testing.T, conn *pgconn.PgConn, role string) (string, error) {
	t.Helper()
	r := conn.ExecParams(t.Context(), LookupSQL, [][]byte{[]byte(role)}, nil, nil, nil).Read()
	if r.Err != nil {
		return "", r.Err
	}
	return string(r.Rows[0][1]), nil
}

func TestNewScramVerifierIsTakenByPostgreSQL(t *testing.T) {
	verifier, err := NewScramVerifier("neu")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgconn.Connect(t.Context(), pg.uri("postgres", "")+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.Exec(t.Context(), "DROP ROLE IF EXISTS u_neu; CREATE ROLE u_neu LOGIN PASSWORD '"+verifier+"'").Close(); err != nil {
		t.Fatal(err)
	}
	mustLogin(t, SSLRequire, "u_neu", Credentials{Password: "neu"})
}

func TestScramVerifierOfInvalidUTF8IsOfTheBytes(t *testing.T) {
	if saslprep("ä\xff") != "ä\xff" {
		t.Fatal("bytes were changed")
	}
	if ScramVerifier("ä\xff", []byte("s"), 1) == ScramVerifier("ä\ufffd", []byte("s"), 1) {
		t.Fatal("bytes were replaced")
	}
}

func TestParseVerifierRefuses(t *testing.T) {
	good := ScramVerifier("x", []byte("0123456789abcdef"), 4096)
	if _, err := ParseVerifier(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "md5" + strings.Repeat("0", 32), "geheim", good[:len(good)-1], good + "x",
		strings.Replace(good, "4096", "0", 1), strings.Replace(good, "4096", "-1", 1), strings.Replace(good, "4096", "99999999999999999999", 1),
		strings.Replace(good, "4096:", "4096", 1), strings.Replace(good, "SHA-256", "SHA-1", 1), verifierPrefix, verifierPrefix + "1:$:"} {
		if _, err := ParseVerifier(bad); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	const sesame = "OPENSESAME"
	keys := Keys{ClientKey: []byte(sesame), ServerKey: []byte(sesame)}
	id := &Identity{Role: Role{Name: "ada", Verifier: sesame}, Keys: &keys}
	verifier := Verifier{StoredKey: []byte(sesame)}
	values := []any{keys, &keys, id, *id, id.Role, verifier, &verifier, Secret(sesame), Credentials{Keys: &keys, Password: sesame}}
	var all bytes.Buffer
	for _, v := range values {
		fmt.Fprintf(&all, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
		slog.New(slog.NewTextHandler(&all, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&all, nil)).Info("x", "v", v)
		_ = json.NewEncoder(&all).Encode(v)
	}
	for _, leak := range []string{sesame, "4f50454e", "4F50454E", "79 80 69", "T1BFTlNFU0FNRQ"} {
		if i := strings.Index(all.String(), leak); i >= 0 {
			t.Errorf("%q in %s", leak, all.String()[max(0, i-80):i+20])
		}
	}
}

func FuzzParseVerifier(f *testing.F) {
	f.Add(ScramVerifier("x", []byte("salt"), 1))
	f.Fuzz(func(t *testing.T, stored string) {
		v, err := ParseVerifier(stored)
		if err == nil && (v.Iterations < 1 || len(v.StoredKey) != 32 || len(v.ServerKey) != 32) {
			t.Fatalf("accepted %q", stored)
		}
	})
}
