package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// maxIterations bounds what a server can make a client compute: about 0.2 s.
const maxIterations = 1_000_000

// nonceLength is SCRAM_RAW_NONCE_LEN of scram-common.h, before base64.
const nonceLength = 18

// ErrOtherVerifier says that the server's salt or iteration count is not that of the verifier which the keys
// belong to: the role's password differs between the servers, or was changed since.
var ErrOtherVerifier = errors.New("the server has another password verifier for this role")

// scramClient is the client's side of one exchange. The library's cannot start from keys.
type scramClient struct {
	cred    Credentials
	binding scram.ChannelBinding // used if plus
	gs2     string
	nonce   string

	bare        string // client-first-message-bare
	keys        Keys
	authMessage string
}

// newSCRAMClient: capable says that the client could have bound the channel, had the server offered it.
func newSCRAMClient(cred Credentials, binding scram.ChannelBinding, plus, capable bool) (*scramClient, error) {
	raw := make([]byte, nonceLength)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("make nonce: %w", err)
	}
	c := &scramClient{cred: cred, gs2: "n,,", nonce: base64.StdEncoding.EncodeToString(raw)}
	switch {
	case plus:
		c.gs2, c.binding = bindingFlag+",,", binding
	case capable:
		c.gs2 = "y,,"
	}
	return c, nil
}

func (c *scramClient) first() string {
	c.bare = "n=,r=" + c.nonce
	return c.gs2 + c.bare
}

// final answers the server's first message with the proof.
func (c *scramClient) final(serverFirst string) (string, error) {
	nonce, salt, iterations, err := parseServerFirst(serverFirst)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(nonce, c.nonce) || len(nonce) == len(c.nonce) {
		return "", errors.New("check SCRAM nonce: the server did not extend the client's")
	}
	if err := c.chooseKeys(salt, iterations); err != nil {
		return "", err
	}
	bound := append([]byte(c.gs2), c.binding.Data...)
	withoutProof := "c=" + base64.StdEncoding.EncodeToString(bound) + ",r=" + nonce
	c.authMessage = c.bare + "," + serverFirst + "," + withoutProof
	stored := sha256.Sum256(c.keys.ClientKey)
	proof := hmacSHA256(stored[:], c.authMessage)
	subtle.XORBytes(proof, proof, c.keys.ClientKey)
	return withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func parseServerFirst(msg string) (nonce string, salt []byte, iterations int, err error) {
	fields := strings.Split(msg, ",")
	if len(fields) < 3 || !strings.HasPrefix(fields[0], "r=") || !strings.HasPrefix(fields[1], "s=") ||
		!strings.HasPrefix(fields[2], "i=") {
		return "", nil, 0, errors.New("parse SCRAM server-first-message: an attribute is missing")
	}
	salt, err = base64.StdEncoding.DecodeString(fields[1][2:])
	if err != nil || len(salt) == 0 {
		return "", nil, 0, errors.New("parse SCRAM server-first-message: bad salt")
	}
	iterations, err = strconv.Atoi(fields[2][2:])
	if err != nil || iterations < 1 {
		return "", nil, 0, errors.New("parse SCRAM server-first-message: bad iteration count")
	}
	if iterations > maxIterations {
		return "", nil, 0, fmt.Errorf("check SCRAM iteration count: %d is above %d", iterations, maxIterations)
	}
	return fields[0][2:], salt, iterations, nil
}

// chooseKeys prefers the keys that the client of pleiad proved to have, if they belong to this verifier.
func (c *scramClient) chooseKeys(salt []byte, iterations int) error {
	k := c.cred.Keys
	switch {
	case k != nil && string(k.Salt) == string(salt) && k.Iterations == iterations:
		c.keys = *k
	case c.cred.Password != "":
		c.keys = deriveKeys(string(c.cred.Password), salt, iterations)
	case k != nil:
		return ErrOtherVerifier
	default:
		return ErrNoCredentials
	}
	return nil
}

// verify checks that the server knows the verifier too.
func (c *scramClient) verify(serverFinal string) error {
	value, ok := strings.CutPrefix(serverFinal, "v=")
	if !ok {
		return errors.New("parse SCRAM server-final-message: there is no signature")
	}
	value, _, _ = strings.Cut(value, ",")
	signature, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return errors.New("parse SCRAM server-final-message: bad signature")
	}
	if subtle.ConstantTimeCompare(signature, hmacSHA256(c.keys.ServerKey, c.authMessage)) != 1 {
		return errors.New("check SCRAM server signature: it is wrong, this is not the server that knows the role")
	}
	return nil
}
