package proxy

import (
	"encoding/binary"
	"strings"

	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// raise is RAISE: PostgreSQL makes the report, under the code's own context.
func (c *call) raise(s *router.ProgramStep, at string) (failure []byte, err error) {
	if s.Name == "" && s.Message == nil && len(s.Options) == 0 {
		if len(c.caught) == 0 {
			return c.report("BEGIN RAISE; END", at)
		}
		return c.caught[len(c.caught)-1], nil // under the context that it had
	}
	sql := "BEGIN RAISE " + s.Level
	if s.Name != "" {
		sql += " " + condition(s.Name)
	}
	with := " USING "
	if s.Message != nil {
		var message strings.Builder
		message.WriteString(s.Message[0])
		for i, a := range s.Args {
			text, failure, err := c.text(a, "<NULL>", at)
			if failure != nil || err != nil {
				return failure, err
			}
			message.WriteString(text + s.Message[i+1])
		}
		sql += with + "MESSAGE = " + quoteText(message.String())
		with = ", "
	}
	for _, o := range s.Options {
		var v datum
		if failure, err = c.value(o.Expr, textOID, at, &v); failure != nil || err != nil {
			return failure, err
		}
		text := "NULL"
		if !v.null {
			text = quoteText(string(v.data))
		}
		sql += with + o.Name + " = " + text
		with = ", "
	}
	return c.report(sql+"; END", at)
}

// quoteText is a string constant that means the same whatever standard_conforming_strings is.
func quoteText(s string) string {
	return "E'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''") + "'"
}

// report runs a block at home that does nothing but report, and puts the code's own context into what it says.
func (c *call) report(block, at string) (failure []byte, err error) {
	tag := "$report$"
	for strings.Contains(block, tag) {
		tag = strings.TrimSuffix(tag, "$") + "x$"
	}
	next := &request{text: []byte("DO " + tag + block + tag), tmpl: &router.Template{Kind: router.KindHome, Command: "DO"}}
	own := func(f []byte) []byte { return replaceContext(f, strings.Join(append([]string{at}, c.outer...), "\n")) }
	_, failure, err = c.s.captureReports(next, own, func([][]byte) error { return nil })
	if failure != nil {
		failure = replaceContext(failure, at) // what calls this adds its own
	}
	return failure, err
}

// condition is a condition's name or its SQLSTATE as RAISE and WHEN have it.
func condition(name string) string {
	if len(name) == 5 && strings.ToUpper(name) == name {
		return "SQLSTATE '" + name + "'"
	}
	return name
}

// text is an expression's value as text.
func (c *call) text(p *router.ProgramSQL, null, at string) (text string, failure []byte, err error) {
	text = null
	context := []string{at}
	if p.Source != "" {
		context = []string{p.Source, at}
	}
	next := c.bound(p)
	next.formats = nil
	_, failure, err = c.captured(next, context, func(values [][]byte) error {
		if values[0] != nil {
			text = string(values[0])
		}
		return nil
	})
	if p.Source != "" {
		c.count = 1
	}
	return text, failure, err
}

// assert is ASSERT, which a setting turns off.
func (c *call) assert(s *router.ProgramStep, at string) (failure []byte, err error) {
	home, err := c.s.gang.Join(c.s.ctx, c.s.db.home)
	if err != nil {
		return nil, err
	}
	rows, failure, err := home.Ask("SELECT pg_catalog.current_setting('plpgsql.check_asserts', true)")
	if failure != nil || err != nil || string(rows[0][0]) == "off" {
		return failure, err
	}
	var v datum
	if failure, err = c.value(s.SQL, boolOID, at, &v); failure != nil || err != nil || !v.null && v.data[0] == 1 {
		return failure, err
	}
	block := "BEGIN ASSERT false"
	for _, a := range s.Args {
		text, failure, err := c.text(a, "", at)
		if failure != nil || err != nil {
			return failure, err
		}
		if text != "" {
			block += ", " + quoteText(text)
		}
	}
	return c.report(block+"; END", at)
}

// diagnosed are the fields of an error that GET STACKED DIAGNOSTICS gives.
var diagnosed = map[string]byte{
	"RETURNED_SQLSTATE": 'C', "MESSAGE_TEXT": 'M', "PG_EXCEPTION_DETAIL": 'D', "PG_EXCEPTION_HINT": 'H', "PG_EXCEPTION_CONTEXT": 'W',
	"SCHEMA_NAME": 's', "TABLE_NAME": 't', "COLUMN_NAME": 'c', "PG_DATATYPE_NAME": 'd', "CONSTRAINT_NAME": 'n',
}

// diagnose is GET DIAGNOSTICS.
func (c *call) diagnose(s *router.ProgramStep, at string) (failure []byte, err error) {
	if s.Kind == "GET STACKED DIAGNOSTICS" && len(c.caught) == 0 {
		return c.report("DECLARE t text; BEGIN GET STACKED DIAGNOSTICS t = MESSAGE_TEXT; END", at)
	}
	for _, item := range s.Items {
		v, from := datum{data: binary.BigEndian.AppendUint64(nil, uint64(c.count))}, uint32(int8OID)
		if item.Kind != "ROW_COUNT" {
			text := wire.ErrorField(c.caught[len(c.caught)-1], diagnosed[item.Kind])
			if item.Kind == "PG_EXCEPTION_CONTEXT" {
				text = strings.Join(append([]string{text}, c.outer...), "\n")
			}
			v, from = datum{data: []byte(text)}, textOID
		}
		if failure, err = c.convert(v, from, c.oids[item.Target], at, &c.vars[item.Target]); failure != nil || err != nil {
			return failure, err
		}
	}
	return nil, nil
}
