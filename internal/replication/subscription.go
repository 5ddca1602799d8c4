package replication

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Position is a place in a server's WAL.
type Position uint64

// ParsePosition reads PostgreSQL's spelling, two hexadecimal numbers with a slash between them.
func ParsePosition(s string) (Position, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("WAL position %q is malformed", s)
	}
	return Position(h<<32 | l), nil
}

func (p Position) String() string { return fmt.Sprintf("%X/%X", uint64(p)>>32, uint32(p)) }

// MarkPrefix is that of the logical messages by which a writer on the source finds its place in the stream.
const MarkPrefix = "pleiad"

// Subscription reads a slot and applies its changes to tables of the same names on another server, in the order
// of their commits. How far it has come is written to pleiad.incoming on the target in the transactions that
// apply, so that every change is applied once whatever dies.
type Subscription struct {
	Move              int64 // key in pleiad.incoming
	Slot, Publication string
	Source            *pgconn.PgConn // speaks the replication protocol
	Target            *pgconn.PgConn
	Tables            map[Table]Follow
	From              Position // all commits that end at or before it are applied

	in       chan message
	apply    applier
	flushed  Position // what the source need not keep
	skip     bool     // the transaction at hand was applied before
	final    Position // commit of the transaction at hand
	within   bool     // a source transaction is being read
	mark     string   // the mark within it
	since    time.Time
	rels     map[uint32]*relation
	received atomic.Uint64

	mu    sync.Mutex
	marks map[string]*Mark
}

// Follow is how a table's changes are applied.
type Follow struct {
	Owner string   // the role that applies them
	Since Position // commits before it are in the copy
	// Equal are the operators that compare the columns of the table's key.
	Equal map[string]string
}

// Mark is a place in the stream that the subscription stops at.
type Mark struct {
	reached chan struct{}
	resume  chan struct{}
	once    sync.Once
}

// Reached is closed when everything ahead of the mark is applied and committed. The subscription then waits for Resume.
func (m *Mark) Reached() <-chan struct{} { return m.reached }

// Resume lets the subscription go on, also if the mark is still to come.
func (m *Mark) Resume() { m.once.Do(func() { close(m.resume) }) }

// Expect makes the subscription stop at the message with this content. It is called before the message is written.
func (s *Subscription) Expect(content string) *Mark {
	m := &Mark{reached: make(chan struct{}), resume: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marks == nil {
		s.marks = map[string]*Mark{}
	}
	s.marks[content] = m
	return m
}

type message struct {
	data []byte // of CopyData
	err  error
}

const (
	// patience is how long a transaction on the target stays open for more changes from the source.
	patience = 2 * time.Millisecond
	// batchAge and batchChanges end it all the same.
	batchAge     = 20 * time.Millisecond
	batchChanges = 2000
	// statusInterval is how often the source hears how far the target is.
	statusInterval = time.Second
)

// Run follows until ctx ends or something breaks. It owns both connections meanwhile and leaves them unusable.
func (s *Subscription) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.rels, s.flushed = map[uint32]*relation{}, s.From
	s.apply = applier{move: s.Move, conn: s.Target, tables: s.Tables}
	if err := s.start(ctx); err != nil {
		return err
	}
	s.apply.open(ctx)
	s.in = make(chan message, 1)
	var reading sync.WaitGroup
	reading.Go(func() { s.receive(ctx) })
	err := s.follow(ctx)
	stop()
	reading.Wait()
	return errors.Join(err, s.apply.close())
}

func (s *Subscription) start(ctx context.Context) error {
	s.Source.Frontend().Send(&pgproto3.Query{String: "START_REPLICATION SLOT " + s.Slot + " LOGICAL " + s.From.String() +
		" (proto_version '1', publication_names " + quoteLiteral(s.Publication) + ", messages 'true')"})
	if err := s.Source.Frontend().Flush(); err != nil {
		return fmt.Errorf("start replication: %w", err)
	}
	for {
		msg, err := s.Source.ReceiveMessage(ctx)
		if err != nil {
			return fmt.Errorf("start replication: %w", err)
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyBothResponse:
			return nil
		case *pgproto3.ErrorResponse:
			err := pgconn.ErrorResponseToPgError(msg)
			if err.Code == undefinedObject {
				return fmt.Errorf("start replication: %w", ErrNoSlot)
			}
			return fmt.Errorf("start replication: %w", err)
		}
	}
}

// receive passes on the stream's messages, one ahead of what is being applied.
func (s *Subscription) receive(ctx context.Context) {
	for {
		m := message{}
		msg, err := s.Source.ReceiveMessage(ctx)
		switch msg := msg.(type) {
		case *pgproto3.CopyData:
			m.data = append([]byte(nil), msg.Data...)
		case *pgproto3.ErrorResponse:
			m.err = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.CopyDone, *pgproto3.CommandComplete:
			m.err = errors.New("the source ended the stream")
		default:
			if err == nil {
				continue
			}
		}
		if err != nil {
			m.err = err
		}
		select {
		case s.in <- m:
		case <-ctx.Done():
			return
		}
		if m.err != nil {
			return
		}
	}
}

