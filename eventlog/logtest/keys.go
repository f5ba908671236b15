package logtest

import (
	"errors"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

var keyTests = []test{
	{"a subject has one live key", oneKey},
	{"a key has one subject", oneSubject},
	{"an erased subject is sealed for no more", afterErasure},
	{"an erasure names its subject's keys and no others", erasureNames},
	{"the rules of keys hold within a batch", keysTogether},
}

func sealed(s event.SubjectID, k event.KeyID) *event.Draft {
	return New(NewStream("user"), "user.noted", Sealed(s, k, "/note"))
}

func (f *fixture) refusedWith(r eventlog.Request, want *fault.Error) {
	f.Helper()
	if err := f.refused(r, want.Kind); !errors.Is(err, want) {
		f.Fatalf("got %v, want %v", err, want)
	}
}

func (f *fixture) assigned(s event.SubjectID, key event.KeyID, state event.State) {
	f.Helper()
	if k, got, err := f.log.AssignedKey(f.ctx, s); err != nil || k != key || got != state {
		f.Fatalf("the subject's key is %s, %s (%v); want %s, %s", k, got, err, key, state)
	}
}

func oneKey(f *fixture) {
	f.open(eventlog.Options{})
	s, k := NewSubject(), NewKey()
	f.append(Request(sealed(s, k), sealed(s, k)))
	f.append(Request(sealed(s, k)))
	f.refusedWith(Request(sealed(s, NewKey())), eventlog.ErrKeyTaken)
	f.reopen()
	f.refusedWith(Request(sealed(s, NewKey())), eventlog.ErrKeyTaken)
	other := NewSubject()
	f.refusedWith(Request(sealed(other, NewKey()), sealed(other, NewKey())), eventlog.ErrKeyTaken)
	f.assigned(other, event.KeyID{}, event.Absent) // a refused append leaves no key behind
	f.assigned(s, k, event.Present)
	f.append(Request(sealed(s, k)))
	f.check()
}

func oneSubject(f *fixture) {
	f.open(eventlog.Options{})
	s, k := NewSubject(), NewKey()
	f.append(Request(sealed(s, k)))
	f.refusedWith(Request(sealed(NewSubject(), k)), eventlog.ErrKeyTaken)
	f.reopen()
	f.refusedWith(Request(sealed(NewSubject(), k)), eventlog.ErrKeyTaken)
	fresh := NewKey()
	f.refusedWith(Request(sealed(NewSubject(), fresh), sealed(NewSubject(), fresh)), eventlog.ErrKeyTaken)
	f.check()
}

func afterErasure(f *fixture) {
	f.open(eventlog.Options{})
	s, k, spare := NewSubject(), NewKey(), NewKey()
	f.append(Request(sealed(s, k)))
	f.append(Request(Erasure(s, spare, k)))
	refuse := func() {
		f.Helper()
		f.refusedWith(Request(sealed(s, k)), eventlog.ErrSubjectErased)
		f.refusedWith(Request(sealed(s, NewKey())), eventlog.ErrSubjectErased)
		f.refusedWith(Request(sealed(NewSubject(), k)), eventlog.ErrKeyTaken)
		f.refusedWith(Request(sealed(NewSubject(), spare)), eventlog.ErrKeyTaken)
		f.assigned(s, k, event.Erased)
	}
	refuse()
	f.reopen()
	refuse()
	// Who never had a key can be erased too, and then gets none.
	never := NewSubject()
	f.append(Request(Erasure(never)))
	f.refusedWith(Request(sealed(never, NewKey())), eventlog.ErrSubjectErased)
	f.check()
}

func erasureNames(f *fixture) {
	f.open(eventlog.Options{})
	s, k, other, theirs := NewSubject(), NewKey(), NewSubject(), NewKey()
	f.append(Request(sealed(s, k), sealed(other, theirs)))
	f.refusedWith(Request(Erasure(s)), eventlog.ErrKeyUnnamed)
	f.refused(Request(Erasure(s, k, theirs)), fault.Invalid)
	f.append(Request(sealed(s, k), sealed(other, theirs)))
	f.append(Request(sealed(s, k), Erasure(s, k)))
	f.append(Request(sealed(other, theirs)))
	f.check()
}

func keysTogether(f *fixture) {
	s, k := NewSubject(), NewKey()
	_, errs := f.together(eventlog.Options{}, Request(sealed(s, NewKey())), Request(sealed(s, NewKey())), Request(sealed(NewSubject(), k)), Request(sealed(NewSubject(), k)))
	if (errs[0] == nil) == (errs[1] == nil) || (errs[2] == nil) == (errs[3] == nil) {
		f.Fatalf("one of each two must be stored: %v", errs)
	}
	for _, err := range errs {
		if err != nil && !errors.Is(err, eventlog.ErrKeyTaken) {
			f.Errorf("append: %v", err)
		}
	}
	// Erasure and use in one append: order decides.
	s, k = NewSubject(), NewKey()
	f.refusedWith(Request(sealed(s, k), Erasure(s, k), sealed(s, k)), eventlog.ErrSubjectErased)
	f.refusedWith(Request(sealed(s, k), Erasure(s)), eventlog.ErrKeyUnnamed)
	f.append(Request(sealed(s, k), Erasure(s, k)))
	f.refusedWith(Request(sealed(s, k)), eventlog.ErrSubjectErased)
	f.check()
}
