package auth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Role is one row of pg_authid.
type Role struct {
	Name      string
	Verifier  Secret // rolpassword as stored; "" when the role has none
	CanLogin  bool
	Super     bool
	ConnLimit int // -1: none
	// ValidUntil is when the password expires; zero: never. It does not concern trust, as in PostgreSQL.
	ValidUntil time.Time
}

// Lookup finds a role by its exact name. ErrNoRole says that there is none; any other error means that it could
// not be looked up, and the client is told so. User is valid UTF-8 without NUL, of any length.
type Lookup func(ctx context.Context, user string) (Role, error)

// ErrNoRole is the absence of a role.
var ErrNoRole = errors.New("role does not exist")

// LookupSQL reads one role; $1 is its name as text, so that one longer than 63 bytes finds nothing rather than a
// truncated name's role. Its row is for ScanRole. Everything in it is schema-qualified; run it all the same on a
// connection that was opened with LookupSearchPath (CVE-2018-1058, and pgbouncer's CVE-2025-12819).
const LookupSQL = `SELECT r.rolname::pg_catalog.text, r.rolpassword, r.rolcanlogin, r.rolsuper, r.rolconnlimit,
 pg_catalog.date_part('epoch', r.rolvaliduntil)
 FROM pg_catalog.pg_authid AS r
 WHERE r.rolname OPERATOR(pg_catalog.=) $1::pg_catalog.text COLLATE pg_catalog."C"`

// LookupSearchPath is the search_path startup parameter for connections that run LookupSQL.
const LookupSearchPath = "pg_catalog, pg_temp"

// ScanRole reads a row of LookupSQL with the Scan method of a pgx row. No row is the caller's to map to ErrNoRole.
func ScanRole(scan func(dest ...any) error) (Role, error) {
	var r Role
	var verifier *string
	var connLimit int32
	var until *float64
	if err := scan(&r.Name, &verifier, &r.CanLogin, &r.Super, &connLimit, &until); err != nil {
		return Role{}, fmt.Errorf("read role: %w", err)
	}
	r.ConnLimit = int(connLimit)
	if verifier != nil {
		r.Verifier = Secret(*verifier)
	}
	if until != nil {
		r.ValidUntil = validUntil(*until)
	}
	return r, nil
}

// validUntil converts seconds since 1970, ±infinity included.
func validUntil(epoch float64) time.Time {
	switch {
	case math.IsInf(epoch, 1):
		return time.Time{}
	case math.IsInf(epoch, -1):
		return time.Unix(math.MinInt32, 0)
	}
	whole, fraction := math.Modf(epoch)
	return time.Unix(int64(whole), int64(fraction*1e9))
}

func (r Role) expired(now time.Time) bool { return !r.ValidUntil.IsZero() && r.ValidUntil.Before(now) }
