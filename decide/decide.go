// Package decide runs commands: it reads the facts that a decision rests on,
// lets a pure function decide, and appends what it decided on the condition
// that no newer fact exists; else it decides again.
//
// A Decider is pure: no clock, no randomness, no storage. What it needs (the
// time, fresh ids, hashes) comes in the command. The actor's authority is part
// of every command's facts and of its condition. A command id does its work
// once; refusals of authority are recorded.
package decide

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"muniment.dev/authz"
	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/seal"
	"muniment.dev/trace"
)

// Blind selects by a personal value, through its blind tag.
type Blind struct {
	Name, Value string
	Fold        bool
}

// Facts selects facts: of these types (any, if none is named) that are in the
// stream and carry the tags and the blind tag, as far as those are set.
type Facts struct {
	Types  []string
	Stream event.Stream
	Tags   []event.Tag
	Blind  *Blind
}

// Decider decides commands of type C on states of type S. States are values
// that may be kept and shared: Evolve returns a new one and leaves the old.
type Decider[S, C any] struct {
	Name   string // imperative, as a person would say it: "lock a user"
	Query  func(C) []Facts
	Start  func(C) S // the state before any fact; nil: the zero state
	Evolve func(S, event.Fact) S
	// Allow returns nil if the actor may give the command; without Allow
	// nobody may.
	Allow func(authz.Authority, S, C) error
	// Decide returns the events that the command causes, or a refusal. No
	// events and no error means that there is nothing to do.
	Decide func(S, C) ([]event.New, error)
}

// Envelope is what surrounds a command: who gives it, its idempotency key,
// what was asked, and the context to be recorded.
type Envelope struct {
	Actor   event.Actor
	Command event.ID // zero: a fresh one is taken, and repeating is not safe
	Request []byte   // what was asked, in a canonical form; a repeat must bring the same
	Context seal.Context
	// Also must hold besides the decider's facts. Deciding again cannot mend it:
	// the command then fails with ErrAlso.
	Also event.Condition
	// Names reports whether what was asked names an id; nil: that is not known.
	Names func(event.ID) bool

	digest event.Hash // keyed, of Request
}

// ErrAlso says that Envelope.Also did not hold.
var ErrAlso = fault.New(fault.Conflict, "what the command was conditioned on was changed meanwhile; read it again and decide anew")

// with is the condition of the facts, and Also, which was seen to hold as far as
// the facts were read.
func (e *Envelope) with(facts event.Condition) event.Condition {
	if len(e.Also.Query) > 0 {
		facts.Query = facts.Query.Or(e.Also.Query)
	}
	facts.Streams = e.Also.Streams
	return facts
}

// Result is what a command did. Stream is that of its first event.
type Result struct {
	eventlog.Appended
	Stream event.Stream
	Events int // how many; 0 if there was nothing to do
}

// Appender takes the events that were decided. *eventlog.Log is one.
type Appender interface {
	// Append keeps the contract of eventlog.Log.Append.
	Append(context.Context, eventlog.Request) (eventlog.Appended, error)
}

// Runner runs commands on one log. It is safe for concurrent use.
type Runner struct {
	Log    *eventlog.Log
	Sealer *seal.Sealer
	Slow   func(context.Context) error // waits while views lag; may be nil
	To     Appender                    // where events go; nil: Log

	cache   cache
	retries atomic.Uint64
}

// Retries is how often a command was decided again because its facts had
// changed.
func (r *Runner) Retries() uint64 { return r.retries.Load() }

// attempts bounds how often a command is decided again.
const attempts = 64

// Run runs one command. Errors are the decider's own refusals, fault.Denied,
// and those of eventlog.Log.Append; fault.Conflict only if the facts kept
// changing under many attempts.
func Run[S, C any](ctx context.Context, r *Runner, d Decider[S, C], env Envelope, c C) (Result, error) {
	ctx, span := trace.Start(ctx, "decide", trace.Attr{Key: "muniment.command", Value: d.Name})
	res, err := run(ctx, r, d, env, c)
	if err != nil {
		span.End(fault.KindOf(err).String())
		return res, err
	}
	span.Set("muniment.position", int64(res.Last))
	span.End("")
	return res, nil
}

func run[S, C any](ctx context.Context, r *Runner, d Decider[S, C], env Envelope, c C) (Result, error) {
	if env.Command.IsZero() {
		env.Command = event.NewID()
	} else if done, ok, err := r.given(ctx, &env); err != nil || ok {
		return done, err
	}
	if r.Slow != nil {
		if err := r.Slow(ctx); err != nil {
			return Result{}, err
		}
	}
	var err, unknown error
	for i := range attempts {
		var res Result
		if res, err = once(ctx, r, d, env, c); fault.Is(err, fault.Unknown) {
			if unknown = err; ctx.Err() != nil || i > 2 {
				return Result{}, err
			}
		} else if !retriable(err) || ctx.Err() != nil {
			if res, err = r.conclude(ctx, d.Name, env, res, err); err != nil && unknown != nil && !settled(err) {
				err = unknown
			}
			return res, err
		}
		r.retries.Add(1)
		r.settle(ctx, err)
	}
	return Result{}, err
}

