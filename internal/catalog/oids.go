package catalog

import (
	"context"
	"encoding/json"
	"fmt"
)

// OIDsSQL reads the oids of a backend's user types and relations, for DecodeOIDs.
const OIDsSQL = "SELECT pleiad.oids()::text"

// OIDs are one backend's numbers for user types and relations, by qualified name ("schema.name", unquoted). A
// client sees home's numbers; another backend's are translated by name.
type OIDs struct {
	Types     map[string]uint32
	Relations map[string]uint32
}

// LoadOIDs reads a backend's oids in one round trip.
func LoadOIDs(ctx context.Context, q Querier) (*OIDs, error) {
	text, err := q.QueryText(ctx, OIDsSQL)
	if err != nil {
		return nil, fmt.Errorf("read oids: %w", err)
	}
	return DecodeOIDs(text)
}

// DecodeOIDs reads OIDsSQL's answer.
func DecodeOIDs(text []byte) (*OIDs, error) {
	type list struct {
		Nsp  []string `json:"nsp"`
		Name []string `json:"name"`
		OID  []uint32 `json:"oid"`
	}
	var in struct{ Types, Rels list }
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("decode oids: %w", err)
	}
	named := func(l list) map[string]uint32 {
		m := make(map[string]uint32, len(l.OID))
		for i, oid := range l.OID {
			m[l.Nsp[i]+"."+l.Name[i]] = oid
		}
		return m
	}
	return &OIDs{Types: named(in.Types), Relations: named(in.Rels)}, nil
}

// Translate maps o's type oids and relation oids to home's. An oid that is not in its map is the same
// everywhere; a name that home does not have is left out, for no client gets to see it.
func (o *OIDs) Translate(home *OIDs) (types, relations map[uint32]uint32) {
	return translate(o.Types, home.Types), translate(o.Relations, home.Relations)
}

func translate(from, to map[string]uint32) map[uint32]uint32 {
	m := make(map[uint32]uint32)
	for name, oid := range from {
		if at, ok := to[name]; ok && at != oid {
			m[oid] = at
		}
	}
	return m
}
