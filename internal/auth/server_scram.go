package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"

	"github.com/pleiad/pleiad/internal/pgerr"
)

// SASL mechanisms.
const (
	mechScram     = "SCRAM-SHA-256"
	mechScramPlus = "SCRAM-SHA-256-PLUS"
)

// bindingFlag is how a client says that it uses the one channel binding that PostgreSQL has.
const bindingFlag = "p=" + string(scram.ChannelBindingTLSServerEndpoint)

// scram runs the exchange of RFC 5802 and 7677, with PostgreSQL's messages (auth-scram.c).
func (c *conversation) scram(role Role, known bool) (*Identity, error) {
	binding := c.channelBinding()
	offer := []string{mechScram}
	if binding.IsSupported() {
		offer = []string{mechScramPlus, mechScram}
	}
	first, plus, err := c.clientFirst(offer)
	if err != nil {
		return nil, err
	}
	bare, err := checkClientFirst(first, plus, binding.IsSupported())
	if err != nil {
		return nil, err
	}
	verifier, doomed := c.credentials(role, known)
	conv, err := newExchange(verifier, binding)
	if err != nil {
		return nil, err
	}
	serverFirst, err := conv.Step(first)
	if err != nil {
		return nil, malformed("The first message cannot be parsed.")
	}
	final, err := c.clientFinal(serverFirst)
	if err != nil {
		return nil, err
	}
	serverFinal, err := conv.Step(final)
	if err != nil {
		return nil, c.finalFailure(serverFinal, final, plus, doomed)
	}
	if doomed != "" || !conv.Valid() {
		return nil, c.wrongPassword(doomed)
	}
	keys, err := recoverKeys(verifier, bare, serverFirst, final)
	if err != nil {
		return nil, c.wrongPassword(err.Error())
	}
	return c.admit(&Identity{Role: role, Method: Scram, Keys: keys, ChannelBound: plus},
		&pgproto3.AuthenticationSASLFinal{Data: []byte(serverFinal)})
}

// channelBinding is unsupported without TLS, and for certificates whose signature has no hash (Ed25519).
func (c *conversation) channelBinding() scram.ChannelBinding {
	if c.res.Certificate == nil {
		return scram.ChannelBinding{}
	}
	return endpointBinding(c.res.Certificate)
}

// endpointBinding is tls-server-end-point of RFC 5929 for the server's certificate, on either side.
func endpointBinding(cert *x509.Certificate) scram.ChannelBinding {
	b, err := scram.NewTLSServerEndpointBinding(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}})
	if err != nil {
		return scram.ChannelBinding{}
	}
	return b
}

func newExchange(v Verifier, binding scram.ChannelBinding) (*scram.ServerConversation, error) {
	// The user name inside SCRAM does not count: the startup packet's does, as in PostgreSQL.
	srv, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(v.Salt), Iters: v.Iterations},
			StoredKey:  v.StoredKey, ServerKey: v.ServerKey,
		}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("make SCRAM exchange: %w", err)
	}
	if binding.IsSupported() {
		return srv.NewConversationWithChannelBinding(binding), nil
	}
	return srv.NewConversation(), nil
}

// clientFirst asks for the mechanism and the first message, which may come on its own.
func (c *conversation) clientFirst(offer []string) (first string, plus bool, err error) {
	msg, err := c.ask(&pgproto3.AuthenticationSASL{AuthMechanisms: offer}, pgproto3.AuthTypeSASL, "SASL")
	if err != nil {
		return "", false, err
	}
	m, ok := msg.(*pgproto3.SASLInitialResponse)
	if !ok {
		return "", false, violation("invalid SASL packet")
	}
	if !slices.Contains(offer, m.AuthMechanism) {
		return "", false, violation("client selected an invalid SASL authentication mechanism")
	}
	plus = m.AuthMechanism == mechScramPlus
	size := bytes.IndexByte(c.frames.body, 0) + 1
	switch length := int32(binary.BigEndian.Uint32(c.frames.body[size:])); {
	case length == -1 && len(m.Data) == 0:
		first, err = c.saslResponse("")
		return first, plus, err
	case length < 0, int(length) > len(m.Data):
		return "", false, violation("insufficient data left in message")
	case int(length) < len(m.Data):
		return "", false, violation("invalid message format")
	}
	return string(m.Data), plus, nil
}

func (c *conversation) clientFinal(serverFirst string) (string, error) {
	return c.saslResponse(serverFirst)
}

