package eventlog

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// ErrMoved says that this node does not hold the log, and appended nothing.
var ErrMoved = fault.New(fault.Unavailable, "another node appends to this log; nothing was changed, try again in a moment")

// Role is what a node is to a log.
type Role struct {
	Several   bool          // several nodes may share the log
	Leads     bool          // this one appends
	Holder    Holder        // who does, as far as is known
	Left      time.Duration // of the holder's lease, as far as is known
	Forwarded uint64        // appends that were forwarded to others
	Failed    uint64        // those of them that got no answer, or that of one who does not hold the log
	Refused   error         // why this node may not append, though the log was free
}

// nodes is what a log needs that several nodes share.
type nodes struct {
	store Shared
	lease time.Duration

	ctx  context.Context // ends when the log is closed
	stop context.CancelFunc
	work sync.WaitGroup

	leads             atomic.Bool
	sure              atomic.Pointer[time.Time] // until when the lease certainly lasts
	seen              atomic.Pointer[sighting]
	forwarded, failed atomic.Uint64
	refused           atomic.Pointer[error]
	hearing           atomic.Pointer[hearing]
	heard             atomic.Bool // the holder says itself what it publishes
	moving            sync.Mutex  // held while a follower moves its mark

	happened chan func(*sequencer) // for the sequencer: what happened beside it

	mu      sync.Mutex // guards what follows
	looking bool
	next    *flight // the look at the store that has not begun
}

// sighting is a standing as it was when it was read.
type sighting struct {
	Standing
	at time.Time
}

// flight is a look at the store that several wait for.
type flight struct {
	done chan struct{}
	err  error
}

// newNodes asks the store for a tenth less than the lease: to find that it ran
// out, and to take the log, takes time as well, and writes are not to stop for
// longer than the operator said.
func newNodes(store Shared, lease time.Duration) *nodes {
	n := &nodes{store: store, lease: lease - lease/10, happened: make(chan func(*sequencer), 16)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.sure.Store(&time.Time{})
	return n
}

func (n *nodes) end() {
	if n != nil {
		n.stop()
		n.work.Wait()
	}
}

// happens gives what the sequencer has to do next; nothing without other nodes.
func (n *nodes) happens() <-chan func(*sequencer) {
	if n == nil {
		return nil
	}
	return n.happened
}

// extended notes that the store was asked for a lease at a time and gave it. An
// eighth of it allows for clocks that do not run alike.
func (n *nodes) extended(asked time.Time) {
	until := asked.Add(n.lease - n.lease/8)
	n.sure.Store(&until)
}

// poll is how often a node looks who holds the log, and up to where, if no bell
// rings.
func (n *nodes) poll() time.Duration {
	return min(max(n.lease/20, 10*time.Millisecond), 250*time.Millisecond)
}

// Leads reports whether this node appends to the log; of a log that is closed,
// whether it did to the end.
func (l *Log) Leads() bool { return l.nodes == nil || l.nodes.leads.Load() }

// Shared is the engine if several nodes share the log, else nil.
func (l *Log) Shared() Shared {
	if l.nodes == nil {
		return nil
	}
	return l.nodes.store
}

// Node is the id under which this node holds the log, or would.
func (l *Log) Node() event.ID { return l.opts.Holder }

// Lease is for how long a node holds the log unless it says so again.
func (l *Log) Lease() time.Duration { return l.opts.Lease }

// Role tells what this node is to the log at the moment.
func (l *Log) Role() Role {
	n := l.nodes
	if n == nil {
		return Role{Leads: true}
	}
	r := Role{Several: true, Leads: n.leads.Load(), Forwarded: n.forwarded.Load(), Failed: n.failed.Load()}
	if r.Leads {
		r.Holder, r.Left = Holder{ID: l.opts.Holder, Address: l.opts.Address}, time.Until(*n.sure.Load())
	} else if s := n.seen.Load(); s != nil {
		r.Holder, r.Left = s.Holder, s.Left-time.Since(s.at)
	}
	r.Left = max(r.Left, 0)
	if err := n.refused.Load(); err != nil {
		r.Refused = *err
	}
	return r
}

// CatchUp returns when what may be read here contains all that any node had
// acknowledged when it was called. The holder does so at once while it is
// certain to be it; others by one look at the store, which all share who came
// before it began. It fails with fault.Unavailable when that cannot be found
// out, and with the context's error.
func (l *Log) CatchUp(ctx context.Context) error {
	n := l.nodes
	if n == nil || n.leads.Load() && time.Now().Before(*n.sure.Load()) {
		return nil
	}
	f := l.look()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return &fault.Error{Kind: fault.Unavailable, Msg: "it is not known yet what other nodes have recorded; try again in a moment", Err: ctx.Err()}
	}
}

// look has the store looked at, after now.
func (l *Log) look() *flight {
	n := l.nodes
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = &flight{done: make(chan struct{})}
	}
	f := n.next
	if n.ctx.Err() != nil {
		f.err, n.next = errStopping, nil
		close(f.done)
		return f
	}
	if !n.looking {
		n.looking = true
		n.work.Go(l.fly)
	}
	return f
}

