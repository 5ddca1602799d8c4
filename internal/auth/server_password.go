package auth

import (
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// password takes the password in clear text, over TLS or on this machine.
func (c *conversation) password(role Role, known bool) (*Identity, error) {
	msg, err := c.ask(&pgproto3.AuthenticationCleartextPassword{}, pgproto3.AuthTypeCleartextPassword, "password")
	if err != nil {
		return nil, err
	}
	m, ok := msg.(*pgproto3.PasswordMessage)
	if !ok || strings.IndexByte(string(c.frames.body), 0) != len(c.frames.body)-1 {
		return nil, violation("invalid password packet size")
	}
	if m.Password == "" {
		shown := pgerr.Fatal(pgerr.InvalidPassword, "empty password returned by client")
		return nil, &Failure{Shown: shown, Reason: shown.Message}
	}
	v, doomed := c.credentials(role, known)
	keys, right := v.check(m.Password)
	switch {
	case doomed != "":
		return nil, c.wrongPassword(doomed)
	case !right:
		return nil, c.wrongPassword("password does not match")
	}
	return c.admit(&Identity{Role: role, Method: Password, Keys: &keys})
}
