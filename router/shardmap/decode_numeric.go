package shardmap

import "encoding/binary"

const (
	// numericBase is the base of the digits in which PostgreSQL stores and hashes a numeric.
	numericBase = 10000
	// numericMaxScale is NUMERIC_DSCALE_MAX: digits after the point.
	numericMaxScale = 0x3FFF
	// numericMaxExponent is generous: every finite numeric has fewer decimal digits on either side.
	numericMaxExponent = 200000
)

// hashNumericDigits is the end of hash_numeric_extended. digits holds base-10000 digits, each a
// little-endian int16, without leading or trailing zero digits; weight is the exponent of the first. Sign and
// scale take no part.
func hashNumericDigits(digits []byte, weight int, seed uint64) uint64 {
	if len(digits) == 0 {
		return seed - 1
	}
	return hashBytes(digits, seed) ^ uint64(int64(weight))
}

// hashNumericSpecial is the hash of NaN and both infinities.
func hashNumericSpecial(seed uint64) uint64 { return seed }

func hashNumericInt(n int64, seed uint64) uint64 {
	u := uint64(n)
	if n < 0 {
		u = -u
	}
	weight := 4
	var groups [5]uint16
	for i := range groups {
		groups[4-i] = uint16(u % numericBase)
		u /= numericBase
	}
	first, last := 0, len(groups)
	for first < last && groups[first] == 0 {
		first++
		weight--
	}
	for first < last && groups[last-1] == 0 {
		last--
	}
	var stack [10]byte
	digits := stack[:0]
	for _, g := range groups[first:last] {
		digits = binary.LittleEndian.AppendUint16(digits, g)
	}
	return hashNumericDigits(digits, weight, seed)
}

func hashNumeric(f Format, data []byte, seed uint64) (uint64, error) {
	if f == Binary {
		return hashNumericBinary(data, seed)
	}
	text := trimSpace(data)
	unsigned := text
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		unsigned = text[1:]
	}
	if (len(unsigned) == len(text) && foldPrefix(text, "nan", 3)) ||
		foldPrefix(unsigned, "infinity", 8) || foldPrefix(unsigned, "inf", 3) && len(unsigned) == 3 {
		return hashNumericSpecial(seed), nil
	}
	d, err := scanDecimal(unsigned)
	if err != nil {
		return 0, err
	}
	return d.hash(seed)
}

// decimal is an unsigned decimal number as it stands in text.
type decimal struct {
	mantissa []byte // digits with at most one point; the text itself
	point    int    // digits before the point
	digits   int    // digits in all
	exponent int
}

// scanDecimal reads what set_var_from_str in numeric.c reads; text has no sign and no blanks around.
func scanDecimal(text []byte) (decimal, error) {
	var d decimal
	if newerSpelling(text) {
		return d, ErrNotProvable
	}
	i, seenPoint := 0, false
	for ; i < len(text); i++ {
		if isDigit(text[i]) {
			d.digits++
			if !seenPoint {
				d.point++
			}
		} else if text[i] == '.' && !seenPoint {
			seenPoint = true
		} else {
			break
		}
	}
	if d.digits == 0 {
		return d, &InvalidTextError{NumericOID}
	}
	d.mantissa = text[:i]
	if i == len(text) {
		return d, nil
	}
	if text[i] != 'e' && text[i] != 'E' {
		return d, &InvalidTextError{NumericOID}
	}
	var err error
	d.exponent, err = scanExponent(text[i+1:])
	return d, err
}

func scanExponent(text []byte) (int, error) {
	if len(text) > 0 && isSpace(text[0]) {
		// PostgreSQL 15 reads the exponent with strtol, which skips blanks; 16 does not.
		return 0, ErrNotProvable
	}
	neg := false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		neg = text[0] == '-'
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, &InvalidTextError{NumericOID}
	}
	n := 0
	for _, c := range text {
		if !isDigit(c) {
			return 0, &InvalidTextError{NumericOID}
		}
		n = min(n*10+int(c-'0'), numericMaxExponent)
	}
	if n == numericMaxExponent {
		return 0, ErrNotProvable
	}
	if neg {
		n = -n
	}
	return n, nil
}

