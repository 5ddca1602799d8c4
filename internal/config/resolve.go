package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Resolve fills in what is inherited or derived: home, server names, TLS modes,
// credentials. Load and Parse have done it; a configuration built in code calls
// it before Validate (weights and ports have no default there). It may run twice.
func (c *Config) Resolve() {
	if c.Home == "" && len(c.Backends) > 0 {
		c.Home = c.Backends[0].Name
	}
	for i := range c.Backends {
		b := &c.Backends[i]
		b.Credentials = b.Credentials.inherit(c.Credentials)
		if b.Primary.Name == "" {
			b.Primary.Name = b.Name
		}
		b.Primary.TLS = b.Primary.TLS.inherit(c.BackendTLS, b.Primary.Local())
		for j := range b.Replicas {
			r := &b.Replicas[j]
			if r.Name == "" {
				r.Name = fmt.Sprintf("%s-r%d", b.Name, j+1)
			}
			r.TLS = r.TLS.inherit(c.BackendTLS, r.Local())
		}
	}
}

// inherit takes the password source as one: a file here hides an environment
// variable there.
func (c Credentials) inherit(from Credentials) Credentials {
	if c.User == "" {
		c.User = from.User
	}
	if !c.Configured() {
		c.PasswordSource = from.PasswordSource
	}
	return c
}

// inherit: a server on this machine gets no TLS unless its own entry asks for
// it; any other the most careful mode unless told otherwise.
func (t ServerTLS) inherit(from ServerTLS, local bool) ServerTLS {
	switch {
	case t.Mode != "":
	case local:
		t.Mode = SSLDisable
	case from.Mode != "":
		t.Mode = from.Mode
	default:
		t.Mode = SSLVerifyFull
	}
	if t.Mode == SSLDisable {
		return t
	}
	if t.RootCert == "" {
		t.RootCert = from.RootCert
	}
	if t.Cert == "" && t.Key == "" {
		t.Cert, t.Key = from.Cert, from.Key
	}
	return t
}

// Unix says if the host is the directory of a Unix socket.
func (s Server) Unix() bool { return strings.HasPrefix(s.Host, "/") }

// Local says if the server is reached without leaving this machine.
func (s Server) Local() bool { return s.Unix() || loopback(s.Host) }

// Address is what net.Dial takes: ("unix", path) or ("tcp", host:port).
func (s Server) Address() (network, address string) {
	port := strconv.Itoa(s.Port)
	if s.Unix() {
		return "unix", s.Host + "/.s.PGSQL." + port
	}
	return "tcp", net.JoinHostPort(s.Host, port)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Backend finds a backend by its name.
func (c *Config) Backend(name string) (Backend, bool) {
	for _, b := range c.Backends {
		if b.Name == name {
			return b, true
		}
	}
	return Backend{}, false
}

// PoolFor is the pool that a role gets for a database: user before database
// before the general setting.
func (c *Config) PoolFor(user, database string) Pool {
	p := c.Pool
	u, d := c.Users[user], c.Databases[database]
	if u.PoolMode != "" {
		p.Mode = u.PoolMode
	} else if d.PoolMode != "" {
		p.Mode = d.PoolMode
	}
	if u.PoolSize != 0 {
		p.Size = u.PoolSize
	} else if d.PoolSize != 0 {
		p.Size = d.PoolSize
	}
	p.MinIdle = min(p.MinIdle, p.Size)
	return p
}
