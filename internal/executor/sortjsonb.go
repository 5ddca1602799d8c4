package executor

import (
	"bytes"
	"cmp"
	"strconv"
	"unicode/utf8"
)

// jsonKind is a jsonb value's type, in the order of jsonb.h's jbvType.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonString
	jsonNumber
	jsonBool
	jsonArray
	jsonObject
)

// jsonValue is a value as jsonb_out writes it: keys in their stored order, no white space but one blank behind a comma
// or colon.
type jsonValue struct {
	kind jsonKind
	text []byte      // of a string, decoded; of a number, its digits; of true, "t"
	list []jsonValue // elements, or keys and values by turns
}

// jsonbVersion is the first byte of jsonb_send's output.
const jsonbVersion = 1

// parseJSONB reads the binary form of a jsonb value.
func parseJSONB(b []byte) (jsonValue, bool) {
	if len(b) < 2 || b[0] != jsonbVersion {
		return jsonValue{}, false
	}
	p := jsonParser{b[1:]}
	v, ok := p.value(0)
	return v, ok && len(p.rest) == 0
}

type jsonParser struct{ rest []byte }

// maxJSONDepth bounds nesting; PostgreSQL's own parser stops before it, at its stack's limit.
const maxJSONDepth = 100_000

func (p *jsonParser) skip(c byte) bool {
	if len(p.rest) > 0 && p.rest[0] == c {
		p.rest = p.rest[1:]
		return true
	}
	return false
}

func (p *jsonParser) word(w string, v jsonValue) (jsonValue, bool) {
	if !bytes.HasPrefix(p.rest, []byte(w)) {
		return v, false
	}
	p.rest = p.rest[len(w):]
	return v, true
}

func (p *jsonParser) value(depth int) (v jsonValue, ok bool) {
	if len(p.rest) == 0 || depth > maxJSONDepth {
		return v, false
	}
	switch c := p.rest[0]; c {
	case 'n':
		return p.word("null", jsonValue{kind: jsonNull})
	case 't':
		return p.word("true", jsonValue{kind: jsonBool, text: []byte("t")})
	case 'f':
		return p.word("false", jsonValue{kind: jsonBool})
	case '"':
		v.kind = jsonString
		v.text, ok = p.text()
		return v, ok
	case '[':
		return p.items(jsonArray, ']', depth)
	case '{':
		return p.items(jsonObject, '}', depth)
	}
	n := 0
	for n < len(p.rest) && bytes.IndexByte([]byte("+-.0123456789"), p.rest[n]) >= 0 {
		n++
	}
	v.kind, v.text, p.rest = jsonNumber, p.rest[:n], p.rest[n:]
	return v, n > 0
}

// items reads the members of an array or object.
func (p *jsonParser) items(kind jsonKind, end byte, depth int) (v jsonValue, ok bool) {
	v.kind = kind
	p.rest = p.rest[1:]
	if p.skip(end) {
		return v, true
	}
	for {
		if kind == jsonObject {
			key, ok := p.text()
			if !ok || !p.skip(':') || !p.skip(' ') {
				return v, false
			}
			v.list = append(v.list, jsonValue{kind: jsonString, text: key})
		}
		member, ok := p.value(depth + 1)
		if !ok {
			return v, false
		}
		v.list = append(v.list, member)
		if p.skip(end) {
			return v, true
		}
		if !p.skip(',') || !p.skip(' ') {
			return v, false
		}
	}
}

// text reads a string in quotes (escape_json).
func (p *jsonParser) text() (out []byte, ok bool) {
	if !p.skip('"') {
		return nil, false
	}
	for len(p.rest) > 0 {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '"':
			return out, true
		case c != '\\':
			out = append(out, c)
			continue
		case len(p.rest) == 0:
			return nil, false
		}
		c = p.rest[0]
		p.rest = p.rest[1:]
		if i := bytes.IndexByte([]byte(`"\/bfnrt`), c); i >= 0 {
			out = append(out, "\"\\/\b\f\n\r\t"[i])
			continue
		}
		if c != 'u' || len(p.rest) < 4 {
			return nil, false
		}
		n, err := strconv.ParseUint(string(p.rest[:4]), 16, 16)
		if err != nil {
			return nil, false
		}
		out = utf8.AppendRune(out, rune(n))
		p.rest = p.rest[4:]
	}
	return nil, false
}

// jsonbOrder is jsonb's btree order; text orders strings under the database's collation.
func jsonbOrder(text func(a, b []byte) int) func(a, b []byte) int {
	return func(a, b []byte) int {
		x, _ := parseJSONB(a)
		y, _ := parseJSONB(b)
		return compareJSON(x, y, true, text)
	}
}

// compareJSON is compareJsonbContainers (jsonb_util.c). At the top a scalar is an array of one element, marked raw: it
// comes before other arrays of one element, and behind the empty array.
func compareJSON(x, y jsonValue, top bool, text func(a, b []byte) int) int {
	if top {
		raw := func(v jsonValue) bool { return v.kind < jsonArray }
		switch {
		case raw(x) && y.kind == jsonArray:
			return cmp.Or(cmp.Compare(1, len(y.list)), -1)
		case x.kind == jsonArray && raw(y):
			return cmp.Or(cmp.Compare(len(x.list), 1), 1)
		case raw(x) && y.kind == jsonObject:
			return -1
		case x.kind == jsonObject && raw(y):
			return 1
		}
	}
	if x.kind != y.kind {
		return cmp.Compare(x.kind, y.kind)
	}
	switch x.kind {
	case jsonString:
		return text(x.text, y.text)
	case jsonNumber:
		return compareDecimals(x.text, y.text)
	case jsonBool:
		return cmp.Compare(len(x.text), len(y.text))
	}
	if c := cmp.Compare(len(x.list), len(y.list)); c != 0 {
		return c
	}
	for i := range x.list {
		if c := compareJSON(x.list[i], y.list[i], false, text); c != 0 {
			return c
		}
	}
	return 0
}

// compareDecimals orders numbers written as numeric_out writes them, without exponent.
func compareDecimals(a, b []byte) int {
	as, ai, af := splitDecimal(a)
	bs, bi, bf := splitDecimal(b)
	if as != bs {
		return cmp.Compare(as, bs)
	}
	c := cmp.Compare(len(ai), len(bi))
	if c == 0 {
		c = cmp.Or(bytes.Compare(ai, bi), bytes.Compare(af, bf))
	}
	return as * c
}

// splitDecimal gives a number's sign (0 for zero), and its digits before and behind the point without idle zeros.
func splitDecimal(n []byte) (sign int, whole, fraction []byte) {
	sign = 1
	if len(n) > 0 && n[0] == '-' {
		sign, n = -1, n[1:]
	}
	whole, fraction, _ = bytes.Cut(n, []byte("."))
	whole, fraction = bytes.TrimLeft(whole, "0"), bytes.TrimRight(fraction, "0")
	if len(whole) == 0 && len(fraction) == 0 {
		sign = 0
	}
	return sign, whole, fraction
}
