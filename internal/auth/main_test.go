package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is how long a test waits for what has to happen soon.
const patience = 30 * time.Second

// pg is the PostgreSQL server of this package's tests.
var pg *postgres

type postgres struct {
	bin, dir string
	port     int
	cert     tls.Certificate
	certFile string // the server's certificate and its own root
	keyFile  string
	cmd      *exec.Cmd
	log      *os.File
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if pg, err = startPostgres(); err != nil {
			fmt.Fprintln(os.Stderr, "start PostgreSQL for the tests:", err)
			return 1
		}
		defer pg.stop()
		return m.Run()
	}())
}

// hba gives each role of setup its method; the service role postgres is trusted.
const hba = `
local all all trust
host all postgres 127.0.0.1/32 trust
host all u_trust 127.0.0.1/32 trust
host all u_md5 127.0.0.1/32 md5
host all u_plain 127.0.0.1/32 password
hostssl all u_ssl 127.0.0.1/32 scram-sha-256
hostnossl all u_ssl 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
`

const setup = `
SET password_encryption = 'md5';
CREATE ROLE u_md5 LOGIN PASSWORD 'geheim';
SET password_encryption = 'scram-sha-256';
CREATE ROLE u_trust LOGIN;
CREATE ROLE u_plain LOGIN PASSWORD 'geheim';
CREATE ROLE u_ssl LOGIN PASSWORD 'geheim';
CREATE ROLE u_scram LOGIN PASSWORD 'geheim' CONNECTION LIMIT 7;
CREATE ROLE u_super SUPERUSER LOGIN PASSWORD 'geheim' VALID UNTIL 'infinity';
CREATE ROLE u_unicode LOGIN PASSWORD E'p\u00e4ss\u00a0\u2168';
CREATE ROLE u_nologin NOLOGIN PASSWORD 'geheim';
CREATE ROLE u_expired LOGIN PASSWORD 'geheim' VALID UNTIL '2001-01-01';
CREATE ROLE u_past LOGIN PASSWORD 'geheim' VALID UNTIL '-infinity';
CREATE ROLE u_none LOGIN;`

func startPostgres() (_ *postgres, err error) {
	p := &postgres{}
	if p.bin, err = binaries(); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("/tmp", "pleiad-auth-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(p.dir, uid, gid); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.Command(filepath.Join(p.bin, "initdb"), "-N", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-D", data)
	initdb.SysProcAttr, initdb.Dir = attr, "/"
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := p.writeFiles(data, attr.Credential); err != nil {
		return nil, err
	}
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	if p.log, err = os.Create(filepath.Join(p.dir, "log")); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(filepath.Join(p.bin, "postgres"), "-D", data, "-F", "-p", strconv.Itoa(p.port), "-k", p.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "ssl=on", "-c", "shared_buffers=16MB", "-c", "log_connections=on")
	p.cmd.SysProcAttr, p.cmd.Dir, p.cmd.Stderr = attr, "/", p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, p.await()
}

func (p *postgres) writeFiles(data string, owner *syscall.Credential) error {
	certPEM, keyPEM, cert, err := makeCert()
	if err != nil {
		return err
	}
	p.cert = cert
	p.certFile, p.keyFile = filepath.Join(data, "server.crt"), filepath.Join(data, "server.key")
	for name, content := range map[string]string{
		p.certFile: certPEM, p.keyFile: keyPEM, filepath.Join(data, "pg_hba.conf"): hba,
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return err
		}
		if owner != nil {
			if err := os.Chown(name, int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
	}
	return nil
}

// await waits for the server and makes the roles.
func (p *postgres) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.uri("postgres", "")+"?sslmode=disable")
		if err == nil {
			_, err = conn.Exec(ctx, setup)
			return errors.Join(err, conn.Close(ctx))
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *postgres) uri(user, password string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres", user, password, p.port)
}

func (p *postgres) stop() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		_ = p.cmd.Wait()
	}
	_ = os.RemoveAll(p.dir)
}

// dial opens a connection to the server.
func (p *postgres) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// lookup is the Lookup that the proxy will have: LookupSQL on a real server.
func (p *postgres) lookup(ctx context.Context, user string) (Role, error) {
	conn, err := pgx.Connect(ctx, p.uri("postgres", "")+"?sslmode=disable&search_path=pg_catalog,pg_temp")
	if err != nil {
		return Role{}, err
	}
	defer conn.Close(ctx)
	r, err := ScanRole(conn.QueryRow(ctx, LookupSQL, user).Scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return Role{}, ErrNoRole
	}
	return r, err
}

func binaries() (string, error) {
	if dir := os.Getenv("PLEIAD_PG_BIN"); dir != "" {
		return dir, nil
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(dirs) == 0 {
		return "", errors.New("no /usr/lib/postgresql/*/bin, and PLEIAD_PG_BIN is not set")
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return n
	}
	return slices.MaxFunc(dirs, func(a, b string) int { return version(a) - version(b) }), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// makeCert makes a self-signed certificate for localhost and 127.0.0.1.
func makeCert() (certPEM, keyPEM string, pair tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", pair, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pleiad"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", "", pair, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", pair, err
	}
	var c, k strings.Builder
	err = errors.Join(pem.Encode(&c, &pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.Encode(&k, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	if err != nil {
		return "", "", pair, err
	}
	pair, err = tls.X509KeyPair([]byte(c.String()), []byte(k.String()))
	return c.String(), k.String(), pair, err
}
