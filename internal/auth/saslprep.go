package auth

import (
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
	"golang.org/x/text/unicode/norm"
)

// prohibited are the tables of RFC 4013, section 2.3, and unassigned code points, section 2.5.
var prohibited = []stringprep.Set{
	stringprep.TableC1_2, stringprep.TableC2_1, stringprep.TableC2_2, stringprep.TableC3, stringprep.TableC4,
	stringprep.TableC5, stringprep.TableC6, stringprep.TableC7, stringprep.TableC8, stringprep.TableC9,
	stringprep.TableA1,
}

// saslprep is pg_saslprep of PostgreSQL's saslprep.c. It differs from RFC 4013 where PostgreSQL does: what is
// ASCII only stays as it is, control characters included, and so does what the RFC would refuse, such as bytes
// that are not UTF-8. Normalization follows the Unicode version of golang.org/x/text as PostgreSQL's follows its
// own: characters newer than either that have a compatibility decomposition may come out differently.
func saslprep(password string) string {
	if isASCII(password) || !utf8.ValidString(password) {
		return password
	}
	mapped := make([]rune, 0, len(password))
	for _, r := range password {
		switch {
		case stringprep.TableC1_2.Contains(r): // before table B.1: U+200B is in both
			mapped = append(mapped, ' ')
		case mappedToNothing(r):
		default:
			mapped = append(mapped, r)
		}
	}
	prepared := norm.NFKC.String(string(mapped))
	if prepared == "" || !permitted(prepared) {
		return password
	}
	return prepared
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func mappedToNothing(r rune) bool {
	_, ok := stringprep.TableB1.Map(r)
	return ok
}

// permitted checks the output for prohibited characters and for mixed directions (RFC 3454, section 6).
func permitted(s string) bool {
	var rightToLeft, leftToRight bool
	for _, r := range s {
		for _, set := range prohibited {
			if set.Contains(r) {
				return false
			}
		}
		rightToLeft = rightToLeft || stringprep.TableD1.Contains(r)
		leftToRight = leftToRight || stringprep.TableD2.Contains(r)
	}
	if !rightToLeft {
		return true
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return !leftToRight && stringprep.TableD1.Contains(first) && stringprep.TableD1.Contains(last)
}
