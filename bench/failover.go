package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// FailOverReport is for how long nothing was acknowledged on the node that
// stays, when the holder of the log is cut off from everything.
type FailOverReport struct {
	Lease         Duration `json:"lease"`
	FailOvers     int      `json:"fail_overs"`
	Writes        Duration `json:"writes_stopped"` // median
	WritesLongest Duration `json:"writes_stopped_longest"`
	Reads         Duration `json:"reads_stopped"` // longest time between two reads that were answered, median of the fail-overs
	ReadsLongest  Duration `json:"reads_stopped_longest"`
	Before        Duration `json:"reads_before"` // the same without a fail-over
	Refused       int      `json:"reads_refused"`
}

// severed is a store that can be cut off, as by the death of its node: from then
// on nothing reaches the database.
type severed struct {
	eventlog.Shared
	dead chan struct{}
}

var errSevered = fault.New(fault.Unavailable, "this node is dead")

// alive gives an error once the node is dead.
func (s *severed) alive() error {
	select {
	case <-s.dead:
		return errSevered
	default:
		return nil
	}
}

// Commit implements eventlog.Store.
func (s *severed) Commit(ctx context.Context, b *eventlog.Batch) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Shared.Commit(ctx, b)
}

// Publish implements eventlog.Shared.
func (s *severed) Publish(ctx context.Context, log event.LogID, by event.ID, m eventlog.Mark, lease time.Duration) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Shared.Publish(ctx, log, by, m, lease)
}

// TakeFree implements eventlog.Shared.
func (s *severed) TakeFree(ctx context.Context, log event.LogID, by eventlog.Holder, atLeast uint64, lease time.Duration) (eventlog.Head, error) {
	if err := s.alive(); err != nil {
		return eventlog.Head{}, err
	}
	return s.Shared.TakeFree(ctx, log, by, atLeast, lease)
}

// Standing implements eventlog.Shared.
func (s *severed) Standing(ctx context.Context, log event.LogID) (eventlog.Standing, error) {
	if err := s.alive(); err != nil {
		return eventlog.Standing{}, err
	}
	return s.Shared.Standing(ctx, log)
}

// Resign implements eventlog.Shared.
func (s *severed) Resign(ctx context.Context, log event.LogID, by event.ID) error {
	if err := s.alive(); err != nil {
		return err
	}
	return s.Shared.Resign(ctx, log, by)
}

// mortal opens a node that can be cut off.
func (in *instance) mortal(ctx context.Context, key []byte, lease time.Duration) (*member, *severed, error) {
	var s *severed
	m, err := in.member(ctx, key, lease, func(store eventlog.Shared) eventlog.Shared {
		s = &severed{store, make(chan struct{})}
		return s
	})
	return m, s, err
}

// failOver cuts off the holder again and again, while clients write and read
// over another node.
func (b *bench) failOver(ctx context.Context, in *instance, key []byte) (r FailOverReport, err error) {
	r = FailOverReport{Lease: Duration(b.Lease), FailOvers: b.Rounds}
	holder, cut, err := in.mortal(ctx, key, b.Lease)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, holder.close()) }()
	// No checkpoint is published from here on: whoever takes the log next would
	// have to go on with them. Closing the log gives up its lease.
	if err := errors.Join(in.publish(), in.log.Close()); err != nil {
		return r, err
	}
	var writes, reads, before []time.Duration
	for round := range b.Rounds {
		if err := holds(ctx, holder.log); err != nil {
			return r, err
		}
		next, nextCut, err := in.mortal(ctx, key, b.Lease)
		if err != nil {
			return r, err
		}
		s := &stop{in: in, node: next}
		err = s.measure(ctx, func() error { close(cut.dead); return holder.close() })
		holder, cut = next, nextCut
		if err != nil {
			return r, err
		}
		writes, reads, before = append(writes, s.writes), append(reads, s.reads), append(before, s.before)
		r.Refused += s.refused
		b.say("nodes, fail-over %d of %d: writes stopped for %s, reads for %s; before that %s", round+1, b.Rounds, Duration(s.writes), Duration(s.reads), Duration(s.before))
	}
	r.Writes, r.WritesLongest = Duration(median(writes)), Duration(slices.Max(writes))
	r.Reads, r.ReadsLongest, r.Before = Duration(median(reads)), Duration(slices.Max(reads)), Duration(median(before))
	return r, nil
}