// fly looks at the store for as long as somebody asks for it.
func (l *Log) fly() {
	n := l.nodes
	for {
		n.mu.Lock()
		f := n.next
		n.next = nil
		if f == nil {
			n.looking = false
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()
		ctx, cancel := context.WithTimeout(n.ctx, lookFor)
		f.err = l.catchUp(ctx)
		cancel()
		close(f.done)
	}
}

// again is how soon a node that has readers waiting looks whether whoever takes
// the log has published.
const again = 20 * time.Millisecond

// lookFor bounds how long readers wait for what other nodes have recorded.
const lookFor = 10 * time.Second

// catchUp moves the mark to what the holder published. While nothing is, the
// sequencer finds out who holds the log; the holder itself knows what it has
// acknowledged. A node that took the log and could not go on behind it (Admit
// failed, say) leads nothing, and follows what it published by taking it.
func (l *Log) catchUp(ctx context.Context) error {
	n := l.nodes
	for {
		st, err := n.store.Standing(ctx, l.id)
		if err == nil {
			n.seen.Store(&sighting{st, time.Now()})
			n.changed(st.Holder)
			n.tell(func(s *sequencer) { s.observe(st) })
			leads := st.Holder.ID == l.opts.Holder && n.leads.Load()
			if st.Known && !leads {
				l.comes(ctx, st.Mark.Size)
				err = l.advance(ctx, st.Mark, nil, 0)
			}
			if err == nil && (st.Known || leads) {
				return nil
			}
		}
		if err != nil {
			return fault.Wrap("look what other nodes have recorded", err)
		}
		select {
		case <-time.After(min(n.poll(), again)):
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "no node holds the log at the moment; try again in a moment")
		}
	}
}

// tell has the sequencer do something, unless it has too much to do: whoever
// tells it does so again.
func (n *nodes) tell(do func(*sequencer)) {
	select {
	case n.happened <- do:
	default:
	}
}

// watch has the sequencer look around from time to time, and when the bell rings.
func (l *Log) watch() {
	n := l.nodes
	bell := n.store.Bell(n.ctx, l.id)
	t := time.NewTicker(n.poll())
	defer t.Stop()
	for n.ctx.Err() == nil {
		select {
		case _, ok := <-bell:
			if !ok {
				bell = nil
			}
			if !n.leads.Load() && !n.heard.Load() {
				l.look()
			}
		case <-t.C:
			n.tell((*sequencer).tick)
		case <-n.ctx.Done():
		}
	}
}

// fed bounds how many records a follower reads at once to have them in memory.
const fed = 1024

// advance moves the mark of a follower to one that the holder published. The
// records up to it, which are read from the store unless the holder handed them
// out, go to memory for all that follow the log; so it is noticed if they do not
// continue those that were read before. handed were asked for when memory had
// forgotten so many subjects as asked says.
func (l *Log) advance(ctx context.Context, m Mark, handed []*event.Record, asked uint64) error {
	n := l.nodes
	n.moving.Lock()
	defer n.moving.Unlock()
	l.mu.RLock()
	from, purged := l.Mark(), l.purged
	l.mu.RUnlock()
	if m.Size < from.Size || m.Size == from.Size && m.Term <= from.Term {
		return nil
	}
	if asked != purged { // they may hold what was erased meanwhile
		handed = nil
	}
	entries, err := l.fetch(ctx, from, m, handed)
	if err != nil {
		return err
	}
	g, err := l.generationsWith(ctx, entries, from.Size, m.Size)
	if err != nil {
		return err
	}
	l.note(from.Size, m.Size, entries)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch now := l.Mark().Size; {
	case m.Size < now || m.Size == now && m.Term <= l.Mark().Term:
		return nil
	case m.Size == now:
	case now == from.Size && purged == l.purged && entries != nil:
		l.recent.add(entries)
	default:
		l.recent = window{max: l.opts.Window}
	}
	l.generations.Store(&g)
	l.setMark(m)
	return nil
}

// fetch gives the records between two marks, or nothing if they are too many for
// memory, and checks that they lead from one to the other.
func (l *Log) fetch(ctx context.Context, from, to Mark, handed []*event.Record) ([]entry, error) {
	if to.Size == from.Size {
		return nil, nil
	}
	if len(handed) > 0 {
		entries, err := chained(handed, from, to)
		if err == nil {
			return entries, nil
		}
		l.opts.Logger.Warn("what another node hands out does not continue the log; the store is asked", "error", err)
	}
	many := to.Size-from.Size > event.Position(min(fed, l.opts.Window))
	first := from.Size + 1
	if many {
		first = to.Size
	}
	records := make([]*event.Record, 0, to.Size-first+1)
	for r, err := range l.between(ctx, first, to.Size) {
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	if many {
		from = Mark{Size: first - 1, Last: records[0].Prev}
	}
	entries, err := chained(records, from, to)
	if many {
		entries = nil
	}
	return entries, err
}
