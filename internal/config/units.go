package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration written as Go writes it: "5s", "1m30s", "0".
type Duration time.Duration

// D is the standard library's type, for use.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string {
	if d == 0 {
		return "0"
	}
	return time.Duration(d).String()
}

var errDuration = errors.New(`must be a duration with a unit, as 500ms, 5s or 1h30m, or 0`)

func (d *Duration) parse(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil {
		return errDuration
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes, written with a binary unit: "64MiB".
type Size int64

const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// sizeUnits runs from large to small, so that String finds the shortest form.
var sizeUnits = []struct {
	suffix string
	factor Size
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}

func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits {
		if s%u.factor == 0 {
			return strconv.FormatInt(int64(s/u.factor), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// errSize does not offer MB: PostgreSQL means 2^20 by it, everyone else 10^6.
var errSize = errors.New(`must be a size in bytes or with one of B, KiB, MiB, GiB, as 64MiB`)

func (s *Size) parse(text string) error {
	factor := Size(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, factor = strings.TrimRight(rest, " "), u.factor
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(factor) {
		return errSize
	}
	*s = Size(n) * factor
	return nil
}
