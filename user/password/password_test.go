package password

import (
	"strings"
	"sync"
	"testing"

	"muniment.dev/fault"
)

var quick = Params{Memory: 64, Time: 1, Threads: 1}

func TestVerify(t *testing.T) {
	p := NewPool(quick, 1, 1)
	h, err := p.Hash(t.Context(), "correct horse")
	if err != nil || !strings.HasPrefix(h, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatal(h, err)
	}
	for _, c := range []struct {
		hash, password string
		want           bool
	}{{h, "correct horse", true}, {h, "correct horsf", false}, {"", "correct horse", false}, {h, strings.Repeat("x", 1000), false}} {
		if ok, err := p.Verify(t.Context(), c.hash, c.password); err != nil || ok != c.want {
			t.Errorf("%q: %v %v", c.password, ok, err)
		}
	}
}

// A flood queues and is refused early.
func TestPoolIsBounded(t *testing.T) {
	p := NewPool(Params{Memory: 8192, Time: 4, Threads: 1}, 1, 2)
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 20 {
		wg.Go(func() {
			if _, err := p.Verify(t.Context(), "", "whatever"); fault.Is(err, fault.Exhausted) {
				mu.Lock()
				refused++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if refused == 0 || refused == 20 {
		t.Fatalf("%d of 20 refused", refused)
	}
}

// What is stored is parsed strictly.
func FuzzDecode(f *testing.F) {
	p := NewPool(quick, 1, 1)
	h, _ := p.Hash(f.Context(), "correct horse")
	f.Add(h)
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if p, _, _, err := decode(s); err == nil && (p.Memory > maxMemory || p.Time > maxTime) {
			t.Fatal("accepted parameters that exhaust memory")
		}
	})
}
