package sim

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/instance"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
	"muniment.dev/session"
)

// probe looks at something.
func (w *world) probe(client int, n *node) {
	sessions, codes := slices.SortedFunc(maps.Keys(w.model.sessions), compareIDs), slices.SortedFunc(maps.Keys(w.model.codes), compareIDs)
	switch k := w.rng.IntN(12); {
	case k < 3 && len(sessions) > 0:
		w.probeSession(client, n, w.model.sessions[pick(w.rng, sessions...)])
	case k < 6 && len(codes) > 0:
		w.probeToken(client, n, w.model.codes[pick(w.rng, codes...)])
	case k < 7:
		w.probeKeys(client, n)
	case k < 8 && w.plan.several() && len(w.erased()) > 0:
		w.probeErased(client, n, pick(w.rng, w.erased()...))
	case k < 11:
		w.scan(client, n)
	default:
		w.takeReceipt(n)
	}
}

// ask reads something at a node. What it found must be so behind some record
// that the node could read to.
func (w *world) ask(client int, n *node, name string, read func(context.Context) error, holds func(event.Position) bool) {
	var err error
	acked := w.acked
	w.start(&op{
		client: client, node: n, name: "looks at " + name,
		work: func(ctx context.Context) {
			if err = n.enter(ctx, acked); err == nil {
				err = read(ctx)
			}
		},
		end: func(o *op) {
			if err != nil {
				w.readFailed(o, err)
			} else if !anywhere(o.from, w.journal.size(), holds) {
				w.fail(fmt.Errorf("%s: what %s says, which reads to %d, was never so since", name, n.name, o.from))
			}
		},
	})
}

// probeSession: a session that has ended does not pass where the record of
// that can be read, and one that is good does.
func (w *world) probeSession(client int, n *node, s *sitting) {
	now := w.instant()
	var st session.State
	w.ask(client, n, "session "+short(s.Session), func(ctx context.Context) (err error) {
		st, err = decide.Read(ctx, n.runner, "session", session.Facts(s.Session, s.User, s.Organization), session.Start(s.User), session.Evolve)
		return err
	}, func(p event.Position) bool { return w.model.live(s.Session, p, now) == (st.Live(now) == nil) })
}

// probeToken is probeSession for the tokens of an authorization.
func (w *world) probeToken(client int, n *node, c *code) {
	now, on := w.instant(), w.restsOn(c)
	var st session.Authorization
	w.ask(client, n, "tokens of "+short(c.Authorization), func(ctx context.Context) (err error) {
		st, err = decide.Read(ctx, n.runner, "authorization", session.AuthorizationFacts(on), session.StartAuthorization(on), session.EvolveAuthorization)
		return err
	}, func(p event.Position) bool { return w.model.aliveAt(c, p, now) == (st.Live(now) == nil) })
}

// probeKeys: the keys by which a node verifies tokens, and with which it signs,
// are those that were published.
func (w *world) probeKeys(client int, n *node) {
	var st instance.State
	w.ask(client, n, "the signing keys", func(ctx context.Context) (err error) {
		st, err = decide.Read(ctx, n.runner, "instance", instance.Facts(w.instance.ID), instance.State{}, instance.Evolve)
		return err
	}, func(p event.Position) bool { return slices.Equal(names(st.Keys), published(w.model.keys.at(p))) })
}

// readFailed: reads fail when something is away, and not otherwise.
func (w *world) readFailed(o *op, err error) {
	if k := fault.KindOf(err); !o.lost && k == fault.Corrupt {
		w.fail(fmt.Errorf("c%d %s: %w", o.client, o.name, err))
	}
}

// probeErased: a node that answers has nothing in memory of a person whose
// erasure was said to be complete.
func (w *world) probeErased(client int, n *node, id event.ID) {
	var err error
	acked := w.acked
	complete := w.model.people[id].done > 0
	w.start(&op{
		client: client, node: n, name: "looks for " + short(id) + ", who was erased",
		work: func(ctx context.Context) { err = n.enter(ctx, acked) },
		end: func(o *op) {
			if err != nil {
				w.readFailed(o, err)
			} else if what := n.remembers(event.SubjectID{ID: id}); complete && what != "" {
				w.fail(fmt.Errorf("%s still has %s of %s, whose erasure is complete", n.name, what, short(id)))
			}
		},
	})
}

