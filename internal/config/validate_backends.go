package config

import (
	"fmt"
	"strings"
)

func (c *Config) checkBackends(k *checker) {
	if len(c.Backends) == 0 {
		k.missing("backends", "must list at least one backend")
	}
	k.credentials("credentials", c.Credentials)
	k.certificate("backend_tls", c.BackendTLS)
	seen := servers{names: map[string]string{}, addresses: map[string]string{}}
	backends := map[string]string{}
	for i, b := range c.Backends {
		path := fmt.Sprintf("backends[%d]", i)
		switch first, taken := backends[b.Name]; {
		case b.Name == "":
			k.missing(path+".name", "must be set")
		case !backendName.MatchString(b.Name):
			k.add(path+".name", b.Name, "must be a letter a-z, then up to 30 of a-z, 0-9 and _")
		case taken:
			k.add(path+".name", b.Name, "must be unique; "+first+" has it too")
		default:
			backends[b.Name] = path
		}
		between(k, path+".weight", b.Weight, 1, 1000)
		if b.Credentials != c.Credentials {
			k.credentials(path+".credentials", b.Credentials)
		}
		own := backends[b.Name] == path
		seen.check(k, path+".primary", b.Primary, own)
		for j, r := range b.Replicas {
			seen.check(k, fmt.Sprintf("%s.replicas[%d]", path, j), r, own)
		}
	}
}

func (k *checker) credentials(path string, c Credentials) {
	if c.User == "" {
		k.missing(path+".user", "must be the name of a superuser")
	}
	k.password(path, c.PasswordSource)
}

func (k *checker) password(path string, p PasswordSource) {
	if p.PasswordFile != "" && p.PasswordEnv != "" {
		k.add(path+".password_env", p.PasswordEnv, "must not stand beside password_file")
	}
	if p.PasswordEnv != "" && !envName.MatchString(p.PasswordEnv) {
		k.add(path+".password_env", p.PasswordEnv, "must be the name of an environment variable")
	}
}

func (k *checker) certificate(path string, t ServerTLS) {
	switch {
	case t.Cert != "" && t.Key == "":
		k.missing(path+".key", "must be set when cert is")
	case t.Cert == "" && t.Key != "":
		k.missing(path+".cert", "must be set when key is")
	}
}

// servers remembers where each name and address was first seen.
type servers struct{ names, addresses map[string]string }

// check looks at names only where the backend's own is right: the others follow
// from it.
func (seen servers) check(k *checker, path string, s Server, names bool) {
	if names {
		switch first, taken := seen.names[s.Name]; {
		case !serverName.MatchString(s.Name):
			k.add(path+".name", s.Name, "must be a letter a-z, then up to 62 of a-z, 0-9, _ and -")
		case taken:
			k.add(path+".name", s.Name, "must be unique; "+first+" has it too")
		default:
			seen.names[s.Name] = path
		}
	}
	between(k, path+".port", s.Port, 1, 65535)
	between(k, path+".read_weight", s.ReadWeight, 0, 1000)
	switch {
	case s.Host == "":
		k.missing(path+".host", "must be set")
		return
	case s.Unix():
		k.socketDir(path+".host", s.Host, s.Port)
		if strings.ContainsAny(s.Host, ",\x00") {
			k.add(path+".host", s.Host, "must not contain a comma")
		}
		if s.TLS.Mode != SSLDisable {
			k.add(path+".tls.mode", s.TLS.Mode, "must be disable, as a Unix socket has no TLS")
		}
	case strings.ContainsAny(s.Host, " \t,/@\x00") || strings.Count(s.Host, ":") == 1:
		k.add(path+".host", s.Host, "must be one host name, IP address or absolute path; the port has its own key")
		return
	}
	k.certificate(path+".tls", s.TLS)
	_, address := s.Address()
	if first, taken := seen.addresses[address]; taken {
		k.add(path+".host", s.Host, fmt.Sprintf("%s is the address of %s too", address, first))
	} else {
		seen.addresses[address] = path
	}
}