// conclude is the answer to a command that was refused, or has nothing to do:
// what the log holds of it, if anything. The command itself may be among the
// facts, given twice at once or recorded by an attempt of unknown outcome; or
// it is stored where this node, which another has replaced, does not read yet.
func (r *Runner) conclude(ctx context.Context, name string, env Envelope, res Result, err error) (Result, error) {
	if res.Events > 0 {
		return res, err
	}
	o, ok, failed := r.Log.Store().Outcome(ctx, r.Log.ID(), env.Actor, env.Command)
	if failed == nil && ok && o.Last > r.Log.Mark().Size {
		return Result{}, fault.New(fault.Unknown, "what this command did cannot be read here yet; repeat it with the same command id")
	}
	switch done, ok, failed := r.outcome(ctx, env); {
	case fault.Is(failed, fault.Unavailable):
		return done, eventlog.Unread(failed)
	case ok || failed != nil:
		return done, failed
	}
	r.Refused(ctx, name, env, err)
	return res, err
}

// settled reports whether a refusal tells what became of an earlier attempt
// whose outcome was not known: the log has taken note of that attempt or never
// will, and the command is not in it.
func settled(err error) bool {
	switch fault.KindOf(err) {
	case fault.Internal, fault.Exhausted, fault.Unavailable, fault.Corrupt:
		return false
	}
	return true
}

// earlier finds what the same command did before.
func (r *Runner) earlier(ctx context.Context, env *Envelope) (Result, bool, error) {
	var err error
	if env.digest, err = r.Sealer.RequestDigest(ctx, env.Request); err != nil {
		return Result{}, false, err
	}
	return r.outcome(ctx, *env)
}

// given is earlier for a command that costs little to decide again. A node that
// does not hold the log leaves the question to the one that does, which knows
// from memory and appends nothing twice; what is refused here conclude looks up.
func (r *Runner) given(ctx context.Context, env *Envelope) (_ Result, ok bool, err error) {
	if r.Log.Leads() {
		return r.earlier(ctx, env)
	}
	env.digest, err = r.Sealer.RequestDigest(ctx, env.Request)
	return Result{}, false, err
}

// outcome is what stands in the log of a command; false if nothing does.
func (r *Runner) outcome(ctx context.Context, env Envelope) (Result, bool, error) {
	done, ok, err := r.Log.Outcome(ctx, env.Actor, env.Command, env.digest)
	if err != nil || !ok {
		return Result{}, false, err
	}
	res, err := r.result(ctx, done)
	return res, true, err
}

// retriable reports whether an append failed because the facts changed.
func retriable(err error) bool {
	var b *eventlog.Between
	return errors.As(err, &b) || errors.Is(err, eventlog.ErrKeyTaken)
}

// settle waits until what came between can be read.
func (r *Runner) settle(ctx context.Context, err error) {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	after := r.Log.Mark().Size
	var b *eventlog.Between
	if errors.As(err, &b) {
		after = b.Position - 1
	}
	r.Log.Wait(ctx, after)
}

func once[S, C any](ctx context.Context, r *Runner, d Decider[S, C], env Envelope, c C) (Result, error) {
	state, cond, err := admit(ctx, r, d, env, c)
	if err != nil {
		return Result{}, err
	}
	events, err := d.Decide(state, c)
	if err != nil || len(events) == 0 {
		return Result{Appended: eventlog.Appended{Log: r.Log.GenerationAt(cond.After), Last: cond.After, Time: r.Log.Now()}}, err
	}
	if err := r.holds(ctx, env.Also, cond.After); err != nil {
		return Result{}, err
	}
	res, err := r.append(ctx, env, events, env.with(cond))
	return res, r.also(ctx, &env, err)
}

// holds looks at what a condition of the envelope selects up to where the facts
// were read. Those are newer than it, and no reason to decide again.
func (r *Runner) holds(ctx context.Context, also event.Condition, upto event.Position) error {
	if len(also.Query) == 0 || also.After >= upto {
		return nil
	}
	for _, err := range r.Log.ReadTo(ctx, also.Query, also.After, upto) {
		if err == nil {
			err = ErrAlso
		}
		return err
	}
	return nil
}

