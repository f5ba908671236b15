package auditapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"muniment.dev/audit"
	"muniment.dev/audit/auditapi"
	"muniment.dev/internal/instancetest"
)

// pipe takes so many bytes and then breaks, as a reader does that goes away.
type pipe struct {
	bytes.Buffer
	left int
}

func (p *pipe) Write(b []byte) (int, error) {
	if len(b) > p.left {
		n := p.left
		p.Buffer.Write(b[:n])
		p.left = 0
		return n, errors.New("broken pipe")
	}
	p.left -= len(b)
	return p.Buffer.Write(b)
}

// reached returns when the follower has written all there is.
func reached(ctx context.Context, i *instancetest.Instance) error {
	for ctx.Err() == nil {
		b, err := i.Core.Log.Store().Cursor(ctx, i.Core.Log.ID(), "test")
		if err != nil || string(b) == fmt.Sprint(i.Core.Log.Mark().Size) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return ctx.Err()
}

// A follower that is interrupted, however often and wherever, and begins again
// has written every event at the end, in order, and nothing that is sealed.
func TestFollowLosesNothing(t *testing.T) {
	i, _, _, _ := world(t)
	s := &auditapi.Service{Runner: i.Core.Runner, Reader: &audit.Reader{Log: i.Core.Log, Sealer: i.Core.Sealer}}
	var all bytes.Buffer
	for n := 0; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { reached(ctx, i); cancel() }()
		out := &pipe{left: 7000 * n}
		err := s.Follow(ctx, "test", out)
		cancel()
		whole := out.Bytes()
		if cut := bytes.LastIndexByte(whole, '\n'); cut >= 0 {
			all.Write(whole[:cut+1])
		}
		if errors.Is(err, context.Canceled) {
			break
		}
		if err == nil || !strings.Contains(err.Error(), "nobody takes them") {
			t.Fatal(err)
		}
		if n > 100 {
			t.Fatal("it does not come to an end")
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(all.Bytes()))
	lines.Buffer(nil, 1<<20)
	last, seen := uint64(0), map[uint64]bool{}
	for lines.Scan() {
		var e struct {
			Position uint64 `json:",string"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Position > last+1 {
			t.Fatalf("position %d after %d", e.Position, last)
		}
		last = max(last, e.Position)
		seen[e.Position] = true
	}
	if mark := i.Core.Log.Mark().Size; uint64(len(seen)) != uint64(mark) || last != uint64(mark) {
		t.Errorf("%d of %d events were written", len(seen), mark)
	}
	if text := all.String(); strings.Contains(text, "Adele") || strings.Contains(text, "@example.org") || !strings.Contains(text, `"withheld":true`) {
		t.Error("what is sealed is written")
	}
	// What comes later is written, once.
	ctx, cancel := context.WithCancel(t.Context())
	more := &pipe{left: 1 << 20}
	done := make(chan error, 1)
	go func() { done <- s.Follow(ctx, "test", more) }()
	person := i.Person(i.Org)
	if err := reached(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
	if n := strings.Count(more.String(), "user:"+person+`","streamVersion":"1"`); n != 1 {
		t.Errorf("the new event is written %d times", n)
	}
}
