package config

import (
	"errors"
	"time"
)

// Rebalancer moves shards between backends.
type Rebalancer struct {
	// MaxHold bounds how long one attempt to switch a shard waits for open
	// transactions, with new statements on that shard waiting behind it.
	MaxHold Duration `yaml:"max_hold"`
	// MaxSlotWAL is how much WAL a source may keep for a move before the move
	// is given up; 0: no bound.
	MaxSlotWAL  Size `yaml:"max_slot_wal"`
	MaxParallel int  `yaml:"max_parallel"`
	// MaxRate bounds the copies of one job together, in bytes a second; 0: no
	// bound.
	MaxRate Size           `yaml:"max_rate"`
	Auto    RebalancerAuto `yaml:"auto"`
}

// RebalancerAuto starts a rebalance by itself.
type RebalancerAuto struct {
	Enabled bool    `yaml:"enabled"`
	By      Balance `yaml:"by"`
	// Interval is between two looks.
	Interval Duration `yaml:"interval"`
	// Threshold is in percent: by how much the fullest backend is over its
	// share.
	Threshold int `yaml:"threshold"`
	// From and To are times of the day, local; equal ones mean always.
	From ClockTime `yaml:"from"`
	To   ClockTime `yaml:"to"`
}

// ClockTime is a time of the day written as 23:59, kept as the time since
// midnight.
type ClockTime time.Duration

// D is the time since midnight.
func (c ClockTime) D() time.Duration { return time.Duration(c) }

func (c ClockTime) String() string {
	return time.Time{}.Add(time.Duration(c)).Format("15:04")
}

var errClockTime = errors.New("must be a time of the day, as 02:30")

func (c *ClockTime) parse(text string) error {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return errClockTime
	}
	*c = ClockTime(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute)
	return nil
}
