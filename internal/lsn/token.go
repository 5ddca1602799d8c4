package lsn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Token is what a session has seen, by backend. As text: b1=1:0/3000060,b2=2:0/5000148.
type Token map[string]Position

func (t Token) String() string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(t)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name + "=" + t[name].String())
	}
	return b.String()
}

// ParseToken reads String's form; "" is an empty one.
func ParseToken(s string) (Token, error) {
	t := Token{}
	if strings.TrimSpace(s) == "" {
		return t, nil
	}
	for _, part := range strings.Split(s, ",") {
		name, at, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%w: %q", ErrSyntax, part)
		}
		p, err := ParsePosition(at)
		if err != nil {
			return nil, err
		}
		if _, twice := t[name]; twice {
			return nil, fmt.Errorf("%w: %q stands there twice", ErrSyntax, name)
		}
		t[name] = p
	}
	return t, nil
}