func (c *conversation) saslResponse(challenge string) (string, error) {
	msg, err := c.ask(&pgproto3.AuthenticationSASLContinue{Data: []byte(challenge)}, pgproto3.AuthTypeSASLContinue, "SASL")
	if err != nil {
		return "", err
	}
	m, ok := msg.(*pgproto3.SASLResponse)
	if !ok {
		return "", violation("invalid SASL packet")
	}
	return string(m.Data), nil
}

// checkClientFirst does what PostgreSQL does and the library does not: it holds the binding flag against the
// mechanism, and says each refusal in PostgreSQL's words. It returns the message without the GS2 header.
func checkClientFirst(first string, plus, offeredPlus bool) (bare string, err error) {
	flag, rest, ok := strings.Cut(first, ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 {
		return "", malformed("The GS2 header is incomplete.")
	}
	switch {
	case (flag == "n" || flag == "y") && plus:
		return "", malformed("The client selected %s, but the SCRAM message does not include channel binding data.", mechScramPlus)
	case flag == "y" && offeredPlus:
		shown := pgerr.Fatal(pgerr.InvalidAuthorization, "SCRAM channel binding negotiation error").WithDetail(
			"The client supports SCRAM channel binding but thinks the server does not.  " +
				"However, this server does support channel binding.")
		return "", &Failure{Shown: shown, Reason: "SCRAM downgrade: the client did not see that channel binding is offered"}
	case flag == "n", flag == "y":
	case !strings.HasPrefix(flag, "p="):
		return "", malformed("Unexpected channel-binding flag.")
	case !plus:
		return "", malformed("The client selected %s without channel binding, but the SCRAM message includes channel binding data.", mechScram)
	case flag != bindingFlag:
		return "", violation(`unsupported SCRAM channel-binding type "%s"`, flag[2:])
	}
	switch {
	case authzid != "":
		return "", unsupported("client uses authorization identity, but it is not supported")
	case strings.HasPrefix(bare, "m="):
		return "", unsupported("client requires an unsupported SCRAM extension")
	}
	_, nonce, _ := strings.Cut(bare, ",r=")
	nonce, _, _ = strings.Cut(nonce, ",")
	for i := range len(nonce) {
		if nonce[i] < 0x21 || nonce[i] > 0x7e {
			return "", violation("non-printable characters in SCRAM nonce")
		}
	}
	if strings.ContainsRune(first, 0) {
		return "", malformed("Message length does not match input length.")
	}
	return bare, nil
}

func unsupported(message string) *Failure {
	return &Failure{Shown: pgerr.Fatal(pgerr.FeatureNotSupported, "%s", message), Reason: message}
}

func malformed(detail string, args ...any) *Failure {
	return violation("malformed SCRAM message").withDetail(detail, args...)
}

// finalFailure maps the library's verdict on the last message, which is RFC 5802's server-error-value.
func (c *conversation) finalFailure(verdict, final string, plus bool, doomed string) error {
	switch verdict {
	case scram.ErrInvalidProof:
		if doomed != "" {
			return c.wrongPassword(doomed)
		}
		return c.wrongPassword("password does not match")
	case scram.ErrChannelBindingsDontMatch:
		if plus {
			shown := pgerr.Fatal(pgerr.InvalidAuthorization, "SCRAM channel binding check failed")
			return &Failure{Shown: shown, Reason: shown.Message}
		}
		return violation("unexpected SCRAM channel-binding attribute in client-final-message")
	case scram.ErrOtherError:
		if proof, _, err := splitProof(final); err != nil || len(proof) != sha256.Size {
			return malformed("Malformed proof in client-final-message.")
		}
		return violation("invalid SCRAM response").withDetail("Nonce does not match.")
	default:
		return malformed("The final message cannot be parsed.")
	}
}

// splitProof parts the last message of the client.
func splitProof(clientFinal string) (proof []byte, withoutProof string, err error) {
	at := strings.LastIndex(clientFinal, ",p=")
	if at < 0 {
		return nil, "", errors.New("read client-final-message: there is no proof")
	}
	proof, err = base64.StdEncoding.DecodeString(clientFinal[at+len(",p="):])
	if err != nil {
		return nil, "", fmt.Errorf("read client-final-message: %w", err)
	}
	return proof, clientFinal[:at], nil
}

// recoverKeys takes the client key out of a proof that was found right.
func recoverKeys(v Verifier, clientFirstBare, serverFirst, clientFinal string) (*Keys, error) {
	proof, withoutProof, err := splitProof(clientFinal)
	if err != nil {
		return nil, err
	}
	key, err := v.clientKey(proof, clientFirstBare+","+serverFirst+","+withoutProof)
	if err != nil {
		return nil, err
	}
	return &Keys{ClientKey: key, ServerKey: v.ServerKey, Salt: v.Salt, Iterations: v.Iterations}, nil
}
