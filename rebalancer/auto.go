package rebalancer

import (
	"context"
	"fmt"
	"time"
)

// autoRest is how long nothing is started after a rebalance that failed or was cancelled: it would do so again.
const autoRest = time.Hour

// within tells whether a time of the day lies in the window, which may go over midnight.
func (a Auto) within(now time.Time) bool {
	at := time.Duration(now.Hour())*time.Hour + time.Duration(now.Minute())*time.Minute + time.Duration(now.Second())*time.Second
	switch {
	case a.From == a.To:
		return true
	case a.From < a.To:
		return at >= a.From && at < a.To
	}
	return at >= a.From || at < a.To
}

// auto starts a rebalance of each database that is out of balance, where the configuration asks for that.
func (r *Rebalancer) auto(ctx context.Context, now time.Time) {
	s := r.settings()
	if !s.Auto.Enabled || !s.Auto.within(now) {
		return
	}
	for _, database := range r.cluster.Served() {
		if err := r.autoDatabase(ctx, database, s.Auto); err != nil && ctx.Err() == nil {
			r.log.Warn("balance_not_looked_at", "database", database, "error", err)
		}
	}
}

func (r *Rebalancer) autoDatabase(ctx context.Context, database string, a Auto) error {
	home, err := connect(ctx, r.cluster, "", database)
	if err != nil {
		return err
	}
	defer closing(home)
	j := r.newJob(ctx, database, jobRow{Kind: "rebalance"})
	defer j.cancel(nil)
	j.options.By = a.By
	var epoch int64
	if err := home.QueryRow(ctx, "SELECT epoch FROM pleiad.epoch").Scan(&epoch); err != nil {
		return fmt.Errorf("read epoch: %w", err)
	}
	p, err := j.readPlacement(ctx, home)
	if err != nil || len(p.groups) == 0 {
		return err
	}
	moves, by, err := j.choose(p)
	if err != nil || len(moves) == 0 {
		return err
	}
	before, _ := j.imbalance(p, moves, by)
	if before < a.Threshold {
		return nil
	}
	// One at a time, whichever proxy and whoever began it; and none by a placement that the last one has changed meanwhile.
	tag, err := home.Exec(ctx, `INSERT INTO pleiad.job (kind, options, role)
		SELECT 'rebalance', jsonb_build_object('by', $1::text), current_user
		WHERE (SELECT epoch FROM pleiad.epoch) = $3 AND NOT EXISTS (SELECT FROM pleiad.job WHERE state IN ('queued', 'running', 'cancelling') AND kind <> 'verify')
		AND NOT EXISTS (SELECT FROM pleiad.job WHERE state IN ('failed', 'cancelled') AND kind = 'rebalance' AND finished > now() - $2::interval)`,
		string(by), autoRest, epoch)
	if err != nil {
		return fmt.Errorf("start a rebalance: %w", err)
	}
	if tag.RowsAffected() > 0 {
		r.log.Info("rebalance_started", "database", database, "by", string(by), "imbalance", before, "threshold", a.Threshold)
	}
	return nil
}
