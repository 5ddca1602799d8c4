package shardmap

func hashBytea(f Format, data []byte, seed uint64) (uint64, error) {
	if f == Binary {
		return hashBytes(data, seed), nil
	}
	var stack [256]byte
	b, ok := appendBytea(stack[:0], data)
	if !ok {
		return 0, &InvalidTextError{ByteaOID}
	}
	return hashBytes(b, seed), nil
}

// appendBytea appends the bytes that byteain reads from text; ok is false where it raises an error.
func appendBytea(dst, text []byte) (_ []byte, ok bool) {
	if len(text) >= 2 && text[0] == '\\' && text[1] == 'x' {
		return appendByteaHex(dst, text[2:])
	}
	for len(text) > 0 {
		switch {
		case text[0] != '\\':
			dst, text = append(dst, text[0]), text[1:]
		case len(text) >= 2 && text[1] == '\\':
			dst, text = append(dst, '\\'), text[2:]
		case len(text) >= 4 && isOctal(text[1], '3') && isOctal(text[2], '7') && isOctal(text[3], '7'):
			dst, text = append(dst, (text[1]-'0')<<6|(text[2]-'0')<<3|(text[3]-'0')), text[4:]
		default:
			return dst, false
		}
	}
	return dst, true
}

func isOctal(c, highest byte) bool { return c >= '0' && c <= highest }

func appendByteaHex(dst, text []byte) (_ []byte, ok bool) {
	for len(text) > 0 {
		switch text[0] {
		case ' ', '\n', '\t', '\r': // between pairs, not inside one
			text = text[1:]
			continue
		}
		if len(text) < 2 || hexValue(text[0]) > 15 || hexValue(text[1]) > 15 {
			return dst, false
		}
		dst, text = append(dst, hexValue(text[0])<<4|hexValue(text[1])), text[2:]
	}
	return dst, true
}