// hash regroups the decimal digits by fours around the point. Numbers at or over the limits of the type
// are not provable.
func (d decimal) hash(seed uint64) (uint64, error) {
	if d.digits-d.point-d.exponent > numericMaxScale {
		return 0, ErrNotProvable
	}
	pos := d.point + d.exponent // decimal exponent of the next digit is pos-1
	var stack [128]byte
	digits := stack[:0]
	weight, group, pending := 0, 0, 0 // pending: zero groups not yet known to be inside
	for _, c := range d.mantissa {
		if c == '.' {
			continue
		}
		if len(digits) == 0 && group == 0 {
			if c == '0' {
				pos--
				continue
			}
			weight = floorDiv4(pos - 1)
		}
		place := (pos - 1) & 3 // 3, 2, 1, 0: place of the digit in its group
		group += int(c-'0') * [4]int{1, 10, 100, 1000}[place]
		pos--
		if place == 0 {
			digits, group, pending = appendGroup(digits, group, pending)
		}
	}
	digits, _, _ = appendGroup(digits, group, pending)
	if weight >= 0x7FFF/2 {
		return 0, ErrNotProvable
	}
	return hashNumericDigits(digits, weight, seed), nil
}

// appendGroup appends the zero groups put off and this one, or puts this one off if it is zero.
func appendGroup(digits []byte, group, pending int) (_ []byte, next, stillPending int) {
	if group == 0 {
		if len(digits) == 0 {
			return digits, 0, 0
		}
		return digits, 0, pending + 1
	}
	for ; pending > 0; pending-- {
		digits = append(digits, 0, 0)
	}
	return binary.LittleEndian.AppendUint16(digits, uint16(group)), 0, 0
}

func floorDiv4(n int) int { return n >> 2 }

// hashNumericBinary reads what numeric_recv reads.
func hashNumericBinary(data []byte, seed uint64) (uint64, error) {
	if len(data) < 8 || len(data) != 8+2*int(binary.BigEndian.Uint16(data)) {
		return 0, &InvalidBinaryError{NumericOID, len(data)}
	}
	weight := int(int16(binary.BigEndian.Uint16(data[2:])))
	sign := binary.BigEndian.Uint16(data[4:])
	scale := int(binary.BigEndian.Uint16(data[6:]))
	if scale > numericMaxScale {
		return 0, &InvalidBinaryError{NumericOID, len(data)}
	}
	for i := 8; i < len(data); i += 2 {
		if binary.BigEndian.Uint16(data[i:]) >= numericBase {
			return 0, &InvalidBinaryError{NumericOID, len(data)}
		}
	}
	switch sign {
	case 0xC000, 0xD000, 0xF000: // NaN, infinity, -infinity
		return hashNumericSpecial(seed), nil
	case 0x0000, 0x4000:
	default:
		return 0, &InvalidBinaryError{NumericOID, len(data)}
	}
	body := data[8:]
	for len(body) > 0 && binary.BigEndian.Uint16(body) == 0 {
		body = body[2:]
		weight--
	}
	for len(body) > 0 && binary.BigEndian.Uint16(body[len(body)-2:]) == 0 {
		body = body[:len(body)-2]
	}
	if decimalsOf(body, weight) > scale {
		// numeric_recv cuts the digits that the scale hides.
		return 0, ErrNotProvable
	}
	var stack [128]byte
	digits := stack[:0]
	for i := 0; i < len(body); i += 2 {
		digits = append(digits, body[i+1], body[i])
	}
	return hashNumericDigits(digits, weight, seed), nil
}

// decimalsOf counts the decimal digits after the point up to the last that is not zero; body is big-endian
// and ends in a digit that is not zero.
func decimalsOf(body []byte, weight int) int {
	if len(body) == 0 {
		return 0
	}
	last := int(binary.BigEndian.Uint16(body[len(body)-2:]))
	decimals := 4 * (len(body)/2 - 1 - weight)
	for last%10 == 0 {
		last /= 10
		decimals--
	}
	return max(decimals, 0)
}
