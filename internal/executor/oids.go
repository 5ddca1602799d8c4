package executor

import "encoding/binary"

// firstUserOID is FirstNormalObjectId of PostgreSQL's access/transam.h: objects below it have the same oid on
// every server.
const firstUserOID = 16384

// OIDs translates one backend's oids of user-defined types and relations to home's, which are the ones clients
// see. A nil OIDs changes nothing.
type OIDs struct {
	Types     map[uint32]uint32 // backend's → home's
	Relations map[uint32]uint32
	Home      map[uint32]uint32 // types, home's → backend's
	// HomeRelations are home's → backend's.
	HomeRelations map[uint32]uint32
	// Parts tells what binary values are made of, by home's oids of types.
	Parts map[uint32]Parts
}

// Rows translates a RowDescription frame in place.
func (o *OIDs) Rows(frame []byte) {
	if o == nil {
		return
	}
	eachColumn(frame, func(b []byte) {
		translate(b[0:4], o.Relations)
		translate(b[6:10], o.Types)
	})
}

// ofTable makes the columns in a RowDescription frame that are of a table those of the table oid.
func ofTable(frame []byte, oid uint32) {
	eachColumn(frame, func(b []byte) {
		if binary.BigEndian.Uint32(b) != 0 {
			binary.BigEndian.PutUint32(b, oid)
		}
	})
}

// eachColumn shows what follows each name in a RowDescription frame: table, column, type and the rest, 18 bytes.
func eachColumn(frame []byte, see func(b []byte)) {
	if len(frame) < 7 {
		return
	}
	n := int(binary.BigEndian.Uint16(frame[5:]))
	b := frame[7:]
	for ; n > 0; n-- {
		i := 0
		for i < len(b) && b[i] != 0 {
			i++
		}
		if i+19 > len(b) {
			return
		}
		see(b[i+1 : i+19])
		b = b[i+19:]
	}
}

// Params translates a ParameterDescription frame in place.
func (o *OIDs) Params(frame []byte) {
	if o == nil || len(frame) < 7 {
		return
	}
	for b := frame[7:]; len(b) >= 4; b = b[4:] {
		translate(b[:4], o.Types)
	}
}

// ToBackend gives the backend's oid of a type that the client named by home's.
func (o *OIDs) ToBackend(oid uint32) uint32 {
	if o == nil || oid < firstUserOID {
		return oid
	}
	if v, ok := o.Home[oid]; ok {
		return v
	}
	return oid
}

func translate(b []byte, m map[uint32]uint32) {
	oid := binary.BigEndian.Uint32(b)
	if oid < firstUserOID {
		return
	}
	if v, ok := m[oid]; ok {
		binary.BigEndian.PutUint32(b, v)
	}
}
