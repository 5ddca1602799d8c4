package shardmap

import (
	"encoding/binary"
	"math"
)

const (
	microsPerSecond = 1_000_000
	secondsPerDay   = 86_400
	// postgresEpochDays is 2000-01-01, PostgreSQL's day 0, counted from 1970-01-01.
	postgresEpochDays = 10_957
)

// decodeDate returns days since 2000-01-01; PostgreSQL's infinities are the ends of int32.
func decodeDate(f Format, data []byte) (int32, error) {
	if f == Binary {
		if len(data) != 4 {
			return 0, &InvalidBinaryError{DateOID, len(data)}
		}
		return int32(binary.BigEndian.Uint32(data)), nil
	}
	switch string(data) {
	case "infinity":
		return math.MaxInt32, nil
	case "-infinity":
		return math.MinInt32, nil
	case "epoch":
		return -postgresEpochDays, nil
	}
	days, rest, ok := scanDate(data)
	if !ok || len(rest) > 0 {
		return 0, ErrNotProvable
	}
	return int32(days), nil
}

// decodeTimestamp returns microseconds since 2000-01-01 00:00 (UTC for timestamptz); PostgreSQL's
// infinities are the ends of int64. typ is TimestampOID or TimestamptzOID.
//
// Text is provable only as YYYY-MM-DD, a blank or T, HH:MM:SS[.ffffff] and an offset (Z, ±HH, ±HH:MM):
// PostgreSQL reads that alike under every DateStyle and TimeZone. timestamptz must have the offset,
// timestamp ignores it as PostgreSQL does.
func decodeTimestamp(typ uint32, f Format, data []byte) (int64, error) {
	if f == Binary {
		if len(data) != 8 {
			return 0, &InvalidBinaryError{typ, len(data)}
		}
		return int64(binary.BigEndian.Uint64(data)), nil
	}
	switch string(data) {
	case "infinity":
		return math.MaxInt64, nil
	case "-infinity":
		return math.MinInt64, nil
	case "epoch":
		return -postgresEpochDays * secondsPerDay * microsPerSecond, nil
	}
	days, rest, ok := scanDate(data)
	if !ok {
		return 0, ErrNotProvable
	}
	if len(rest) == 0 && typ == TimestampOID {
		return days * secondsPerDay * microsPerSecond, nil
	}
	if len(rest) == 0 || (rest[0] != ' ' && rest[0] != 'T') {
		return 0, ErrNotProvable
	}
	micros, rest, ok := scanClock(rest[1:])
	if !ok {
		return 0, ErrNotProvable
	}
	offset, ok := int64(0), typ == TimestampOID
	if len(rest) > 0 {
		offset, ok = scanOffset(rest)
	}
	if !ok {
		return 0, ErrNotProvable
	}
	if typ == TimestampOID {
		offset = 0
	}
	return (days*secondsPerDay-offset)*microsPerSecond + micros, nil
}

// twoDigits reads the two digits at s[at:].
func twoDigits(s []byte, at int) (n int64, ok bool) {
	if len(s) < at+2 || !isDigit(s[at]) || !isDigit(s[at+1]) {
		return 0, false
	}
	return int64(s[at]-'0')*10 + int64(s[at+1]-'0'), true
}

// scanDate reads YYYY-MM-DD of the years 1 to 9999 into days since 2000-01-01.
func scanDate(s []byte) (days int64, rest []byte, ok bool) {
	century, ok1 := twoDigits(s, 0)
	year, ok2 := twoDigits(s, 2)
	month, ok3 := twoDigits(s, 5)
	day, ok4 := twoDigits(s, 8)
	if !ok1 || !ok2 || !ok3 || !ok4 || s[4] != '-' || s[7] != '-' {
		return 0, nil, false
	}
	year += century * 100
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, nil, false
	}
	return daysBefore(year, month) + day - 1, s[10:], true
}

func isLeap(year int64) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(year, month int64) int64 {
	switch month {
	case 2:
		if isLeap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysBefore counts from 2000-01-01 to the first of the month in the Gregorian calendar; year is 1 or more.
func daysBefore(year, month int64) int64 {
	y := year - 1
	days := y*365 + y/4 - y/100 + y/400
	for m := int64(1); m < month; m++ {
		days += daysIn(year, m)
	}
	const daysTo2000 = 1999*365 + 1999/4 - 1999/100 + 1999/400
	return days - daysTo2000
}

// scanClock reads HH:MM:SS with up to six decimals. Hour 24 and second 60, which PostgreSQL carries over,
// are not accepted, nor are more decimals, which it rounds.
func scanClock(s []byte) (micros int64, rest []byte, ok bool) {
	hour, ok1 := twoDigits(s, 0)
	minute, ok2 := twoDigits(s, 3)
	second, ok3 := twoDigits(s, 6)
	if !ok1 || !ok2 || !ok3 || s[2] != ':' || s[5] != ':' || hour > 23 || minute > 59 || second > 59 {
		return 0, nil, false
	}
	micros = ((hour*60+minute)*60 + second) * microsPerSecond
	s = s[8:]
	if len(s) == 0 || s[0] != '.' {
		return micros, s, true
	}
	s = s[1:]
	if len(s) == 0 || !isDigit(s[0]) {
		return 0, nil, false
	}
	for unit := int64(microsPerSecond / 10); len(s) > 0 && isDigit(s[0]); unit /= 10 {
		if unit == 0 {
			return 0, nil, false
		}
		micros += int64(s[0]-'0') * unit
		s = s[1:]
	}
	return micros, s, true
}

// scanOffset reads Z, ±HH or ±HH:MM to the end of s: seconds east of UTC. PostgreSQL allows up to 15:59.
func scanOffset(s []byte) (seconds int64, ok bool) {
	if len(s) == 1 && s[0] == 'Z' {
		return 0, true
	}
	if s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hours, ok := twoDigits(s, 1)
	minutes := int64(0)
	switch {
	case !ok || hours > 15:
		return 0, false
	case len(s) == 3:
	case len(s) == 6 && s[3] == ':':
		if minutes, ok = twoDigits(s, 4); !ok || minutes > 59 {
			return 0, false
		}
	default:
		return 0, false
	}
	seconds = (hours*60 + minutes) * 60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}
