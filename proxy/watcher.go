package proxy

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watcher notices clients that hang up while their statements run. One epoll instance watches all sockets for the
// peer's end alone, so that a statement costs nothing for it.
type watcher struct {
	fd int

	mu       sync.Mutex
	sessions map[int32]*Session // by socket
}

// hangupGrace is how long a statement may still run whose client has gone: clients that send their last statement
// and leave at once are served.
const hangupGrace = 200 * time.Millisecond

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &watcher{fd: fd, sessions: map[int32]*Session{}}, nil
}

// watch begins to watch a session's socket; the result ends it.
func (w *watcher) watch(s *Session) (unwatch func()) {
	sc, ok := s.raw.(syscall.Conn)
	if !ok {
		return func() {}
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return func() {}
	}
	var id int32 = -1
	_ = rc.Control(func(fd uintptr) {
		id = int32(fd)
		w.mu.Lock()
		w.sessions[id] = s
		w.mu.Unlock()
		ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: id}
		err = unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, int(fd), &ev)
	})
	return func() {
		w.mu.Lock()
		if w.sessions[id] == s {
			delete(w.sessions, id)
		}
		w.mu.Unlock()
		_ = rc.Control(func(fd uintptr) { _ = unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, int(fd), nil) })
	}
}

func (w *watcher) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	events := make([]unix.EpollEvent, 64)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(w.fd, events, 250)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		for _, e := range events[:max(n, 0)] {
			w.mu.Lock()
			s := w.sessions[e.Fd]
			w.mu.Unlock()
			if s != nil {
				wg.Go(func() { s.hungUp(ctx) })
			}
		}
	}
	_ = unix.Close(w.fd)
}

// hungUp cancels what the session runs, unless it is over soon. The session itself finds out when it reads.
func (s *Session) hungUp(ctx context.Context) {
	running := s.running.Load()
	if running == 0 {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(hangupGrace):
	}
	if s.running.Load() == running {
		s.Cancel()
	}
}
