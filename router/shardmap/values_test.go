package shardmap

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// keyType is one supported key type with a generator of values in both wire formats.
type keyType struct {
	name string
	oid  uint32
	// text returns a valid spelling; binary a valid binary form of some other value.
	text   func(r *rand.Rand) string
	binary func(r *rand.Rand) []byte
	edges  []string // spellings to try always, valid and not
}

var keyTypes = []keyType{
	{"int2", Int2OID, intText(16), intBinary(16), intEdges},
	{"int4", Int4OID, intText(32), intBinary(32), intEdges},
	{"int8", Int8OID, intText(64), intBinary(64), intEdges},
	{"text", TextOID, randText, randTextBytes, textEdges},
	{"varchar", VarcharOID, randText, randTextBytes, textEdges},
	{"bpchar", BpcharOID, blankText, func(r *rand.Rand) []byte { return []byte(blankText(r)) }, textEdges},
	{"uuid", UUIDOID, uuidText, func(r *rand.Rand) []byte { return randBytes(r, 16) }, uuidEdges},
	{"bool", BoolOID, boolText, func(r *rand.Rand) []byte { return []byte{byte(r.IntN(2) * r.IntN(256))} }, boolEdges},
	{"bytea", ByteaOID, byteaText, func(r *rand.Rand) []byte { return randBytes(r, r.IntN(60)) }, byteaEdges},
	{"numeric", NumericOID, numericText, numericBinary, numericEdges},
	{"date", DateOID, dateText, dateBinary, dateEdges},
	{"timestamp", TimestampOID, timestampText(false), timestampBinary, dateEdges},
	{"timestamptz", TimestamptzOID, timestampText(true), timestampBinary, dateEdges},
}

var intEdges = []string{"0", "-0", "+0", "1", "-1", " 12", "12 ", "\t\n\v\f\r7\r", "32767", "32768", "-32768", "-32769",
	"2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808",
	"-9223372036854775808", "-9223372036854775809", "99999999999999999999999", "000000000000000000000000000001",
	"", " ", "-", "+", "--1", "+-1", "- 1", "1 2", "1a", "0x1F", "0b1", "0o7", "1_000", "_1", "1_", "1.0", "1e3",
	"١", "0x", "-0x10", "\u00a01"}

var textEdges = []string{"", " ", "  ", "a", "a ", "a  ", " a", "é", "日本語テキスト", "twelve bytes",
	"thirteen byte", "exactly-eleven", strings.Repeat("x", 11), strings.Repeat("x", 12), strings.Repeat("x", 24),
	strings.Repeat("long ", 2000), "tab\t", "nl\n "}

var uuidEdges = []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
	"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
	"{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
	" a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 ", "a0-eebc999c0b4ef8bb6d6bb9bd380a11",
	"a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-", "", "{}", "{", "a", "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
	"-a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a1100"}

var boolEdges = []string{"t", "tr", "tru", "true", "TRUE", "True", "truex", "f", "fa", "fals", "false", "FALSE", "y", "ye", "yes",
	"yess", "n", "no", "nope", "o", "on", "ON", "onn", "of", "off", "offf", "1", "0", "2", "10", "01", "", " ", " t", "t ", "\ttrue\n", "t r"}