// also tells a condition of the envelope that failed from facts that changed.
func (r *Runner) also(ctx context.Context, env *Envelope, err error) error {
	var b *eventlog.Between
	if len(env.Also.Query) == 0 || !errors.As(err, &b) || b.Position <= env.Also.After {
		return err
	}
	r.settle(ctx, err)
	if rec, failed := r.Log.Record(ctx, b.Position); failed == nil && !env.Also.Query.Matches(rec.Type, rec.Terms()) {
		return err
	}
	return ErrAlso
}

// admit reads the facts and lets the decider say whether the actor may give
// the command. The condition is that nothing newer is known.
func admit[S, C any](ctx context.Context, r *Runner, d Decider[S, C], env Envelope, c C) (state S, cond event.Condition, err error) {
	query, err := r.resolve(ctx, d.Query(c))
	if err != nil {
		return state, cond, err
	}
	if d.Start != nil {
		state = d.Start(c)
	}
	state, at, err := fold(ctx, r, cacheKey{d.Name, queryText(query)}, query, r.Log.Mark().Size, state, d.Evolve)
	if err != nil {
		return state, cond, fault.Wrap("read the facts to "+d.Name, err)
	}
	who, err := r.Authority(ctx, env.Actor, at)
	if err != nil {
		return state, cond, err
	}
	if d.Allow == nil {
		err = authz.Denied(d.Name)
	} else {
		err = d.Allow(who, state, c)
	}
	return state, event.Condition{Query: query.Or(authz.Query(env.Actor)), After: at}, err
}

func (r *Runner) append(ctx context.Context, env Envelope, events []event.New, cond event.Condition) (Result, error) {
	drafts, err := r.Sealer.Seal(ctx, env.Actor, events, env.Context)
	if err != nil {
		return Result{}, err
	}
	to := r.To
	if to == nil {
		to = r.Log
	}
	appending, span := trace.Start(ctx, "append", trace.Attr{Key: "muniment.events", Value: len(events)})
	done, err := to.Append(appending, eventlog.Request{Actor: env.Actor, Command: env.Command, Digest: env.digest, Events: drafts, If: cond})
	if err != nil {
		span.End(fault.KindOf(err).String())
		return Result{}, err
	}
	span.End("")
	if done.Replayed {
		return r.result(ctx, done)
	}
	return Result{Appended: done, Stream: events[0].Stream, Events: len(events)}, nil
}

// result completes what is known of an earlier run. If that cannot be read the
// command was done all the same: nobody may be told that nothing happened.
func (r *Runner) result(ctx context.Context, done eventlog.Appended) (Result, error) {
	rec, err := r.Log.Record(ctx, done.First)
	if fault.Is(err, fault.Unavailable) {
		err = &fault.Error{Kind: fault.Unknown, Msg: "what this command did cannot be read at the moment; repeat it with the same command id", Err: err}
	}
	if err != nil {
		return Result{}, eventlog.Unread(err)
	}
	return Result{Appended: done, Stream: rec.Stream, Events: int(done.Last - done.First + 1)}, nil
}

// resolve turns facts into a query of terms.
func (r *Runner) resolve(ctx context.Context, facts []Facts) (event.Query, error) {
	q := make(event.Query, 0, len(facts))
	for _, f := range facts {
		it := event.Item{Types: f.Types}
		if !f.Stream.IsZero() {
			it.All = append(it.All, event.StreamTerm(f.Stream))
		}
		for _, t := range f.Tags {
			it.All = append(it.All, event.TagTerm(t))
		}
		if f.Blind != nil {
			t, err := r.Sealer.BlindTerm(ctx, f.Blind.Name, f.Blind.Value, f.Blind.Fold)
			if err != nil {
				return nil, err
			}
			it.All = append(it.All, t)
		}
		if len(it.All) == 0 && len(it.Types) == 0 {
			return nil, fault.New(fault.Internal, "a decision must not rest on every fact there is")
		}
		q = append(q, it)
	}
	return q, nil
}

// Authority folds what an actor may do, as of a position or a later one.
func (r *Runner) Authority(ctx context.Context, a event.Actor, at event.Position) (authz.Authority, error) {
	// The actor is in the key: those who are no users have no facts to differ by.
	s, _, err := fold(ctx, r, cacheKey{"authority", a.String()}, authz.Query(a), at, authz.For(a), authz.Evolve)
	return s, fault.Wrap("read the actor's authority", err)
}

// Read folds facts outside of a command, up to the mark, beginning with start.
func Read[S any](ctx context.Context, r *Runner, name string, facts []Facts, start S, evolve func(S, event.Fact) S) (S, error) {
	q, err := r.resolve(ctx, facts)
	if err != nil {
		return start, err
	}
	s, _, err := fold(ctx, r, cacheKey{name, queryText(q)}, q, r.Log.Mark().Size, start, evolve)
	return s, err
}

// Forget drops everything folded, because a subject was erased.
func (r *Runner) Forget() { r.cache.clear() }
