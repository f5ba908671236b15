package logtest

import (
	"muniment.dev/event"
	"muniment.dev/eventlog"
)

var eraseTests = []test{
	{"erasing takes ciphertexts and blind tags, nothing else", erase},
}

// Requirement P01: what was sealed for a subject goes; every proof stays.
func erase(f *fixture) {
	f.open(eventlog.Options{})
	gone, kept := NewSubject(), NewSubject()
	goneKey, keptKey, goneTag, shared := NewKey(), NewKey(), RandomHash(), RandomHash()
	for i := range 40 {
		parts := []Part{Tags("a:1")}
		if i%2 == 0 {
			parts = append(parts, Sealed(gone, goneKey, "/email"), Blind(gone, "email", goneTag), Blind(gone, "name", shared))
		}
		if i%3 == 0 {
			parts = append(parts, Sealed(kept, keptKey, "/email"), Blind(kept, "name", shared))
		}
		f.append(Request(New(NewStream("user"), "user.noted", parts...)))
	}
	f.append(Request(Erasure(gone, goneKey)))
	before := f.log.Mark()
	leaves := map[event.Position]string{}
	for r, err := range f.log.Read(f.ctx, event.Everything(), 0) {
		if err != nil {
			f.Fatal(err)
		}
		leaves[r.Position] = string(r.Leaf)
	}
	for range 2 { // it may be repeated
		told := 0
		if err := f.log.Erase(f.ctx, gone, func(done int) { told = done }); err != nil {
			f.Fatal(err)
		}
		if told != 20 {
			f.Fatalf("progress ended at %d records, want 20", told)
		}
		f.erased(gone, kept, leaves)
	}
	if f.log.Mark() != before {
		f.Fatalf("erasing moved the mark from %+v to %+v", before, f.log.Mark())
	}
	f.reopen()
	f.erased(gone, kept, leaves)
	f.equal(f.read(event.OfTerm(event.BlindTerm("email", 1, goneTag)), 0), nil)
	if n := len(f.read(event.OfTerm(event.BlindTerm("name", 1, shared)), 0)); n != 14 {
		f.Fatalf("the other's blind tag finds %d records, want 14", n)
	}
	if n := len(f.read(event.OfTerm(event.SubjectTerm(gone)), 0)); n != 20 {
		f.Fatalf("the subject's records: %d, want 20", n)
	}
	// What was claimed by a blind tag is free again.
	c := event.Condition{Query: event.OfTerm(event.BlindTerm("email", 1, goneTag))}
	f.append(If(c, New(NewStream("user"), "user.named", Sealed(kept, keptKey, "/email"), Blind(kept, "email", goneTag))))
	f.check()
}

func (f *fixture) erased(gone, kept event.SubjectID, leaves map[event.Position]string) {
	f.Helper()
	for r, err := range f.log.Read(f.ctx, event.Everything(), 0) {
		if err != nil {
			f.Fatal(err)
		}
		if string(r.Leaf) != leaves[r.Position] {
			f.Fatalf("the leaf at %d was changed", r.Position)
		}
		for i, b := range r.Blocks {
			if (r.Ciphertexts[i] == nil) != (b.Subject == gone) {
				f.Fatalf("block %d at %d: ciphertext %x", i, r.Position, r.Ciphertexts[i])
			}
		}
		for _, b := range r.Blind {
			if b.Subject == gone {
				f.Fatalf("position %d still has a blind tag", r.Position)
			}
		}
		has := false
		for _, b := range r.Blocks {
			has = has || b.Subject == kept
		}
		if has && len(r.Blind) != 1 {
			f.Fatalf("position %d lost a blind tag of another", r.Position)
		}
	}
}
