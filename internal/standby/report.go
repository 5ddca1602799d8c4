package standby

import (
	"time"

	"github.com/pleiad/pleiad/internal/lsn"
)

// Status is one server as people and metrics see it.
type Status struct {
	Server  string
	Primary bool
	State   string // "up", or what is wrong: "down", "outdated", "wrong role", "read-only", "not streaming", "unknown"
	Detail  string
	Version string

	Timeline uint32
	LSN      lsn.LSN
	LagBytes int64         // behind the primary; -1: not known
	Lag      time.Duration // how old its data may be; -1: not known
	Since    time.Time     // of the primary: when it became that, as far as this process knows
	Load     int64
}

// Status tells of every server, in the configuration's order.
func (b *Backend) Status(now time.Time) []Status {
	b.mu.Lock()
	primary, trouble, since := b.primary, b.trouble, b.since
	held := b.gate != nil
	outdated := map[int]bool{}
	for i := range b.outdated {
		outdated[i] = true
	}
	b.mu.Unlock()
	var end lsn.LSN
	if primary >= 0 {
		end = b.Servers[primary].Watch.Last().LSN
	}
	var out []Status
	for i, s := range b.Servers {
		look, err := s.Watch.Look()
		last := s.Watch.Last()
		st := Status{
			Server: s.Name, Primary: i == primary || primary < 0 && i == 0, Version: look.Version, Timeline: look.Timeline,
			LSN: last.LSN, LagBytes: -1, Lag: -1, Load: s.Load.Load(), State: "up",
		}
		switch {
		case err != nil:
			st.State, st.Detail = "down", err.Error()
		case look.Sent.IsZero():
			st.State = "unknown"
		case outdated[i]:
			st.State, st.Detail = "outdated", "it was the primary and does not follow the present one"
		case last.Recovering == st.Primary:
			st.State = "wrong role"
			st.Detail = "pg_is_in_recovery is " + map[bool]string{true: "true", false: "false"}[last.Recovering]
		case st.Primary && look.ReadOnly:
			st.State, st.Detail = "read-only", "default_transaction_read_only is on"
		case !st.Primary && !look.Streaming:
			st.State, st.Detail = "not streaming", "it receives nothing from the primary"
		}
		switch {
		case st.Primary:
			st.Since = since
			if held && trouble != "" && st.State != "up" {
				st.Detail = trouble
			}
		case st.State == "up" || st.State == "not streaming":
			st.LagBytes = max(0, int64(end)-int64(last.LSN))
			if age, known := b.staleness(last.LSN, now); known {
				st.Lag = age
			}
		}
		out = append(out, st)
	}
	return out
}
