package devcluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// state is what a run leaves for the next one, in state.json.
type state struct {
	Format    int            `json:"format"`
	Major     int            `json:"postgresql_major"`
	Backends  int            `json:"backends"`
	Replicas  int            `json:"replicas"`
	SocketDir string         `json:"socket_dir"`
	Ports     map[string]int `json:"ports"` // by server name
}

const stateFormat = 1

// readState returns nil without error if Dir was never used.
func readState(path string) (*state, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	var st state
	if err := json.Unmarshal(raw, &st); err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	if st.Format != stateFormat {
		return nil, fmt.Errorf("read state %s: format %d is not %d; start over with --reset", path, st.Format, stateFormat)
	}
	return &st, nil
}

func (st *state) write(path string) error {
	raw, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// fits refuses a shape with fewer servers than the data has: which to drop is not ours to guess.
func (st *state) fits(backends, replicas int) error {
	if backends < st.Backends || replicas < st.Replicas {
		return fmt.Errorf("the data has %d backends with %d replicas each, which cannot shrink to %d with %d: "+
			"ask for at least as many, or start over with --reset", st.Backends, st.Replicas, backends, replicas)
	}
	return nil
}

// lockDir takes the directory for this process; the kernel gives it back when the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("lock directory: %w: another user made it; run as that user or choose another directory", err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock directory %s: %w", dir, err)
		}
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0) // only to word the error
		return nil, &InUseError{Dir: dir, PID: strings.TrimSpace(string(holder[:n]))}
	}
	if err := f.Truncate(0); err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock directory %s: %w", dir, err)
		}
	}
	return f, nil
}

// InUseError says that another living process runs the cluster in Dir.
type InUseError struct {
	Dir string
	PID string // of the other process; empty if it has not written it yet
}

func (e *InUseError) Error() string {
	if e.PID == "" {
		return fmt.Sprintf("directory %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("directory %s is in use by process %s", e.Dir, e.PID)
}
