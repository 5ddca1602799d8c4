package devcluster

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the operating-system user that the servers run as. PostgreSQL refuses to run as root.
type account struct {
	uid, gid uint32
	// drop says that this process is root and children must become uid/gid.
	drop bool
}

// serverAccount picks the owner of data that exists already, so that data stays readable whoever
// starts it next; else the user postgres, else nobody. A process that is not root stays itself.
func serverAccount(dataRoot string) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	if st, err := os.Stat(dataRoot); err == nil {
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Uid != 0 {
			return account{uid: sys.Uid, gid: sys.Gid, drop: true}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU == nil && errG == nil && uid != 0 {
			return account{uid: uint32(uid), gid: uint32(gid), drop: true}, nil
		}
	}
	return account{}, fmt.Errorf("find an unprivileged user for the servers: neither postgres nor nobody exists")
}

func (a account) sysProcAttr(deathSignal syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: deathSignal}
	if a.drop {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own makes dir with mode 0700 for the account; an existing directory gets owner and mode anew.
func (a account) own(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("restrict directory: %w", err)
	}
	if a.drop {
		if err := os.Chown(dir, int(a.uid), int(a.gid)); err != nil {
			return fmt.Errorf("hand directory to the servers' user: %w", err)
		}
	}
	return nil
}

// unreachable returns the first existing directory on the way to dir that the account may not
// pass through, or "". Access control lists are not looked at: they can only make it stricter,
// and then the server's own error tells.
func (a account) unreachable(dir string) string {
	if !a.drop {
		return ""
	}
	var way []string
	for d := dir; ; d = filepath.Dir(d) {
		way = append(way, d)
		if d == filepath.Dir(d) {
			break
		}
	}
	for i := len(way) - 1; i >= 0; i-- {
		st, err := os.Stat(way[i])
		if err != nil {
			return "" // not there yet: this process makes it passable
		}
		sys, ok := st.Sys().(*syscall.Stat_t)
		if !ok {
			return ""
		}
		need := os.FileMode(0o001)
		switch {
		case sys.Uid == a.uid:
			need = 0o100
		case sys.Gid == a.gid:
			need = 0o010
		}
		if st.Mode().Perm()&need == 0 {
			return way[i]
		}
	}
	return ""
}
