package proxy

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pleiad/pleiad/internal/executor"
	"github.com/pleiad/pleiad/internal/pgerr"
)

// oidList is what pleiad.oids() gives of one kind of object.
type oidList struct {
	Schema []string `json:"nsp"`
	Name   []string `json:"name"`
	OID    []uint32 `json:"oid"`
	// Of types: what kind each is of, and the types inside.
	Kind  []string   `json:"kind"`
	Inner [][]uint32 `json:"inner"`
}

func (l oidList) byName() map[string]uint32 {
	out := make(map[string]uint32, len(l.OID))
	for i, o := range l.OID {
		out[l.Schema[i]+"\x00"+l.Name[i]] = o
	}
	return out
}

// parts tells what values of the types are made of.
func (l oidList) parts() map[uint32]executor.Parts {
	out := map[uint32]executor.Parts{}
	for i, o := range l.OID {
		if i < len(l.Kind) && i < len(l.Inner) && l.Kind[i] != "" {
			out[o] = executor.Parts{Kind: l.Kind[i][0], Inner: l.Inner[i]}
		}
	}
	return out
}

type oidLists struct {
	Types     oidList `json:"types"`
	Relations oidList `json:"rels"`
}

// loadOIDs reads the oids of user types and relations on a backend and on home and pairs them by name.
func (db *Database) loadOIDs(ctx context.Context, b int) (*executor.OIDs, error) {
	there, err := db.readOIDs(ctx, b)
	if err != nil {
		return nil, err
	}
	home, err := db.readOIDs(ctx, db.home)
	if err != nil {
		return nil, err
	}
	return translationOf(there, home), nil
}

// translationOf pairs a backend's oids with home's.
func translationOf(there, home oidLists) *executor.OIDs {
	o := &executor.OIDs{Parts: home.Types.parts()}
	o.Types, o.Home = pairOIDs(there.Types, home.Types)
	o.Relations, o.HomeRelations = pairOIDs(there.Relations, home.Relations)
	return o
}

// member is Gang.Join for what speaks of the client's types: it learns those of the open transaction there.
func (s *Session) member(b int) (*executor.Member, error) {
	m, err := s.gang.Join(s.ctx, b)
	if err == nil && s.planner.private != nil {
		err = s.learnOIDs(m)
	}
	return m, err
}

// learnOIDs makes a connection speak of the types and relations that its own transaction has made: nobody else sees them. In
// the middle of a pipeline there is no asking.
func (s *Session) learnOIDs(m *executor.Member) error {
	p := &s.planner
	if m.Types == nil || m.TypesAge == p.privateAge || m.Extended {
		return nil
	}
	if p.oidsAge != p.privateAge {
		home := s.gang.Member(s.db.home)
		if home == nil || home.Extended {
			return nil
		}
		here, err := askOIDs(home)
		if err != nil {
			return err
		}
		p.oids, p.oidsAge = here, p.privateAge
	}
	there, err := askOIDs(m)
	if err != nil {
		return err
	}
	m.Types, m.TypesAge = translationOf(there, p.oids), p.privateAge
	return nil
}

// askOIDs is readOIDs on a session's own connection.
func askOIDs(m *executor.Member) (l oidLists, err error) {
	rows, errFrame, err := m.Ask(oidsSQL)
	switch {
	case err != nil:
		return l, err
	case errFrame != nil:
		return l, executor.FrameToError(errFrame)
	case len(rows) != 1:
		return l, pgerr.New(pgerr.InternalError, "the server did not tell its oids")
	}
	if err := json.Unmarshal(rows[0][0], &l); err != nil {
		return l, fmt.Errorf("read oids: %w", err)
	}
	return l, nil
}

const oidsSQL = "SELECT pleiad.oids()::text"

// pairOIDs maps a backend's oids to home's by name, and home's to the backend's.
func pairOIDs(there, home oidList) (toHome, toBackend map[uint32]uint32) {
	toHome, toBackend = map[uint32]uint32{}, map[uint32]uint32{}
	ours := home.byName()
	for name, oid := range there.byName() {
		if h, ok := ours[name]; ok {
			toHome[oid], toBackend[h] = h, oid
		}
	}
	return toHome, toBackend
}

func (db *Database) readOIDs(ctx context.Context, b int) (oidLists, error) {
	var text []byte
	err := db.srv.control.read(ctx, db.targets[b].Name, db.name, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, oidsSQL).Scan(&text)
	})
	if err != nil {
		return oidLists{}, err
	}
	var l oidLists
	if err := json.Unmarshal(text, &l); err != nil {
		return oidLists{}, fmt.Errorf("read oids: %w", err)
	}
	return l, nil
}
