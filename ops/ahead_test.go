package ops

import (
	"errors"
	"iter"
	"testing"

	"muniment.dev/event"
)

// counted yields n records, then fails, if it is to.
func counted(n int, fail error, read *int) iter.Seq2[*event.Record, error] {
	return func(yield func(*event.Record, error) bool) {
		for i := range n {
			*read = i + 1
			if !yield(&event.Record{Position: event.Position(i + 1)}, nil) {
				return
			}
		}
		if fail != nil {
			yield(nil, fail)
		}
	}
}

// What is read ahead comes in order and whole, an error last.
func TestAhead(t *testing.T) {
	broken := errors.New("broken")
	for _, n := range []int{0, 1, aheadChunk - 1, aheadChunk, aheadChunk + 1, 10 * aheadChunk} {
		for _, fail := range []error{nil, broken} {
			read, seen, last := 0, 0, error(nil)
			for r, err := range ahead(counted(n, fail, &read)) {
				if last = err; err != nil {
					continue
				}
				if seen++; r.Position != event.Position(seen) || last != nil {
					t.Fatalf("record %d came as number %d (%v)", r.Position, seen, last)
				}
			}
			if seen != n || last != fail {
				t.Fatalf("%d records of %d, then %v", seen, n, last)
			}
		}
	}
}

// Who wants no more ends the reading, before the loop goes on.
func TestAheadStops(t *testing.T) {
	const all = 100 * aheadChunk
	for _, want := range []int{1, aheadChunk, 3*aheadChunk + 7} {
		read, seen := 0, 0
		for range ahead(counted(all, nil, &read)) {
			if seen++; seen == want {
				break
			}
		}
		if read == all || read < want {
			t.Fatalf("%d records were read for one who wanted %d", read, want)
		}
	}
}
