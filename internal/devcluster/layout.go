package devcluster

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// socketPathLimit is sun_path less its terminating zero on Linux.
const socketPathLimit = 107

// longestSocketName is the file that a server makes in its socket directory.
const longestSocketName = "/.s.PGSQL.65535"

// openDir resolves and locks Dir and decides who the servers run as.
func (c *Cluster) openDir() error {
	dir := c.opts.Dir
	if dir == "" {
		tmp, err := os.MkdirTemp("", "pleiad-")
		if err != nil {
			return fmt.Errorf("make temporary directory: %w", err)
		}
		dir, c.ownsDir = tmp, true
		c.dir = tmp
		if err := os.Chmod(tmp, 0o711); err != nil { // passable for the servers' user, not listable
			return fmt.Errorf("open temporary directory: %w", err)
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("resolve directory: %w", err)
	}
	acct, err := serverAccount(filepath.Join(dir, "servers"))
	if err != nil {
		return err
	}
	if blocked := acct.unreachable(dir); blocked != "" {
		asked := dir
		dir = filepath.Join(c.opts.FallbackDir, fallbackName(asked))
		if acct, err = serverAccount(filepath.Join(dir, "servers")); err != nil {
			return err
		}
		if still := acct.unreachable(dir); still != "" {
			return fmt.Errorf("run servers in %s: their unprivileged user cannot pass through %s, nor through %s to %s",
				asked, blocked, still, dir)
		}
		c.log.Warn("data_kept_elsewhere", "asked", asked, "dir", dir,
			"reason", "the servers cannot run as root and their user cannot pass through "+blocked)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	// Processes are known by their working directory, which the kernel tells with links resolved.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return fmt.Errorf("resolve directory: %w", err)
	}
	if blocked := acct.unreachable(dir); blocked != "" {
		return fmt.Errorf("run servers in %s: their unprivileged user cannot pass through %s", dir, blocked)
	}
	c.dir, c.dataRoot, c.acct = dir, filepath.Join(dir, "servers"), acct
	c.lock, err = lockDir(dir)
	return err
}

// fallbackName is stable for a path and readable: its last element and a hash of all of it.
func fallbackName(path string) string {
	h := fnv.New64a()
	h.Write([]byte(path))
	return fmt.Sprintf("%s-%016x", strings.Trim(filepath.Base(path), "."), h.Sum64())
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// removeData removes what earlier runs made in the directory and nothing else.
func (c *Cluster) removeData() error {
	for _, path := range []string{c.statePath(), c.dataRoot, filepath.Join(c.dir, "log"), filepath.Join(c.dir, "socket")} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove old data: %w", err)
		}
	}
	return nil
}

// layOut makes directories, names the servers and gives each a port, the remembered one if free.
func (c *Cluster) layOut(st *state) error {
	if err := c.acct.own(c.dataRoot); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(c.dir, "log"), 0o755); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	remembered, socketDir := map[string]int{}, ""
	if st != nil {
		remembered, socketDir = st.Ports, st.SocketDir
	}
	if err := c.makeSocketDir(socketDir); err != nil {
		return err
	}
	taken := map[int]bool{}
	for i := 1; i <= c.opts.Backends; i++ {
		backend := fmt.Sprintf("b%d", i)
		for r := 0; r <= c.opts.Replicas; r++ {
			name := backend
			if r > 0 {
				name = fmt.Sprintf("%s-r%d", backend, r)
			}
			port := remembered[name]
			if port == 0 || taken[port] || !portFree(port) {
				var err error
				if port, err = choosePort(taken); err != nil {
					return err
				}
				if old := remembered[name]; old != 0 {
					c.log.Warn("port_changed", "server", name, "old", old, "new", port)
				}
			}
			taken[port] = true
			c.servers = append(c.servers, &Server{
				Name: name, Backend: backend, Host: "127.0.0.1", Port: port, SocketDir: c.sockets,
				DataDir: filepath.Join(c.dataRoot, name),
				LogFile: filepath.Join(c.dir, "log", name+".log"),
				c:       c,
			})
		}
	}
	return c.saveState()
}

func (c *Cluster) saveState() error {
	st := state{Format: stateFormat, Major: c.bin.major, Backends: c.opts.Backends, Replicas: c.opts.Replicas,
		SocketDir: c.sockets, Ports: map[string]int{}}
	for _, s := range c.servers {
		st.Ports[s.Name] = s.Port
	}
	return st.write(c.statePath())
}

func (c *Cluster) backendNames() []string {
	var names []string
	for _, s := range c.servers {
		if s.Name == s.Backend {
			names = append(names, s.Name)
		}
	}
	return names
}

// makeSocketDir makes the private directory of the Unix sockets: within Dir if the path is short
// enough for a socket, else a temporary one, the remembered name if it can still be had.
func (c *Cluster) makeSocketDir(remembered string) error {
	inside := filepath.Join(c.dir, "socket")
	if len(inside)+len(longestSocketName) <= socketPathLimit {
		c.sockets = inside
		return c.acct.own(inside)
	}
	if remembered != "" && !within(remembered, c.dir) && c.claimSocketDir(remembered) {
		c.sockets = remembered
		return c.acct.own(remembered)
	}
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		if len(parent)+len("/pleiad-socket-0123456789")+len(longestSocketName) > socketPathLimit || c.acct.unreachable(parent) != "" {
			continue
		}
		dir, err := os.MkdirTemp(parent, "pleiad-socket-")
		if err != nil {
			return fmt.Errorf("make socket directory: %w", err)
		}
		c.sockets = dir
		return c.acct.own(dir)
	}
	return fmt.Errorf("make socket directory: %s is too long a path for a Unix socket and /tmp cannot be used", inside)
}

// claimSocketDir makes dir, or accepts it if an earlier run left it: a directory of the servers'
// user that nobody else may enter.
func (c *Cluster) claimSocketDir(dir string) bool {
	if os.Mkdir(dir, 0o700) == nil {
		return true
	}
	st, err := os.Lstat(dir)
	if err != nil || !st.IsDir() || st.Mode().Perm() != 0o700 {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && sys.Uid == c.acct.uid
}
