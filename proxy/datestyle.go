package proxy

import (
	"cmp"
	"strings"
)

// keptValue is what the session keeps of a setting that was set, so that every connection gets the same from it. DateStyle alone
// depends on what it was: what a new value does not say, of output format and order of the fields, stays (check_datestyle of
// variable.c).
func (s *Session) keptValue(name, value string) string {
	if name != "datestyle" {
		return value
	}
	old, _ := s.gang.Settings.Get(name)
	var style dateStyle
	if !style.read(old) || style.format == "" || style.order == "" {
		shown := dateStyle{}
		if !shown.read(s.shown["DateStyle"]) {
			return value
		}
		style = dateStyle{cmp.Or(style.format, shown.format), cmp.Or(style.order, shown.order)}
	}
	var next dateStyle
	if !next.read(value) {
		return value
	}
	return "'" + cmp.Or(next.format, style.format) + ", " + cmp.Or(next.order, style.order) + "'"
}

// dateStyle is a value of the setting; what it does not say is "".
type dateStyle struct{ format, order string }

// read takes a value, as SQL or as shown. ok is false where it is not known what it says, as of DEFAULT.
func (d *dateStyle) read(value string) (ok bool) {
	german := false
	for word := range strings.SplitSeq(strings.NewReplacer("'", "", `"`, "").Replace(value), ",") {
		switch word = strings.ToLower(strings.TrimSpace(word)); {
		case word == "":
		case word == "iso":
			d.format = "ISO"
		case word == "sql":
			d.format = "SQL"
		case strings.HasPrefix(word, "postgres"):
			d.format = "Postgres"
		case word == "german":
			d.format, german = "German", true
		case word == "ymd":
			d.order = "YMD"
		case word == "dmy", strings.HasPrefix(word, "euro"):
			d.order = "DMY"
		case word == "mdy", word == "us", strings.HasPrefix(word, "noneuro"):
			d.order = "MDY"
		default:
			return false
		}
	}
	if german && d.order == "" {
		d.order = "DMY"
	}
	return true
}
