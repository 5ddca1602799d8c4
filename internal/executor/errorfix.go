package executor

import (
	"strconv"
	"strings"

	"github.com/pleiad/pleiad/internal/pgerr"
	"github.com/pleiad/pleiad/internal/wire"
)

// fixError makes an ErrorResponse or NoticeResponse speak of what the client knows: positions count from the start of
// its whole message, shift characters ahead of the statement, and a shard's table is the table itself. A frame that
// needs no change is returned as it is.
func fixError(frame []byte, shift int) []byte {
	if shift != 0 {
		frame = MovePosition(frame, func(p int) int { return p + shift })
	}
	if !isShardSchema(wire.ErrorField(frame, 's')) {
		return frame
	}
	schema, table := "public", wire.ErrorField(frame, 't')
	if s, t, ok := strings.Cut(table, "."); ok {
		schema, table = s, t
		frame = replaceField(frame, 't', table)
	}
	return replaceField(frame, 's', schema)
}

// Judged is judged for an error of either side.
func (g *Gang) Judged(e *pgerr.Error) *pgerr.Error {
	if e.Code == pgerr.QueryCanceled {
		if v := g.Verdict.Load(); v != nil {
			return v
		}
	}
	return e
}

// JudgedFrame is Judged for a server's ErrorResponse.
func (g *Gang) JudgedFrame(frame []byte) []byte { return g.judged(frame) }

// judged replaces the error of a statement that was cancelled for a reason by that reason.
func (g *Gang) judged(frame []byte) []byte {
	if g == nil || wire.ErrorField(frame, 'C') != pgerr.QueryCanceled {
		return frame
	}
	if v := g.Verdict.Load(); v != nil {
		return wire.Error(nil, v)
	}
	return frame
}

// isShardSchema tells the schemas that partitions are in: pleiad_0 and so on.
func isShardSchema(name string) bool {
	n, ok := strings.CutPrefix(name, "pleiad_")
	if !ok || n == "" {
		return false
	}
	_, err := strconv.ParseUint(n, 10, 16)
	return err == nil
}

// MovePosition returns an ErrorResponse with its position, if it has one, translated.
func MovePosition(frame []byte, to func(int) int) []byte {
	p, err := strconv.Atoi(wire.ErrorField(frame, 'P'))
	if err != nil {
		return frame
	}
	return replaceField(frame, 'P', strconv.Itoa(max(to(p), 1)))
}

// WithoutPosition returns an ErrorResponse without its position: the statement that failed is not the client's.
func WithoutPosition(frame []byte) []byte {
	out, at := wire.Begin(nil, frame[0])
	b := wire.BodyOf(frame)
	for k := b.Byte(); k != 0; k = b.Byte() {
		v := b.Text()
		if k != 'P' && k != 'q' && k != 'p' {
			out = append(append(append(out, k), v...), 0)
		}
	}
	return wire.End(append(out, 0), at)
}
