package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/decide"
	"muniment.dev/event"
	"muniment.dev/eventlog/memlog"
	"muniment.dev/grant"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
	"muniment.dev/session"
	"muniment.dev/user"
)

// check holds everything against everything when all has come to rest and one
// node still serves.
func (w *world) check() {
	for i, n := range w.nodes {
		list := []func(*node) error{w.checkFolds, w.checkTokens, w.checkInstance, w.checkErasures, w.checkViews, w.checkMemory, w.checkCustoms}
		if i == 0 {
			list = append(list, w.checkCommands, w.checkRecords, w.checkProofs)
		}
		for _, f := range list {
			if err := f(n); err != nil {
				w.fail(err)
				return
			}
		}
	}
}

// checkCommands: what was acknowledged is there once, where it was said to be;
// what was refused is not there; every repetition ended as one.
func (w *world) checkCommands(*node) error {
	for _, c := range w.commands {
		out, ok := w.journal.outcome(c.key())
		ok = ok && out.Digest == w.digest(c)
		switch {
		case c.running > 0 || c.uncertain:
			return fmt.Errorf("%s has no outcome", c)
		case c.done != nil && c.done.Events > 0 && (!ok || out.First != c.done.First || out.Last != c.done.Last):
			return fmt.Errorf("%s was acknowledged at %d, but is not there", c, c.done.First)
		case c.done != nil && c.done.Events == 0 && ok:
			return fmt.Errorf("%s had nothing to do, but stands at %d", c, out.First)
		case c.done == nil && ok:
			return fmt.Errorf("%s was refused (%w), but stands at %d", c, c.refused, out.First)
		}
	}
	return nil
}

// checkRecords: the store holds what became durable, byte for byte, and finds it.
func (w *world) checkRecords(*node) error {
	h, err := w.disk.base.Head(bg, w.id)
	if err != nil || h.Size != w.journal.size() || h.Root() != w.journal.root(h.Size) {
		return fmt.Errorf("the store has %d records, %d became durable, or their roots differ (%v)", h.Size, w.journal.size(), err)
	}
	for r, err := range w.disk.base.Records(bg, w.id, 1, h.Size) {
		if err != nil || !bytes.Equal(r.Leaf, w.journal.leaf(r.Position)) {
			return fmt.Errorf("record %d is not the one that became durable (%v)", r.Position, err)
		}
		if p, ok, err := w.disk.base.EventPosition(bg, w.id, r.ID); !ok || p != r.Position || err != nil {
			return fmt.Errorf("record %d is found by its id at %d (%v)", r.Position, p, err)
		}
	}
	return nil
}

// checkFolds: what the slices make of the log, with all that the node has
// cached, is what the model makes of it.
func (w *world) checkFolds(n *node) error {
	fresh := &decide.Runner{Log: n.log, Sealer: n.sealer}
	for _, r := range []*decide.Runner{n.runner, fresh} {
		for id, u := range w.model.people {
			s, err := decide.Read(bg, r, "user", user.Facts(id), user.Start(id), user.Evolve)
			email, there := s.Email.Get()
			if err != nil || s.Status != u.status.now() || there != (u.email.now() != "") || normal(email) != u.email.now() {
				return fmt.Errorf("user %s is %s (%v), the model says %s", short(id), s.Status, err, u.status.now())
			}
			held, err := decide.Read(bg, r, "roles", grant.HeldFacts(id), grant.Held{}, grant.EvolveHeld)
			for _, p := range w.places.projects {
				if want := w.model.counts(id, p); err != nil || !slices.Equal(held.Roles(p), want) {
					return fmt.Errorf("user %s has the roles %v (%v), the model says %v", short(id), held.Roles(p), err, want)
				}
			}
		}
		for id, x := range w.model.sessions {
			s, err := decide.Read(bg, r, "session", session.Facts(id, x.User, x.Organization), session.Start(x.User), session.Evolve)
			now := w.instant()
			if err != nil || (s.Live(now) == nil) != w.model.live(id, w.journal.size(), now) {
				return fmt.Errorf("session %s: good is %v (%v)", short(id), s.Live(now) == nil, err)
			}
		}
		for email := range w.model.owner {
			o, err := decide.Read(bg, r, "owner of an address", user.ByEmail(email), user.Owners{}, user.EvolveOwners)
			if id, _ := o.Of(email); err != nil || id != w.model.owner[email].now() {
				return fmt.Errorf("%s belongs to %s (%v), the model says %s", email, short(id), err, short(w.model.owner[email].now()))
			}
		}
	}
	return nil
}

// checkErasures: nothing of an erased person can be read or found, and their
// keys are gone.
func (w *world) checkErasures(n *node) error {
	for subject := range w.journal.erased {
		for r, err := range w.disk.base.Records(bg, w.id, 1, w.journal.size()) {
			if err != nil {
				return err
			}
			opened, err := n.sealer.Open(bg, r)
			if err != nil {
				return err
			}
			for i, b := range r.Blocks {
				if b.Subject == subject && (r.Ciphertexts[i] != nil || opened[i].State != event.Erased) {
					return fmt.Errorf("record %d still holds something of %s, who was erased (%s)", r.Position, short(subject.ID), opened[i].State)
				}
			}
			if slices.ContainsFunc(r.Blind, func(t event.BlindTag) bool { return t.Subject == subject }) {
				return fmt.Errorf("record %d still has a blind tag of %s, who was erased", r.Position, short(subject.ID))
			}
		}
		if err := w.notFound(subject); err != nil {
			return err
		}
		for key, owner := range w.journal.keys {
			if _, err := w.vault.Get(bg, w.id, key); owner == subject && err == nil {
				return fmt.Errorf("the key of %s, who was erased, is still there", short(subject.ID))
			}
		}
	}
	return nil
}

