package sim

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/ledger"
	"muniment.dev/server"
)

// plan is what a seed makes of the world.
type plan struct {
	clients  int
	commands int
	faults   float64 // share of effects that fail
	reads    float64 // share of steps at which some reads begin to fail
	hasty    int     // percentage of ops that give up
	mishaps  int     // per thousand steps
	crashes  bool
	rivals   bool // a second node takes over while the first lives
	clocks   bool
	rollBack bool // at the end the disk is put back to an older state
	echoes   int  // percentage of batches that arrive late, or twice
	window   int
	batch    int
	kind     kind
	theme    theme // of what there is most
	nodes    int   // how many are kept up; more than one: they share the log

	customers bool // there are customers' events
}

// kind is what a run is about.
type kind int

// theme is what half of a run's commands are about; the others are about all.
type theme int

// The themes.
const (
	anything theme = iota
	ofTokens
	ofPlaces
)

// The kinds of runs.
const (
	plain kind = iota // one node, and others that take over
	many              // several nodes that share the log
	kinds = 4
)

// kindOf gives a seed its kind: one of four is of many nodes.
func kindOf(seed uint64) kind { return [kinds]kind{plain, plain, many, plain}[seed%kinds] }

func (p *plan) several() bool { return p.nodes > 1 }

func newPlan(r *rand.Rand, k kind) plan {
	p := plan{
		kind: k, nodes: 1,

		clients: 2 + r.IntN(7), commands: 40 + r.IntN(80),
		faults: pick(r, 0, 0.01, 0.05, 0.15), reads: pick(r, 0, 0.005, 0.03), hasty: pick(r, 0, 10, 40),
		mishaps: pick(r, 5, 15, 40), crashes: r.IntN(4) > 0, rivals: r.IntN(3) == 0, clocks: r.IntN(2) == 0,
		rollBack: r.IntN(3) == 0, echoes: pick(r, 0, 0, 10, 30),
		window: pick(r, 4, 32, 8192), batch: pick(r, 1, 4, 512),
	}
	p.theme = pick(r, anything, ofTokens, ofPlaces)
	if k == many {
		p.nodes, p.rollBack = pick(r, 2, 2, 3), false
	}
	return p
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// world is one run.
type world struct {
	seed uint64
	rng  *rand.Rand
	plan plan
	bugs Bugs

	bus      bus
	disk     *disk
	vault    *vault
	backup   *vault // of the vault, as of some time
	reg      *ledger.MemoryRegister
	journal  *journal
	model    *model
	registry *event.Registry
	id       event.LogID
	instance event.SubjectID
	signer   *ledger.Signer
	away     atomic.Bool   // the store does not answer
	failing  atomic.Uint32 // reads that fail
	until    int           // the step at which all is well again
	back     int           // the step at which the clock is set right; 0: it is
	right    int64         // to that offset
	offset   atomic.Int64  // of the machine's clock
	highest  atomic.Int64  // what the log's clock has said at most since all was at rest, in microseconds
	echo     atomic.Int64  // numbers what arrives late or twice
	refusal  error         // why a node did not start on it
	older    bool          // the disk was put back to an older state

	nodes   []*node        // that are not gone
	homes   sync.Map       // nodes by their address
	acked   event.Position // as far as any client has heard
	births  int
	saved   *tables // the views of a node that is gone
	clients []*op   // by client; nil: idle

	places     places
	commands   []*command
	reused     []*code    // of which a refresh token was used twice
	buses      []event.ID // entities of customers
	deliveries deliveries
	guessed    []event.ID    // people whose password somebody tries to guess
	season     event.Instant // by which the time of signing keys is ahead
	receipts   []receipt
	steps      int
	calm       bool // nothing fails any more

	mu     sync.Mutex
	trace  []string
	err    error
	counts map[string]int
}

func newWorld(seed uint64, bugs Bugs) *world {
	r := rand.New(rand.NewPCG(seed, 0x6d756e696d656e74))
	w := &world{seed: seed, rng: r, plan: newPlan(r, kindOf(seed)), bugs: bugs, vault: newVault(), reg: &ledger.MemoryRegister{}, model: newModel(), registry: server.Registry(), counts: map[string]int{}}
	w.plan.customers, w.deliveries = isOfCustomers(seed), deliveries{}
	w.id, w.instance = event.LogID{ID: w.fresh()}, event.SubjectID{ID: w.fresh()}
	w.clients = make([]*op, w.plan.clients)
	if w.plan.customers {
		w.defineTypes()
	}
	base := memlog.New()
	w.journal = newJournal(w.id, base, w.vault, w.registry)
	w.journal.sealer.Instance = w.instance
	w.journal.model, w.journal.failed = w.model, w.fail
	w.journal.tell = func(s string) { w.say("%s", s) }
	w.disk = &disk{base: base, present: &present{base}, durable: w.journal.durable, torn: w.fail, noFence: bugs.NoFence, terms: map[uint64]event.ID{}}
	return w
}

// fresh is an id that follows from the seed.
func (w *world) fresh() (id event.ID) {
	for i := range id {
		id[i] = byte(w.rng.Uint32())
	}
	return id
}

// now is the clock of the machine on which all nodes run.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

// logClock is the clock of the logs.
func (w *world) logClock() time.Time {
	now := w.now()
	for us := now.UnixMicro(); ; {
		high := w.highest.Load()
		if us <= high || w.highest.CompareAndSwap(high, us) {
			return now
		}
	}
}

func (w *world) instant() event.Instant { return event.Instant(w.now().UnixMicro()) }

// say adds a line to the trace.
func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// fail ends the run with a finding; the first one counts.
func (w *world) fail(err error) {
	w.say("!!! %v", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *world) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// hash is what two runs of one seed have in common.
func (w *world) hash() (h [32]byte) {
	d := sha256.New()
	for _, s := range w.trace {
		fmt.Fprintln(d, s)
	}
	d.Sum(h[:0])
	return h
}

// maxSteps ends a run that does not come to an end.
const maxSteps = 30000

// step waits until nothing moves, looks, and does one thing.
func (w *world) step() {
	w.settle()
	waiting, idle := w.waiting(), w.idle()
	serving := w.serving()
	w.disturb()
	n := w.rng.IntN(1000)
	switch {
	case n < w.plan.mishaps:
		w.mishap()
	case n < 110:
		w.pass()
	case n < 450 && len(idle) > 0 && len(serving) > 0:
		w.begin(idle, serving)
	case len(waiting) > 0:
		w.grant(waiting)
	case len(idle) > 0 && len(serving) > 0:
		w.begin(idle, serving)
	default:
		w.pass()
	}
}

// settle lets everything that can move come to rest, hears answers and looks
// at the nodes.
func (w *world) settle() {
	synctest.Wait()
	w.steps++
	if w.steps > maxSteps {
		w.fail(fmt.Errorf("the run does not come to an end: %v waits", w.bus.list()))
	}
	w.collect()
	w.tend()
	w.look()
	if len(w.idle()) == len(w.clients) && len(w.bus.list()) == 0 {
		w.highest.Store(w.now().UnixMicro())
	}
	if w.plan.kind != plain || w.plan.customers { // so that what has just begun has come to rest as well
		if w.plan.several() {
			w.ring()
		}
		synctest.Wait()
	}
}

// waiting lists what may be granted: all that waits, but of nodes that pause.
func (w *world) waiting() []*effect {
	return slices.DeleteFunc(w.bus.list(), func(e *effect) bool { return w.steps < e.node.paused })
}

// pass lets time pass.
func (w *world) pass() {
	time.Sleep(time.Duration(1+w.rng.IntN(15)) * time.Millisecond)
}

// grant lets one effect happen, or fail.
func (w *world) grant(waiting []*effect) {
	e := waiting[w.rng.IntN(len(waiting))]
	g := permit{coin: w.rng.IntN(2) == 0}
	switch {
	case w.calm:
	case e.what == "send":
		if w.rng.IntN(100) < w.plan.echoes {
			g.verdict = lose + verdict(w.rng.IntN(2))
		}
	case w.rng.Float64() < w.plan.faults:
		g.verdict = lose + verdict(w.rng.IntN(2))
	}
	w.say("%s%s", e, g.verdict)
	w.count(e.what, g.verdict)
	w.bus.let(e, g)
}

func (w *world) count(what string, v verdict) {
	w.counts[what+v.String()]++
}
