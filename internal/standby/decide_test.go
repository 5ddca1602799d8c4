package standby

import (
	"testing"
	"time"

	"github.com/pleiad/pleiad/internal/lsn"
)

func TestDecide(t *testing.T) {
	const detect = 3 * time.Second
	fit := func(line uint32) State { return State{Answers: true, Timeline: line} }
	standby := func(line uint32) State {
		return State{Answers: true, Recovering: true, Timeline: line, Unfit: time.Hour}
	}
	dead := State{Unfit: time.Minute, Timeline: 1}
	silent := State{Unfit: time.Second, Timeline: 1}
	for name, c := range map[string]struct {
		view View
		want Decision
	}{
		"all well":                     {View{0, 1, []State{fit(1), standby(1)}, detect}, Decision{}},
		"first look":                   {View{-1, 0, []State{standby(1), fit(1)}, detect}, Decision{Follow, 1}},
		"first look, nobody":           {View{-1, 0, []State{standby(1), standby(1)}, detect}, Decision{}},
		"first look, an old one too":   {View{-1, 0, []State{fit(1), fit(2)}, detect}, Decision{Follow, 1}},
		"first look, two equal":        {View{-1, 0, []State{fit(2), fit(2)}, detect}, Decision{Action: Unclear}},
		"first look, outdated":         {View{-1, 2, []State{fit(1), {}}, detect}, Decision{}},
		"silent for a moment":          {View{0, 1, []State{silent, standby(1)}, detect}, Decision{}},
		"dead":                         {View{0, 1, []State{dead, standby(1)}, detect}, Decision{Action: Replace}},
		"dead, another was promoted":   {View{0, 1, []State{dead, fit(2)}, detect}, Decision{Follow, 1}},
		"alive, another was promoted":  {View{0, 1, []State{fit(1), fit(2)}, detect}, Decision{Follow, 1}},
		"two were promoted":            {View{0, 1, []State{dead, fit(2), fit(2)}, detect}, Decision{Action: Unclear}},
		"the old one is back":          {View{1, 2, []State{fit(1), fit(2)}, detect}, Decision{}},
		"the old one is all there is":  {View{1, 2, []State{fit(1), {Unfit: time.Minute, Timeline: 2}}, detect}, Decision{Action: Replace}},
		"became a standby":             {View{0, 1, []State{standby(1), standby(1)}, detect}, Decision{Action: Replace}},
		"read-only for a moment":       {View{0, 1, []State{{Answers: true, Timeline: 1, Unfit: time.Second}, standby(1)}, detect}, Decision{}},
		"read-only":                    {View{0, 1, []State{{Answers: true, Timeline: 1, Unfit: detect}, standby(1)}, detect}, Decision{Action: Replace}},
		"a stranger on its timeline":   {View{0, 1, []State{fit(1), fit(1)}, detect}, Decision{}},
		"lost, stranger on its a line": {View{0, 1, []State{dead, fit(1)}, detect}, Decision{Action: Unclear}},
	} {
		if got := Decide(c.view); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	s := func(line uint32, received uint64) State {
		return State{Answers: true, Recovering: true, Timeline: line, Received: lsn.LSN(received)}
	}
	gone := State{}
	for name, c := range map[string]struct {
		servers []State
		confirm int
		want    int // -1: none
	}{
		"one standby":                       {[]State{gone, s(1, 5)}, 1, 1},
		"none":                              {[]State{gone}, 1, -1},
		"the one is gone":                   {[]State{gone, gone}, 1, -1},
		"most log":                          {[]State{gone, s(1, 5), s(1, 7), s(1, 6)}, 2, 2},
		"a later timeline beats more log":   {[]State{gone, s(1, 9), s(2, 5), s(1, 9)}, 2, 2},
		"equal ones":                        {[]State{gone, s(1, 5), s(1, 5)}, 1, 1},
		"one of two, which may be the last": {[]State{gone, s(1, 5), gone}, 1, -1},
		"two of three, one confirmed":       {[]State{gone, s(1, 5), s(1, 5), gone}, 1, -1},
		"two of three, two confirmed":       {[]State{gone, s(1, 5), s(1, 6), gone}, 2, 2},
		"the primary does not count":        {[]State{s(1, 9), s(1, 5)}, 1, 1},
	} {
		got, err := Choose(c.servers, 0, c.confirm)
		if got != c.want || (err == nil) != (c.want >= 0) {
			t.Errorf("%s: %d, %v, want %d", name, got, err, c.want)
		}
	}
}