// notFound: the index has forgotten the blind tags of a subject.
func (w *world) notFound(subject event.SubjectID) error {
	for _, t := range w.journal.tags[subject] {
		for p, err := range w.disk.base.Postings(bg, w.id, t, 0, w.journal.size(), false) {
			if err != nil {
				return err
			}
			for r, err := range w.disk.base.Records(bg, w.id, p, p) {
				if err != nil || slices.Equal(r.Subjects(), []event.SubjectID{subject}) {
					return fmt.Errorf("record %d is still found by a blind tag of %s, who was erased (%v)", p, short(subject.ID), err)
				}
			}
		}
	}
	return nil
}

// checkMemory: every node has forgotten who was erased.
func (w *world) checkMemory(n *node) error {
	for subject := range w.journal.erased {
		if what := n.remembers(subject); what != "" {
			return fmt.Errorf("%s still has %s of %s, who was erased", n.name, what, short(subject.ID))
		}
	}
	return nil
}

// checkViews: tables that grew record by record are those made at once, and
// what the model says.
func (w *world) checkViews(n *node) error {
	w.compare(n)
	again, err := rebuilt(bg, w.disk.base, w.journal)
	if err != nil {
		return err
	}
	if diff := n.views.difference(again); diff != "" {
		return errors.New("the views differ from rebuilt ones: " + diff)
	}
	if diff := again.difference(n.views); diff != "" {
		return errors.New("the views differ from rebuilt ones: " + diff)
	}
	return nil
}

// checkProofs: each checkpoint continues the one before, by a proof that
// package tlog accepts; receipts that were given out still hold, and are made
// again the same.
func (w *world) checkProofs(*node) error {
	prover := ledger.NewProver(w.disk.base, w.id)
	var old ledger.Tree
	for c, err := range w.disk.base.Checkpoints(bg, w.id, 0) {
		if err != nil {
			return err
		}
		cp, err := ledger.ParseCheckpoint(c.Note)
		if err != nil || cp.Root != w.journal.root(cp.Size) {
			return fmt.Errorf("the checkpoint at %d has another root than the records (%v)", cp.Size, err)
		}
		if old.Size > 0 {
			proof, err := prover.Consistency(bg, old, cp.Tree)
			if err == nil {
				err = tlog.CheckTree(proof, int64(cp.Size), tlog.Hash(cp.Root), int64(old.Size), tlog.Hash(old.Root))
			}
			if err != nil {
				return fmt.Errorf("the checkpoint at %d does not continue that at %d: %w", cp.Size, old.Size, err)
			}
		}
		old = cp.Tree
	}
	for _, r := range w.receipts {
		w.checkReceipt(r)
		file, err := prover.Receipt(bg, r.at, r.cp)
		if err != nil || !bytes.Equal(file, r.file) {
			return fmt.Errorf("the receipt of %d is another now (%v)", r.at, err)
		}
	}
	return nil
}

// verify has the stand-alone verifier judge what is left when all nodes are
// gone.
func (w *world) verify() {
	st, err := w.reg.Load(bg)
	if err != nil {
		w.fail(err)
		return
	}
	rep, err := verify.Log(bg, source{w.disk.base, w.id}, verify.Options{
		Key: w.signer.VerifierKey(), Open: w.vault, Tags: true, Blind: true, EventIDs: true,
		Register: &verify.Head{LogID: verify.ID(w.id.ID), Size: uint64(st.Size), Root: tlog.Hash(st.Root)},
	})
	switch {
	case err != nil:
		w.fail(err)
	case rep.Verdict != verify.Verified || rep.Signed != rep.Size || rep.Pending > 0:
		w.fail(fmt.Errorf("%s, signed to %d, %d pending: %v", rep.Summary(), rep.Signed, rep.Pending, rep.Findings))
	}
}

// source is the disk as the verifier reads it.
type source struct {
	base *memlog.Store
	log  event.LogID
}

// Entries implements verify.Source.
func (s source) Entries(ctx context.Context, from uint64) iter.Seq2[verify.Entry, error] {
	return func(yield func(verify.Entry, error) bool) {
		h, err := s.base.Head(ctx, s.log)
		if err != nil {
			yield(verify.Entry{}, err)
			return
		}
		for r, err := range s.base.Records(ctx, s.log, event.Position(from), h.Size) {
			if err != nil {
				yield(verify.Entry{}, err)
				return
			}
			e := verify.Entry{Position: uint64(r.Position), Leaf: r.Leaf, Ciphertexts: r.Ciphertexts, Blind: []verify.BlindTag{}}
			for _, t := range r.Tags {
				if s.finds(event.TagTerm(t), r.Position) {
					e.Tags = append(e.Tags, string(t))
				}
			}
			for _, t := range r.Blind {
				if s.finds(event.BlindTerm(t.Name, t.Version, t.Value), r.Position) {
					e.Blind = append(e.Blind, verify.BlindTag{Subject: verify.ID(t.Subject.ID), Name: t.Name, N: uint32(t.N), Version: uint64(t.Version), Value: t.Value})
				}
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// finds reports whether the index finds a position by a term.
func (s source) finds(t event.Term, p event.Position) bool {
	for q, err := range s.base.Postings(bg, s.log, t, p-1, p, false) {
		return err == nil && q == p
	}
	return false
}

// Checkpoints implements verify.Source.
func (s source) Checkpoints(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for c, err := range s.base.Checkpoints(ctx, s.log, 0) {
			if !yield(c.Note, err) {
				return
			}
		}
	}
}