var byteaEdges = []string{"", `\x`, `\xDEADbeef`, `\x de ad`, `\x d e`, `\xde\n`, `\xd`, `\xg0`, `\X00`, `abc`, `a\\b`, `a\000b`, `\377`, `\400`,
	`\37`, `\`, `\\`, `\a`, `é`, "\\x01\t02\n03\r04 ", "\\x01\v02", `\\x41`, ` \x41`, `\x41 `, `\378`}

var numericEdges = []string{"0", "-0", "0.0", "0.000000", "1", "1.0", "1.00000", "-1", "10000", "100000000", "0.0001", "0.00010000", "0.00001",
	"1.5", "-1.50", "1e3", "1E+3", "1e-3", "1e", "e1", "1e+", "1e 5", "1e5 ", " 1 ", ".5", "5.", ".", "", "-", "+.5", "-5.", "5.e2", ".e2",
	"1..2", "1.2.3", "NaN", "nan", "-NaN", "+nan", "nano", "Infinity", "-infinity", "+Inf", "inf", "infi", "-inf ", "infinityx", "1_0", "0x10", "0b1",
	"-0x10", "1e10000", "1e-10000", "1e-16383", "1e-16384", "1e-16385", "1e131071", "1e131072", "1e200000", "0e200001", "0e-20000",
	"1e2147483647", "1e99999999999999999999", "123456789012345678901234567890.123456789012345678901234567890", "0001.1000", "10000.0001",
	"100010000", "99999999", "1 2", "1,0", "--1", "$1", "1e1.5", "0.1e1", "0.00012345e4", "12e-1", "120e-1", "1200e-2"}

var dateEdges = []string{"2000-01-01", "1999-12-31", "0001-01-01", "9999-12-31", "2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29",
	"2024-13-01", "2024-00-10", "2024-04-31", "0000-01-01", "infinity", "-infinity", "+infinity", "Infinity", "epoch", "today", "now", "yesterday",
	"1/2/2003", "20240102", "2024-1-2", "24-01-02", "10000-01-01", "2024-01-02 BC", " 2024-01-02", "2024-01-02 ", "January 8, 1999", "J2451187",
	"2024-01-02 03:04:05", "2024-01-02T03:04:05", "2024-01-02t03:04:05", "2024-01-02 03:04", "2024-01-02 24:00:00", "2024-01-02 23:59:60",
	"2024-01-02 03:04:05.1", "2024-01-02 03:04:05.123456", "2024-01-02 03:04:05.1234567", "2024-01-02 03:04:05.", "2024-01-02 03:04:05.999999",
	"2024-01-02 03:04:05Z", "2024-01-02 03:04:05z", "2024-01-02T03:04:05.25Z", "2024-01-02 03:04:05+02", "2024-01-02 03:04:05-08:30",
	"2024-01-02 03:04:05+15:59", "2024-01-02 03:04:05+16", "2024-01-02 03:04:05+0530", "2024-01-02 03:04:05 +02", "2024-01-02 03:04:05 UTC",
	"2024-01-02 03:04:05 Europe/Paris", "2024-01-02 03:04:05+02:03:04", "2024-01-02 03:04:05+2", "2024-01-02 03:04:05+02:", "2024-01-02Z", "",
	"0001-01-01 00:00:00+15:59", "9999-12-31 23:59:59.999999-15:59", "1970-01-01 00:00:00Z", "1582-10-10", "2024-01-02 03:04:05+02:60", "2024-01-02T"}

func randBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func randInt(r *rand.Rand, bits int) int64 {
	return int64(r.Uint64()) >> (64 - bits + r.IntN(bits))
}

func intText(bits int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		s := fmt.Sprint(randInt(r, bits))
		if r.IntN(4) == 0 {
			s = strings.Repeat(" ", r.IntN(3)) + s + strings.Repeat("\t", r.IntN(2))
		}
		return s
	}
}

func intBinary(bits int) func(*rand.Rand) []byte {
	return func(r *rand.Rand) []byte {
		b := binary.BigEndian.AppendUint64(nil, uint64(randInt(r, bits)))
		return b[8-bits/8:]
	}
}

func randText(r *rand.Rand) string {
	alphabet := []rune("abcXYZ019 _-é߀日🙂'\\\n")
	var s strings.Builder
	for range r.IntN(40) {
		s.WriteRune(alphabet[r.IntN(len(alphabet))])
	}
	return s.String()
}

func randTextBytes(r *rand.Rand) []byte { return []byte(randText(r)) }

func blankText(r *rand.Rand) string { return randText(r) + strings.Repeat(" ", r.IntN(4)) }

func uuidText(r *rand.Rand) string {
	b := randBytes(r, 16)
	switch r.IntN(4) {
	case 0:
		return fmt.Sprintf("%x", b)
	case 1:
		return fmt.Sprintf("{%X-%x-%x-%x-%x}", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func boolText(r *rand.Rand) string { return boolEdges[r.IntN(4)] }

func byteaText(r *rand.Rand) string {
	b := randBytes(r, r.IntN(50))
	if r.IntN(2) == 0 {
		return fmt.Sprintf(`\x%x`, b)
	}
	var s strings.Builder
	for _, c := range b {
		switch {
		case c == '\\':
			s.WriteString(`\\`)
		case c < 32 || c > 126:
			fmt.Fprintf(&s, `\%03o`, c)
		default:
			s.WriteByte(c)
		}
	}
	return s.String()
}

func randDigits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "00000123456789"[r.IntN(14)]
	}
	return string(b)
}

func numericText(r *rand.Rand) string {
	s := []string{"", "-", "+"}[r.IntN(3)] + randDigits(r, 1+r.IntN(30))
	if r.IntN(2) == 0 {
		s += "." + randDigits(r, r.IntN(30))
	}
	if r.IntN(3) == 0 {
		s += fmt.Sprintf("e%d", r.IntN(80)-40)
	}
	return s
}

func numericBinary(r *rand.Rand) []byte {
	n := r.IntN(8)
	weight := r.IntN(12) - 6
	sign := []uint16{0, 0x4000, 0, 0x4000, 0xC000, 0xD000, 0xF000}[r.IntN(7)]
	scale := r.IntN(60)
	if sign >= 0xC000 {
		n, weight, scale = 0, 0, 0
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(n))
	b = binary.BigEndian.AppendUint16(b, uint16(int16(weight)))
	b = binary.BigEndian.AppendUint16(b, sign)
	b = binary.BigEndian.AppendUint16(b, uint16(scale))
	for range n {
		b = binary.BigEndian.AppendUint16(b, uint16([]int{0, 1, 10, 1000, 9990, r.IntN(10000)}[r.IntN(6)]))
	}
	return b
}

func randTime(r *rand.Rand) time.Time {
	start := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	end := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	return time.Unix(start+r.Int64N(end-start), r.Int64N(1e9)).UTC()
}

func dateText(r *rand.Rand) string { return randTime(r).Format("2006-01-02") }

func dateBinary(r *rand.Rand) []byte {
	// 4714-11-24 BC to 5874897-12-31, the range of type date.
	return binary.BigEndian.AppendUint32(nil, uint32(int32(r.IntN(2145031948+2451545)-2451545)))
}

func timestampText(zone bool) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		layout := "2006-01-02" + []string{" ", "T"}[r.IntN(2)] + "15:04:05"
		if d := r.IntN(7); d > 0 {
			layout += "." + strings.Repeat("0", d)
		}
		s := randTime(r).Format(layout)
		if zone || r.IntN(4) == 0 {
			s += []string{"Z", "+00", "-07", "+05:30", "-03:30", "+14:00"}[r.IntN(6)]
		}
		return s
	}
}

func timestampBinary(r *rand.Rand) []byte {
	switch r.IntN(10) {
	case 0:
		return binary.BigEndian.AppendUint64(nil, math.MaxInt64)
	case 1:
		return binary.BigEndian.AppendUint64(nil, 1<<63)
	}
	// -211813488000000000 is 4714-11-24 BC; the end is 294276-12-31.
	return binary.BigEndian.AppendUint64(nil, r.Uint64N(9223371331200000000+211813488000000000)-211813488000000000)
}
