package ops

import (
	"iter"
	"sync"

	"muniment.dev/event"
)

// How far records are read ahead: chunks of some, a few of them.
const (
	aheadChunk  = 256
	aheadChunks = 4
)

// ahead reads a sequence of records in a goroutine of its own, some way ahead
// of whoever takes them: so reading and checking take two cores.
func ahead(records iter.Seq2[*event.Record, error]) iter.Seq2[*event.Record, error] {
	type item struct {
		rec *event.Record
		err error
	}
	return func(yield func(*event.Record, error) bool) {
		chunks, stop := make(chan []item, aheadChunks), make(chan struct{})
		var reading sync.WaitGroup
		reading.Go(func() {
			defer close(chunks)
			chunk := make([]item, 0, aheadChunk)
			for rec, err := range records {
				if chunk = append(chunk, item{rec, err}); len(chunk) < aheadChunk {
					continue
				}
				select {
				case chunks <- chunk:
				case <-stop:
					return
				}
				chunk = make([]item, 0, aheadChunk)
			}
			select {
			case chunks <- chunk:
			case <-stop:
			}
		})
		defer reading.Wait()
		defer close(stop)
		for chunk := range chunks {
			for _, i := range chunk {
				if !yield(i.rec, i.err) {
					return
				}
			}
		}
	}
}
