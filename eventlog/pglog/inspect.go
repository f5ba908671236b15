package pglog

import (
	"context"
	"encoding/binary"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// Leaf returns the bytes stored as the leaf at a position, whatever they are;
// false if there are none. It is for verifying what Records cannot read.
func (s *Store) Leaf(ctx context.Context, log event.LogID, p event.Position) (leaf []byte, ok bool, err error) {
	ok, err = s.find(ctx, "a leaf", `SELECT leaf FROM record WHERE `+within("log")+` AND position = $2`, []any{id(log.ID), int64(p)}, &leaf)
	return leaf, ok, err
}

var errMalformed = fault.New(fault.Corrupt, "a stored value is malformed")

// Indexed calls yield with every posting of a log's index, for checking it
// against the records: the first 16 bytes of the term's SHA-256, and the
// position. It stops when yield returns false.
func (s *Store) Indexed(ctx context.Context, log event.LogID, yield func(term [digestLen]byte, p event.Position) bool) error {
	more := true
	for _, from := range []string{`term FROM posting`, `term FROM blind`, `stream FROM record`, `type FROM record`, `actor FROM record`} {
		if !more {
			return nil
		}
		err := s.list(ctx, `SELECT position, `+from+` WHERE `+within("log"), log, 2, func(v [][]byte) (bool, error) {
			if len(v[0]) != 8 || len(v[1]) != digestLen {
				return false, errMalformed
			}
			more = yield([digestLen]byte(v[1]), event.Position(binary.BigEndian.Uint64(v[0])))
			return more, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Events is Indexed for the ids of events.
func (s *Store) Events(ctx context.Context, log event.LogID, yield func(id event.ID, p event.Position) bool) error {
	return s.list(ctx, `SELECT position, id FROM record WHERE `+within("log"), log, 2, func(v [][]byte) (bool, error) {
		return yield(event.ID(v[1]), event.Position(binary.BigEndian.Uint64(v[0]))), nil
	})
}

// Streams is Indexed for the heads of streams.
func (s *Store) Streams(ctx context.Context, log event.LogID, yield func(event.Stream, eventlog.StreamHead) bool) error {
	const query = `SELECT DISTINCT ON (stream) version, stream, leaf FROM record WHERE log = (SELECT log FROM log_head WHERE id = $1) ORDER BY stream, version DESC`
	return s.list(ctx, query, log, 3, func(v [][]byte) (bool, error) {
		r, err := event.ParseLeaf(append([]byte{}, v[2]...))
		if err != nil {
			return false, err
		}
		if streamDigest(r.Stream) != [digestLen]byte(v[1]) {
			return false, fault.New(fault.Corrupt, "the record at position %d stands in the index of another stream", r.Position)
		}
		return yield(r.Stream, eventlog.StreamHead{Version: binary.BigEndian.Uint64(v[0]), Hash: r.Hash()}), nil
	})
}

// Subjects is Indexed for the keys that subjects use, and Keys for the subjects
// that keys belong to.
func (s *Store) Subjects(ctx context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error {
	return s.uses(ctx, "subject", log, yield)
}

// Keys lists whose each key is; see Subjects.
func (s *Store) Keys(ctx context.Context, log event.LogID, yield func(eventlog.KeyUse) bool) error {
	return s.uses(ctx, "key", log, yield)
}

func (s *Store) uses(ctx context.Context, table string, log event.LogID, yield func(eventlog.KeyUse) bool) error {
	return s.list(ctx, `SELECT subject, key, erased FROM `+table+` WHERE `+within("log"), log, 3, func(v [][]byte) (bool, error) {
		return yield(eventlog.KeyUse{Subject: event.SubjectID{ID: event.ID(v[0])}, Key: event.KeyID{ID: event.ID(v[1])}, Erased: v[2][0] == 1}), nil
	})
}

// list calls each with the rows of a query of n columns that are never null.
func (s *Store) list(ctx context.Context, query string, log event.LogID, n int, each func(v [][]byte) (more bool, err error)) error {
	const op = "list what the store keeps beside its records"
	rows, err := s.reads.Query(ctx, query, id(log.ID))
	if err != nil {
		return readFault(op, err)
	}
	defer rows.Close()
	for rows.Next() {
		v := rows.RawValues()
		if len(v) != n {
			return errMalformed
		}
		more, err := each(v)
		if err != nil {
			return fault.Wrap(op, err)
		}
		if !more {
			return nil
		}
	}
	return readFault(op, rows.Err())
}

// Outcomes implements eventlog.Lister.
func (s *Store) Outcomes(ctx context.Context, log event.LogID, yield func(eventlog.Outcome) bool) error {
	return s.list(ctx, `SELECT first, final, command, actor, kind, digest FROM outcome WHERE `+within("log"), log, 6, func(v [][]byte) (bool, error) {
		if len(v[5]) != len(event.Hash{}) {
			return false, errMalformed
		}
		at := func(b []byte) event.Position { return event.Position(binary.BigEndian.Uint64(b)) }
		return yield(eventlog.Outcome{Actor: event.Actor{Kind: string(v[4]), ID: event.ID(v[3])}, Command: event.ID(v[2]),
			Digest: event.Hash(v[5]), First: at(v[0]), Last: at(v[1])}), nil
	})
}

// Cursors implements eventlog.Lister.
func (s *Store) Cursors(ctx context.Context, log event.LogID, yield func(name string, value []byte) bool) error {
	return s.list(ctx, `SELECT name, value FROM cursor WHERE `+within("log"), log, 2, func(v [][]byte) (bool, error) {
		return yield(string(v[0]), append([]byte{}, v[1]...)), nil
	})
}
