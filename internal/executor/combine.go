package executor

import (
	"context"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
	"github.com/pleiad/pleiad/router"
)

// Partials are the one-row answers of several backends to a query of aggregates.
type Partials struct {
	Names []string   // output columns
	Types []uint32   // their type oids, home's
	Rows  [][][]byte // one for each backend; text, nil for NULL
}

// CheckText lets a member analyse a text that it will not run as it stands, so that what is wrong with it is said in the
// client's terms. It returns the ErrorResponse.
func CheckText(m *Member, text string, oids []uint32) ([]byte, error) {
	if err := Settle(m); err != nil {
		return nil, err
	}
	m.Out = wire.Parse(m.Out, "", text, m.OIDs(oids))
	m.Conn.Unnamed = 0
	m.Out = wire.Sync(m.Out)
	m.Owed++
	m.opening, m.Extended = false, false
	if err := m.Send(); err != nil {
		return nil, err
	}
	errFrame, err := m.drainInto(nil)
	_, errFrame, err = m.asked(nil, errFrame, err)
	if errFrame != nil {
		errFrame = fixError(errFrame, 0)
	}
	return errFrame, err
}

// AskPartials runs an aggregate query on every member at once. It returns the ErrorResponse of the first that failed.
func AskPartials(ctx context.Context, g *Gang, members []*Member, text string, oids []uint32, bind []byte) (*Partials, []byte, error) {
	for _, m := range members {
		if err := Settle(m); err != nil {
			return nil, nil, err
		}
	}
	params := bind
	if params == nil {
		params = []byte{0, 0, 0, 0}
	}
	tail := append(append([]byte(nil), params...), 0, 0)
	bound, err := g.bindAll(ctx, members, true, func(i int) {
		members[i].Out = wire.Parse(members[i].Out, "", text, members[i].OIDs(oids))
		members[i].Conn.Unnamed = 0
	}, func(i int) { members[i].Out = wire.Bind(members[i].Out, "", "", tail) })
	if err != nil {
		return nil, nil, err
	}
	if i := bound.first(); i >= 0 {
		if r := bound.replies[i]; r.failure != nil {
			return nil, fixError(r.failure, 0), nil
		}
		return nil, nil, bound.replies[i].lost
	}
	for _, m := range members {
		m.executeBound()
	}
	for _, m := range members {
		_ = m.Send() // one that is lost says so again below
	}
	p := &Partials{}
	var failure []byte
	var lost error
	for _, m := range members {
		errFrame, err := m.drainInto(func(typ byte, frame []byte) {
			switch typ {
			case 'T':
				if p.Names == nil {
					p.Names, p.Types = columnNames(frame), columnTypes(frame)
				}
			case 'D':
				p.Rows = m.appendValues(p.Rows, frame)
				if n := len(p.Rows); len(p.Rows[n-1]) != len(p.Types) {
					_ = m.Lost(errRow)
				}
			}
		})
		_, errFrame, err = m.asked(nil, errFrame, err)
		if err != nil && lost == nil {
			lost = err
		}
		if errFrame != nil && failure == nil {
			failure = fixError(errFrame, 0)
		}
		if err != nil || errFrame != nil {
			g.Cancel(ctx) // the others' work is in vain
		}
	}
	return p, failure, lost
}

func columnNames(frame []byte) (names []string) {
	d := wire.BodyOf(frame)
	for range d.Uint16() {
		names = append(names, string(d.Text()))
		d.Bytes(18)
	}
	return names
}

// CombineSQL is the statement that makes the answer of the partial values.
func (p *Partials) CombineSQL(list []router.Combine) (string, *pgerr.Error) {
	return router.CombineSQL(list, p.Names, p.Types, p.Rows)
}
