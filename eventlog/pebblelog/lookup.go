package pebblelog

import (
	"bytes"
	"context"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// lookups answers point reads of one log, most of which find nothing: is this
// event id, command id, key, stream new? The filter in memory answers most of
// that. For the rest, DB.Get does not ask the bloom filters
// of the lowest level, where nearly all keys are; an iterator can be told to.
// It costs more to make, so it is kept until the next commit.
type lookups struct {
	mu  sync.Mutex
	it  *pebble.Iterator
	key key
}

// get calls found with the value of a key, if there is one. The value is valid
// during the call only.
func (l *lookups) get(db *pebble.DB, exists *existence, k func(*key) []byte, found func([]byte) error) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	want := k(&l.key)
	if exists.without(want) {
		return false, nil
	}
	if l.it == nil {
		it, err := db.NewIter(&pebble.IterOptions{UseL6Filters: true})
		if err != nil {
			return false, err
		}
		l.it = it
	}
	if !l.it.SeekPrefixGE(want) || !bytes.Equal(l.it.Key(), want) {
		err := l.it.Error()
		if err != nil {
			l.close()
		} else if isFiltered(want) {
			exists.misses.Add(1)
		}
		return false, err
	}
	value, err := l.it.ValueAndErr()
	if err != nil {
		l.close()
		return false, err
	}
	return true, found(value)
}

// drop makes the next get see what was committed meanwhile, and lets go of the
// files that the iterator holds.
func (l *lookups) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close()
}

func (l *lookups) close() {
	if l.it != nil {
		_ = l.it.Close() // its errors were given to whoever looked
		l.it = nil
	}
}

// dropLookups lets go of all files that lookups hold.
func (s *Store) dropLookups() {
	s.mu.Lock()
	logs := make([]*logState, 0, len(s.logs))
	for _, l := range s.logs {
		logs = append(logs, l)
	}
	s.mu.Unlock()
	for _, l := range logs {
		l.lookups.drop()
	}
}

// find looks up one key of a log.
func (s *Store) find(log event.LogID, what string, k func(*key) []byte, found func([]byte) error) (bool, error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.users.leave()
	s.mu.Lock()
	l := s.logs[log]
	s.mu.Unlock()
	if l == nil { // nobody appends to it: nothing to keep an iterator for
		l = &logState{}
		defer l.lookups.drop()
	}
	ok, err := l.lookups.get(s.db, &l.exists, k, found)
	if l.exists.wants(s.opts.filterAfter) {
		go s.grow(log, l)
	}
	if err != nil {
		return false, readFault("look up "+what, err)
	}
	return ok, nil
}

// readFault says what a failed read means.
func readFault(op string, err error) error {
	f := &fault.Error{Kind: fault.Unavailable, Op: op, Msg: "the disk cannot be read; check it", Err: err}
	if fault.Is(err, fault.Corrupt) || pebble.IsCorruptionError(err) {
		f.Kind, f.Msg = fault.Corrupt, "the stored bytes are damaged; restore the log store's files from the mirror or a backup"
	}
	return f
}

// Head implements eventlog.Store.
func (s *Store) Head(_ context.Context, log event.LogID) (h eventlog.Head, err error) {
	ok, err := s.find(log, "the log's head", func(k *key) []byte { return k.head(log) },
		func(v []byte) (err error) { h, err = parseHead(v); return err })
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "there is no log %s", log)
	}
	return h, err
}

// Stream implements eventlog.Store.
func (s *Store) Stream(_ context.Context, log event.LogID, stream event.Stream) (h eventlog.StreamHead, ok bool, err error) {
	ok, err = s.find(log, "a stream", func(k *key) []byte { return k.stream(log, stream) },
		func(v []byte) (err error) { h, err = parseStream(v); return err })
	return h, ok, err
}

// Subject implements eventlog.Store.
func (s *Store) Subject(_ context.Context, log event.LogID, subject event.SubjectID) (u eventlog.KeyUse, ok bool, err error) {
	ok, err = s.find(log, "a subject's key", func(k *key) []byte { return k.id(log, kindSubject, subject.ID) },
		func(v []byte) (err error) {
			u.Subject = subject
			u.Key.ID, u.Erased, err = parseUse(v)
			return err
		})
	return u, ok, err
}

// Key implements eventlog.Store.
func (s *Store) Key(_ context.Context, log event.LogID, id event.KeyID) (u eventlog.KeyUse, ok bool, err error) {
	ok, err = s.find(log, "a key's subject", func(k *key) []byte { return k.id(log, kindKey, id.ID) },
		func(v []byte) (err error) {
			u.Key = id
			u.Subject.ID, u.Erased, err = parseUse(v)
			return err
		})
	return u, ok, err
}

// Outcome implements eventlog.Store.
func (s *Store) Outcome(_ context.Context, log event.LogID, actor event.Actor, command event.ID) (o eventlog.Outcome, ok bool, err error) {
	ok, err = s.find(log, "a command", func(k *key) []byte { return k.outcome(log, actor, command) },
		func(v []byte) (err error) { o, err = parseOutcome(v, actor, command); return err })
	return o, ok, err
}

// EventPosition implements eventlog.Store.
func (s *Store) EventPosition(_ context.Context, log event.LogID, id event.ID) (p event.Position, ok bool, err error) {
	ok, err = s.find(log, "an event id", func(k *key) []byte { return k.id(log, kindEvent, id) },
		func(v []byte) error {
			r := reader{b: v}
			p = event.Position(r.uint64())
			return r.end()
		})
	return p, ok, err
}

// Tile implements eventlog.Store.
func (s *Store) Tile(_ context.Context, log event.LogID, level int, index uint64) (data []byte, ok bool, err error) {
	ok, err = s.find(log, "a tile", func(k *key) []byte { return k.tile(log, level, index) },
		func(v []byte) error { data = bytes.Clone(v); return nil })
	return data, ok, err
}

// Cursor implements eventlog.Store.
func (s *Store) Cursor(_ context.Context, log event.LogID, name string) (value []byte, err error) {
	_, err = s.find(log, "a cursor", func(k *key) []byte { return k.cursor(log, name) },
		func(v []byte) error { value = bytes.Clone(v); return nil })
	return value, err
}
