package replication

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jackc/pgx/v5/pgconn"
)

func frame(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))) + body
}

// However the bytes arrive, the rows are read whole and in order, and what is not data is not taken for it.
func TestCopyOutReads(t *testing.T) {
	long := strings.Repeat("x", 3*copyBuffer) + "\n"
	stream := frame('H', "\x00\x00\x00") + frame('d', "1\ta\n") + frame('d', "") + frame('N', "SNOTICE\x00\x00") + frame('d', long) + frame('d', "2\tb\n") +
		frame('c', "") + frame('C', "COPY 3\x00") + frame('Z', "I")
	want := "1\ta\n" + long + "2\tb\n"
	for name, r := range map[string]io.Reader{
		"at once": strings.NewReader(stream), "byte by byte": iotest.OneByteReader(strings.NewReader(stream)), "by halves": iotest.HalfReader(strings.NewReader(stream)),
	} {
		c := &CopyOut{r: bufio.NewReaderSize(r, copyBuffer)}
		got, err := io.ReadAll(c)
		if err != nil || string(got) != want || c.Err() != nil {
			t.Errorf("%s: %d bytes, want %d: %v", name, len(got), len(want), err)
		}
	}
}

func TestCopyOutFails(t *testing.T) {
	data := frame('d', "1\n")
	for _, c := range []struct{ name, stream, code string }{
		{"error of the server", data + frame('E', "SERROR\x00C57014\x00Mcancelled\x00\x00") + frame('Z', "E"), "57014"},
		{"cut between messages", data, ""},
		{"cut within a row", data + frame('d', "22222")[:7], ""},
		{"cut within a header", data + "d\x00", ""},
		{"length below its own", data + "d\x00\x00\x00\x03", ""},
		{"length below 0", data + "d\xff\xff\xff\xff", ""},
		{"kind that has no place here", data + frame('T', ""), ""},
		{"endless error", data + "E\x7f\xff\xff\xff", ""},
	} {
		out := &CopyOut{r: bufio.NewReader(strings.NewReader(c.stream))}
		var got bytes.Buffer
		_, err := got.ReadFrom(out)
		if err == nil || out.Err() == nil || !strings.HasPrefix(got.String(), "1\n") {
			t.Errorf("%s: %q, %v", c.name, got.String(), err)
		}
		var pg *pgconn.PgError
		if c.code != "" && (!errors.As(err, &pg) || pg.Code != c.code) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