// holds waits until a node holds the log.
func holds(ctx context.Context, l *eventlog.Log) error {
	for !l.Leads() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// stop measures one fail-over on the node that stays.
type stop struct {
	in   *instance
	node *member

	writes, reads, before time.Duration
	refused               int

	mu                sync.Mutex // guards what follows
	wrote, read       time.Time  // when something was answered last
	gapWrote, gapRead time.Duration
	acked             int
}

// stopClients write, and as many read.
const stopClients = 4

// measure lets clients write and read, cuts off the holder, and ends when the
// clients are answered again.
func (s *stop) measure(ctx context.Context, cut func() error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var clients sync.WaitGroup
	failed := make(chan error, 2*stopClients)
	s.reset()
	for range stopClients {
		clients.Go(func() { failed <- s.write(ctx) })
		clients.Go(func() { failed <- s.reader(ctx) })
	}
	if err := s.answered(ctx, failed, 200); err != nil {
		return err
	}
	s.before = s.reset()
	gone := make(chan error, 1)
	go func() { gone <- cut() }()
	err := s.answered(ctx, failed, 200)
	s.mu.Lock()
	s.writes, s.reads = s.gapWrote, s.gapRead
	s.mu.Unlock()
	end()
	clients.Wait()
	return errors.Join(err, <-gone)
}

// reset begins to count anew, and returns the longest time without a read.
func (s *stop) reset() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	gap := s.gapRead
	s.wrote, s.read, s.gapWrote, s.gapRead, s.acked = time.Now(), time.Now(), 0, 0, 0
	return gap
}

// answered waits until n more writes were acknowledged.
func (s *stop) answered(ctx context.Context, failed <-chan error, n int) error {
	for {
		s.mu.Lock()
		done := s.acked >= n
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case err := <-failed:
			return err
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write registers people, each until it is acknowledged.
func (s *stop) write(ctx context.Context) error {
	for ctx.Err() == nil {
		op := s.in.register(s.node.runner)
		for ctx.Err() == nil {
			err := op(ctx)
			if err == nil {
				s.mu.Lock()
				s.gapWrote, s.wrote = max(s.gapWrote, time.Since(s.wrote)), time.Now()
				s.acked++
				s.mu.Unlock()
				break
			}
			if ctx.Err() == nil && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown) {
				return err
			}
			time.Sleep(time.Millisecond)
		}
	}
	return ctx.Err()
}

// reader reads the last record, as fresh as a request would.
func (s *stop) reader(ctx context.Context) error {
	for ctx.Err() == nil {
		err := s.node.log.CatchUp(ctx)
		if err == nil {
			_, err = s.node.log.Record(ctx, s.node.log.Mark().Size)
		}
		s.mu.Lock()
		switch {
		case err == nil:
			s.gapRead, s.read = max(s.gapRead, time.Since(s.read)), time.Now()
		case ctx.Err() == nil:
			s.refused++
		}
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	return ctx.Err()
}

func (r *FailOverReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nThe node that holds the log is cut off %d times, with a lease of %s, while %d clients write and %d read over the other\n\n", r.FailOvers, r.Lease, stopClients, stopClients)
	fmt.Fprintf(w, "writes stopped for %s, at most %s; wanted: no longer than the lease\n", r.Writes, r.WritesLongest)
	fmt.Fprintf(w, "reads: at most %s between two answers (at worst %s), %s without a fail-over; %d were refused; wanted: not stopped\n", r.Reads, r.ReadsLongest, r.Before, r.Refused)
}