// remembers says what a node has in memory of an erased person; "" if nothing.
func (n *node) remembers(s event.SubjectID) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.world.journal.mu.Lock()
	defer n.world.journal.mu.Unlock()
	for key := range n.held {
		if n.world.journal.keys[key] == s {
			return "the key"
		}
	}
	if n.views.holds(s) {
		return "a row"
	}
	return ""
}

// scan reads what a term selects, forwards or backwards. It must be what is
// durable, all of it up to the mark, and nothing else.
func (w *world) scan(client int, n *node) {
	size := w.journal.size()
	q, name := event.Everything(), "everything"
	down := w.rng.IntN(3) == 0
	if k := w.rng.IntN(3); k > 0 {
		t := w.stableTerm(1 + event.Position(w.rng.IntN(int(size))))
		q, name = event.OfTerm(t), string(t[:1])
	}
	after := event.Position(0)
	if !down && w.rng.IntN(2) == 0 {
		after = event.Position(w.rng.IntN(int(size)))
	}
	var got []event.Position
	var err error
	acked := w.acked
	w.start(&op{
		client: client, node: n, name: fmt.Sprintf("reads %s after %d", name, after),
		work: func(ctx context.Context) {
			if err = n.enter(ctx, acked); err != nil {
				return
			}
			read := n.log.Read(ctx, q, after)
			if down {
				read = n.log.ReadBack(ctx, q, 0)
			}
			var r *event.Record
			for r, err = range read {
				if err != nil {
					return
				}
				if !bytes.Equal(r.Leaf, w.journal.leaf(r.Position)) {
					err = fault.New(fault.Corrupt, "record %d is not the one that became durable", r.Position)
					return
				}
				got = append(got, r.Position)
			}
		},
		end: func(o *op) {
			if down {
				slices.Reverse(got)
			}
			if err != nil {
				w.readFailed(o, err)
			} else if missing := w.journal.missing(q, after, o.from, got); missing != "" {
				w.fail(fmt.Errorf("c%d %s: %s", client, o.name, missing))
			}
		},
	})
}

// stableTerm is a term of a record that erasures do not remove.
func (w *world) stableTerm(p event.Position) event.Term {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(w.journal.terms[p-1]), func(t event.Term) bool { return strings.HasPrefix(string(t), "b:") })
	return list[w.rng.IntN(len(list))]
}

// missing says what is wrong with a list of the positions that q selects after
// a position, which must reach at least to upto; "" if nothing.
func (j *journal) missing(q event.Query, after, upto event.Position, got []event.Position) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var want []event.Position
	for i, terms := range j.terms {
		if p := event.Position(i + 1); p > after && slices.ContainsFunc(q, func(it event.Item) bool { return it.Matches("", terms) }) {
			want = append(want, p)
		}
	}
	if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
		return fmt.Sprintf("it got %v of %v", got, want)
	}
	if len(got) < len(want) && want[len(got)] <= upto {
		return fmt.Sprintf("record %d is missing", want[len(got)])
	}
	return ""
}

// receipt is one that was given out.
type receipt struct {
	at   event.Position
	cp   ledger.Checkpoint
	file []byte
}

// takeReceipt has a receipt made of a random record and keeps it.
func (w *world) takeReceipt(n *node) {
	cp := n.publisher.Latest()
	if cp.Size == 0 {
		return
	}
	at := 1 + event.Position(w.rng.IntN(int(cp.Size)))
	w.say("a receipt of %d under the checkpoint at %d", at, cp.Size)
	file, err := ledger.NewProver(w.disk.base, w.id).Receipt(context.Background(), at, cp)
	if err != nil {
		w.fail(fmt.Errorf("receipt of %d: %w", at, err))
		return
	}
	w.receipts = append(w.receipts, receipt{at, cp, file})
	w.checkReceipt(w.receipts[len(w.receipts)-1])
}

func (w *world) checkReceipt(r receipt) {
	rep, err := verify.Receipt(r.file, w.signer.VerifierKey())
	if err != nil || rep.Verdict != verify.Verified || rep.Position != uint64(r.at) || !bytes.Equal(rep.Leaf.Raw, w.journal.leaf(r.at)) {
		w.fail(fmt.Errorf("the receipt of %d does not verify: %v, %v", r.at, rep, err))
	}
}
