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
	sessions map[int32]*watching // by the number that their events have: a socket's may be another's by the time they are read
	last     int32
}

// watching is a session that is watched until ended is closed.
type watching struct {
	s     *Session
	ended chan struct{}
	hung  bool // its client has gone
}

// hangupGrace is how long a statement may still run whose client has gone: clients that send their last statement
// and leave at once are served.
const hangupGrace = 200 * time.Millisecond

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &watcher{fd: fd, sessions: map[int32]*watching{}}, nil
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
	own := &watching{s: s, ended: make(chan struct{})}
	id := w.add(own)
	_ = rc.Control(func(fd uintptr) {
		// What is in the place of the socket's number comes back with its events.
		_ = unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: id})
	})
	return sync.OnceFunc(func() {
		close(own.ended)
		w.mu.Lock()
		delete(w.sessions, id)
		w.mu.Unlock()
		_ = rc.Control(func(fd uintptr) { _ = unix.EpollCtl(w.fd, unix.EPOLL_CTL_DEL, int(fd), nil) })
	})
}

// add gives a session a number that no other has.
func (w *watcher) add(own *watching) (id int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id = w.last + 1; w.sessions[id] != nil; id++ {
	}
	w.last = id
	w.sessions[id] = own
	return id
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
			own := w.sessions[e.Fd]
			first := own != nil && !own.hung
			if first {
				own.hung = true
			}
			w.mu.Unlock()
			if first {
				wg.Go(func() {
					ticker := time.NewTicker(hangupGrace)
					defer ticker.Stop()
					own.s.hungUp(ctx, own.ended, ticker.C)
				})
			}
		}
	}
	_ = unix.Close(w.fd)
}

// hungUp cancels what the session runs, unless it is over within a tick, until the session has found out by reading: it may not
// have begun with what the client had sent last, and a cancel can come between two statements of a message.
func (s *Session) hungUp(ctx context.Context, ended <-chan struct{}, ticks <-chan time.Time) {
	for last := uint64(0); ; {
		running := s.running.Load()
		if running != 0 && running == last {
			s.Cancel()
		}
		last = running
		select {
		case <-ctx.Done():
			return
		case <-ended:
			return
		case <-ticks:
		}
	}
}