func (s *Subscription) follow(ctx context.Context) error {
	status := time.NewTicker(statusInterval)
	defer status.Stop()
	quiet := time.NewTimer(patience)
	defer quiet.Stop()
	for {
		var idle <-chan time.Time
		if s.apply.changed && !s.within {
			quiet.Reset(patience)
			idle = quiet.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-s.in:
			if m.err != nil {
				return fmt.Errorf("follow: %w", m.err)
			}
			if err := s.take(ctx, m.data); err != nil {
				return fmt.Errorf("follow: %w", err)
			}
		case <-idle:
			if err := s.flush(); err != nil {
				return fmt.Errorf("follow: %w", err)
			}
		case <-status.C:
			if err := s.tell(); err != nil {
				return fmt.Errorf("follow: %w", err)
			}
		}
	}
}

// take handles one CopyData message of the stream.
func (s *Subscription) take(ctx context.Context, data []byte) error {
	r := &reader{b: data}
	switch kind := r.byte(); kind {
	case 'w':
		r.take(24)
		if r.err != nil {
			return r.err
		}
		s.received.Add(uint64(len(data)))
		return s.change(ctx, r)
	case 'k':
		end := Position(r.uint64())
		r.take(8)
		asked := r.byte() != 0
		if !s.within && !s.apply.changed {
			s.flushed = max(s.flushed, end)
		}
		if asked {
			return s.tell()
		}
		return r.err
	default:
		return fmt.Errorf("message of kind %q in the replication stream", kind)
	}
}

// change handles one message of pgoutput.
func (s *Subscription) change(ctx context.Context, r *reader) error {
	switch kind := r.byte(); kind {
	case 'B':
		s.final = Position(r.uint64())
		s.within, s.skip = true, s.final < s.From
	case 'C':
		r.take(9)
		end := Position(r.uint64())
		if r.err != nil {
			return r.err
		}
		return s.committed(ctx, end)
	case 'R':
		id, rel := readRelation(r)
		s.rels[id] = rel
	case 'I', 'U', 'D':
		rel := s.rels[r.uint32()]
		if rel == nil {
			return errors.New("change of a table that the stream has not described")
		}
		if !s.wanted(rel.table) {
			return nil
		}
		return s.apply.row(kind, rel, r)
	case 'T':
		n := int(r.uint32())
		r.byte()
		for range n {
			rel := s.rels[r.uint32()]
			if r.err != nil || rel == nil {
				return errors.Join(errors.New("truncation of a table that the stream has not described"), r.err)
			}
			if s.wanted(rel.table) {
				if err := s.apply.truncate(rel); err != nil {
					return err
				}
			}
		}
	case 'M':
		transactional := r.byte() != 0
		r.take(8)
		prefix := r.text()
		content := r.take(int(r.uint32()))
		if prefix == MarkPrefix && transactional {
			s.mark = string(content)
		}
	case 'O', 'Y': // where a change came from first, and what types are called
	default:
		return fmt.Errorf("logical replication message of kind %q", kind)
	}
	return r.err
}

// wanted tells whether a change of the transaction at hand is to be applied to a table.
func (s *Subscription) wanted(t Table) bool {
	f, ok := s.Tables[t]
	return ok && !s.skip && s.final >= f.Since
}

// committed is the end of a source transaction.
func (s *Subscription) committed(ctx context.Context, end Position) error {
	s.within = false
	if !s.apply.changed {
		s.flushed = max(s.flushed, end)
		s.since = time.Now()
	} else {
		s.apply.upTo = end
	}
	content := s.mark
	s.mark = ""
	if content == "" {
		if s.apply.changes < batchChanges && time.Since(s.since) < batchAge {
			return nil
		}
		s.since = time.Now()
		return s.flush()
	}
	s.mu.Lock()
	mark := s.marks[content]
	delete(s.marks, content)
	s.mu.Unlock()
	if mark == nil {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	close(mark.reached)
	select {
	case <-mark.resume:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flush commits what has been applied and tells the source.
func (s *Subscription) flush() error {
	if !s.apply.changed {
		return nil
	}
	if err := s.apply.commit(); err != nil {
		return err
	}
	s.flushed = max(s.flushed, s.apply.upTo)
	return s.tell()
}

// tell sends a standby status update.
func (s *Subscription) tell() error {
	b := []byte{'r'}
	for range 3 { // written, flushed, applied
		b = binary.BigEndian.AppendUint64(b, uint64(s.flushed))
	}
	b = binary.BigEndian.AppendUint64(b, 0) // the time, which nobody uses
	b = append(b, 0)
	frame, err := (&pgproto3.CopyData{Data: b}).Encode(nil)
	if err != nil {
		return err
	}
	// The socket itself: the connection's own buffers are the receiving goroutine's.
	_, err = s.Source.Conn().Write(frame)
	return err
}

// Received is how many bytes of changes the stream has brought.
func (s *Subscription) Received() int64 { return int64(s.received.Load()) }
