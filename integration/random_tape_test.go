package integration

import "math/rand/v2"

// tape is where a generator takes its decisions from: chance, which it writes down, or what was written down before.
// Zero is always the simplest choice, so that a tape with more zeros, or a shorter one, gives a simpler text: that is
// how a failing one is made smaller.
type tape struct {
	chance *rand.Rand // nil: only what is written
	marks  []uint32
	at     int
}

func newTape(seed, number uint64) *tape { return &tape{chance: rand.New(rand.NewPCG(seed, number))} }

// below decides for one of 0 … n-1.
func (t *tape) below(n int) int {
	if n <= 1 {
		return 0
	}
	if t.at == len(t.marks) {
		if t.chance == nil {
			return 0
		}
		t.marks = append(t.marks, t.chance.Uint32())
	}
	m := t.marks[t.at]
	t.at++
	return int(m % uint32(n))
}

// in is true in percent of the cases; the simplest is false.
func (t *tape) in(percent int) bool { return t.below(100) >= 100-percent }

func (t *tape) pick(of ...string) string { return of[t.below(len(of))] }

// shrink looks for a smaller tape that still fails, with a bounded number of attempts.
func shrink(marks []uint32, attempts int, fails func([]uint32) bool) []uint32 {
	best := append([]uint32(nil), marks...)
	for size := max(len(best)/2, 1); ; size = max(size/2, 1) {
		better := false
		for from := 0; from < len(best); {
			to := min(from+size, len(best))
			without := append(append([]uint32(nil), best[:from]...), best[to:]...)
			zeroed := append([]uint32(nil), best...)
			clear(zeroed[from:to])
			switch {
			case attempts <= 0:
				return best
			case fails(without):
				best, better = without, true
			case !allZero(best[from:to]) && fails(zeroed):
				best, better = zeroed, true
				from = to
			default:
				from = to
			}
			attempts--
		}
		if size == 1 && !better {
			return best
		}
	}
}

func allZero(marks []uint32) bool {
	for _, m := range marks {
		if m != 0 {
			return false
		}
	}
	return true
}
