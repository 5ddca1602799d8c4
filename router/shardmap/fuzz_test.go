package shardmap

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzText: no text makes a decoder panic, every error is one of the three kinds, and what is accepted
// agrees with a slow second reading.
func FuzzText(f *testing.F) {
	for i, kt := range keyTypes {
		for _, s := range kt.edges {
			f.Add(uint8(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		kt := keyTypes[int(which)%len(keyTypes)]
		before := bytes.Clone(data)
		h, err := Hash([]KeyColumn{{TypeOID: kt.oid}}, []Value{{Data: data}})
		if !bytes.Equal(before, data) {
			t.Fatal("the data was written to")
		}
		var invalid *InvalidTextError
		if err != nil {
			if !errors.Is(err, ErrNotProvable) && !errors.As(err, &invalid) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if want, ok := slowTextHash(kt.oid, string(data)); !ok || combine(0, want) != h {
			t.Fatalf("%s %q: %x, slowly %x, %v", kt.name, data, h, combine(0, want), ok)
		}
	})
}

// FuzzBinary: no bytes make a decoder panic; what is accepted has the type's length.
func FuzzBinary(f *testing.F) {
	f.Add(uint8(0), []byte{0, 1})
	f.Add(uint8(9), []byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 7})
	f.Add(uint8(9), []byte{255, 255, 0, 0, 0, 0, 0, 0})
	sizes := map[uint32]int{BoolOID: 1, Int2OID: 2, Int4OID: 4, Int8OID: 8, DateOID: 4, TimestampOID: 8, TimestamptzOID: 8, UUIDOID: 16}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		kt := keyTypes[int(which)%len(keyTypes)]
		_, err := Hash([]KeyColumn{{TypeOID: kt.oid}}, []Value{{Data: data, Format: Binary}})
		var invalid *InvalidBinaryError
		if err != nil && !errors.Is(err, ErrNotProvable) && !errors.As(err, &invalid) {
			t.Fatalf("unexpected error %v", err)
		}
		if size, fixed := sizes[kt.oid]; fixed && (err == nil) != (len(data) == size) {
			t.Fatalf("%s of %d bytes: %v", kt.name, len(data), err)
		}
	})
}

// slowTextHash reads text with the standard library and hashes it by way of the binary form; ok is false
// where the library reads nothing.
func slowTextHash(oid uint32, s string) (h uint64, ok bool) {
	trimmed := strings.Trim(s, " \t\n\v\f\r")
	var bin []byte
	switch oid {
	case Int2OID, Int4OID, Int8OID:
		size := map[uint32]int{Int2OID: 2, Int4OID: 4, Int8OID: 8}[oid]
		n, err := strconv.ParseInt(trimmed, 10, size*8)
		bin, ok = binary.BigEndian.AppendUint64(nil, uint64(n))[8-size:], err == nil
	case TextOID, VarcharOID, BpcharOID:
		bin, ok = []byte(s), true
	case UUIDOID:
		b, err := hex.DecodeString(strings.NewReplacer("-", "", "{", "", "}", "").Replace(s))
		bin, ok = b, err == nil
	case BoolOID:
		b := byte(0)
		if strings.ContainsAny(strings.ToLower(trimmed), "ty1") || strings.EqualFold(trimmed, "on") {
			b = 1
		}
		bin, ok = []byte{b}, true
	case ByteaOID:
		bin, ok = slowBytea(s)
	case NumericOID:
		return slowNumericHash(trimmed)
	case DateOID, TimestampOID, TimestamptzOID:
		bin, ok = slowTime(oid, s)
	}
	if !ok {
		return 0, false
	}
	h, err := hashPostgres(oid, oid, Binary, bin, partitionSeed)
	return h, err == nil
}

func slowBytea(s string) ([]byte, bool) {
	if rest, isHex := strings.CutPrefix(s, `\x`); isHex {
		b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\t", "", "\n", "", "\r", "").Replace(rest))
		return b, err == nil
	}
	// \\ goes first into an octal escape of its own, so that each backslash left starts an escape.
	parts := strings.Split(strings.ReplaceAll(s, `\\`, `\134`), `\`)
	b := []byte(parts[0])
	for _, p := range parts[1:] {
		if len(p) < 3 {
			return nil, false
		}
		n, err := strconv.ParseUint(p[:3], 8, 8)
		if err != nil {
			return nil, false
		}
		b = append(append(b, byte(n)), p[3:]...)
	}
	return b, true
}

// slowNumericHash cuts the number into groups of four decimal digits with big integers.
func slowNumericHash(s string) (uint64, bool) {
	if strings.Contains(strings.ToLower(s), "n") { // nan, inf
		return hashNumericSpecial(partitionSeed), true
	}
	r, ok := new(big.Rat).SetString(strings.TrimLeft(s, "+-"))
	if !ok {
		return 0, false
	}
	if r.Sign() == 0 {
		return partitionSeed - 1, true
	}
	base, weight := big.NewRat(10000, 1), 0
	one := big.NewRat(1, 1)
	for r.Cmp(base) >= 0 {
		r.Quo(r, base)
		weight++
	}
	for r.Cmp(one) < 0 {
		r.Mul(r, base)
		weight--
	}
	var digits []byte
	for r.Sign() != 0 {
		d := new(big.Int).Quo(r.Num(), r.Denom())
		digits = binary.LittleEndian.AppendUint16(digits, uint16(d.Uint64()))
		r.Sub(r, new(big.Rat).SetInt(d))
		r.Mul(r, base)
	}
	return hashBytes(digits, partitionSeed) ^ uint64(int64(weight)), true
}

func slowTime(oid uint32, s string) ([]byte, bool) {
	ends := map[string]uint64{"infinity": 1<<63 - 1, "-infinity": 1 << 63}
	if end, special := ends[s]; special { // the high half of an end of int64 is that of int32
		if oid == DateOID {
			return binary.BigEndian.AppendUint32(nil, uint32(end>>32)), true
		}
		return binary.BigEndian.AppendUint64(nil, end), true
	}
	when, ok := time.Unix(0, 0).UTC(), s == "epoch"
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07"} {
		if oid != DateOID && len(s) > 10 && s[10] == 'T' {
			layout = strings.Replace(layout, "02 15", "02T15", 1)
		}
		if p, err := time.Parse(layout, s); err == nil {
			when, ok = p, true
		}
	}
	if oid == TimestampOID {
		_, offset := when.Zone()
		when = when.Add(time.Duration(offset) * time.Second)
	}
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	seconds := when.Unix() - epoch
	if oid == DateOID {
		return binary.BigEndian.AppendUint32(nil, uint32(int32(seconds/86400))), ok
	}
	return binary.BigEndian.AppendUint64(nil, uint64(seconds*1e6+int64(when.Nanosecond()/1000))), ok
}
