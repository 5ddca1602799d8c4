package cancelkey

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func register(t *testing.T, r *Registry, length int, cancel func()) Key {
	t.Helper()
	k, err := r.Register(length, cancel)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCancelReachesItsSessionAlone(t *testing.T) {
	r := New()
	var calls [2]int
	a := register(t, r, 4, func() { calls[0]++ })
	b := register(t, r, 32, func() { calls[1]++ })
	if !r.Cancel(b.PID, b.Secret) || calls != [2]int{0, 1} {
		t.Fatalf("got calls %v", calls)
	}
	for _, wrong := range []Key{
		{a.PID, b.Secret}, {b.PID, a.Secret}, {a.PID, nil}, {a.PID, a.Secret[:3]}, {b.PID, b.Secret[:4]},
		{a.PID, append(slices.Clone(a.Secret), 0)}, {a.PID ^ 1, a.Secret}, {0, a.Secret}, {-a.PID, a.Secret},
	} {
		if r.Cancel(wrong.PID, wrong.Secret) {
			t.Errorf("accepted %d %x", wrong.PID, wrong.Secret)
		}
	}
	r.Remove(b.PID)
	r.Remove(b.PID)
	if r.Cancel(b.PID, b.Secret) || calls != [2]int{0, 1} || r.Len() != 1 {
		t.Fatalf("got calls %v, %d keys", calls, r.Len())
	}
}

func TestCallerCannotChangeTheSecret(t *testing.T) {
	r := New()
	k := register(t, r, 4, func() {})
	right := slices.Clone(k.Secret)
	clear(k.Secret)
	if !r.Cancel(k.PID, right) {
		t.Fatal("the registry shares its secret's memory")
	}
}

func TestSecretLengths(t *testing.T) {
	for length, ok := range map[int]bool{-1: false, 0: false, 3: false, 4: true, 32: true, 256: true, 257: false} {
		k, err := New().Register(length, func() {})
		if (err == nil) != ok || ok && len(k.Secret) != length {
			t.Errorf("%d: got %d bytes, %v", length, len(k.Secret), err)
		}
	}
}

func TestKeysAreUniqueAndUnrelated(t *testing.T) {
	r := New()
	pids, secrets := map[int32]bool{}, map[string]bool{}
	neighbours := 0
	var last int32
	for range 20_000 {
		k := register(t, r, 32, func() {})
		if k.PID <= 0 || pids[k.PID] || secrets[string(k.Secret)] {
			t.Fatalf("bad or repeated key %d", k.PID)
		}
		if d := k.PID - last; d > -1000 && d < 1000 {
			neighbours++
		}
		pids[k.PID], secrets[string(k.Secret)], last = true, true, k.PID
	}
	if neighbours > 20 { // 0.02 expected
		t.Fatalf("%d process ids follow one another", neighbours)
	}
}

func TestNothingIsCancelledAfterRemove(t *testing.T) {
	r := New()
	for range 2_000 {
		var removed, late atomic.Bool
		k := register(t, r, 4, func() { late.Store(late.Load() || removed.Load()) })
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { r.Cancel(k.PID, k.Secret) })
		}
		r.Remove(k.PID)
		removed.Store(true)
		wg.Wait()
		if late.Load() {
			t.Fatal("cancelled after Remove had returned")
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	k := Key{PID: 77, Secret: []byte("OPENSESAME")}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k)
	all := fmt.Sprintf("%v %+v %#v %s %x %d %v", k, k, k, k, k, k, &k) + log.String()
	for _, leak := range []string{"OPENSESAME", "4f50454e", "79 80", "T1BFTlNFU0FNRQ"} {
		if strings.Contains(all, leak) {
			t.Fatalf("%q in %s", leak, all)
		}
	}
}
