package eventlog

import (
	"context"
	"iter"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Store is what an engine provides. One store holds many logs; all methods are
// safe for concurrent use. Engines prove themselves with package logtest.
//
// A store does what it is told: it checks fencing in Commit and nothing else.
// Conditions, idempotency and keys are the sequencer's.
type Store interface {
	// Logs lists the logs that exist.
	Logs(ctx context.Context) ([]event.LogID, error)

	// Take makes holder the only one whose commits succeed, by durably
	// committing a new term, greater than the stored one and at least atLeast;
	// only then it reads and returns the head. A log that does not exist is
	// made, empty. When Take returns, all that Head.Size covers is durable.
	Take(ctx context.Context, log event.LogID, holder event.ID, atLeast uint64) (Head, error)

	// Commit stores a batch durably, all of it or nothing. It must check in
	// the same atomic step that the log's head is still b.Prev (term, holder,
	// size and last leaf), else fail with fault.Conflict. fault.Unknown means
	// that the batch may or may not be stored; any other error means that it
	// is not and never will be. The context's end must not interrupt it.
	Commit(ctx context.Context, b *Batch) error

	// Head returns the committed head; fault.NotFound without such a log.
	Head(ctx context.Context, log event.LogID) (Head, error)

	// Records yields the records from..to (inclusive) in order. A position in
	// the range that is not stored ends the sequence with fault.Corrupt.
	Records(ctx context.Context, log event.LogID, from, to event.Position) iter.Seq2[*event.Record, error]

	// Postings yields the positions p of records found by term, after < p <=
	// upto, ascending, or descending if down.
	Postings(ctx context.Context, log event.LogID, term event.Term, after, upto event.Position, down bool) iter.Seq2[event.Position, error]

	// Stream returns a stream's head; false if it has no record.
	Stream(ctx context.Context, log event.LogID, s event.Stream) (StreamHead, bool, error)

	// Subject returns the key that a subject uses or used last; false if never.
	Subject(ctx context.Context, log event.LogID, s event.SubjectID) (KeyUse, bool, error)

	// Key returns whose a key id is; false if it was never used.
	Key(ctx context.Context, log event.LogID, k event.KeyID) (KeyUse, bool, error)

	// Outcome returns what a command did; false if it is not known.
	Outcome(ctx context.Context, log event.LogID, actor event.Actor, command event.ID) (Outcome, bool, error)

	// EventPosition returns where an event stands; false if it is not stored.
	EventPosition(ctx context.Context, log event.LogID, id event.ID) (event.Position, bool, error)

	// Tile returns a full tile of 256 hashes (8,192 bytes); false if it is not full yet.
	Tile(ctx context.Context, log event.LogID, level int, index uint64) ([]byte, bool, error)

	// PutCheckpoint keeps a signed checkpoint by its size; Checkpoints yields
	// those kept, by ascending size, from the first of at least that size.
	PutCheckpoint(ctx context.Context, log event.LogID, size event.Position, note []byte) error
	Checkpoints(ctx context.Context, log event.LogID, from event.Position) iter.Seq2[Checkpoint, error]

	// Erase deletes the ciphertexts and blind tags of a subject so that their
	// bytes stand in none of the store's files when it returns. Repeating it is
	// harmless. progress, if not nil, is told how many records are done.
	Erase(ctx context.Context, log event.LogID, s event.SubjectID, progress func(done int)) error

	// Cursor and PutCursor keep the positions of durable subscribers by name;
	// a cursor that was never put is nil.
	Cursor(ctx context.Context, log event.LogID, name string) ([]byte, error)
	PutCursor(ctx context.Context, log event.LogID, name string, value []byte) error

	// SwapCursor puts value in place of was, in one atomic step; fault.Conflict,
	// and nothing is changed, if the cursor is another by now. nil stands for one
	// that was never put. Of several nodes that move the same cursor at once one
	// succeeds.
	SwapCursor(ctx context.Context, log event.LogID, name string, was, value []byte) error

	Close() error
}

// ErrCursorMoved says that a cursor is another than it was thought to be.
var ErrCursorMoved = fault.New(fault.Conflict, "the cursor was moved meanwhile; read it again")

// Many is what a Store may be besides: it finds many things in one query, where
// each question is a way to a database and back.
type Many interface {
	// FindEvents returns where those of the events stand that are stored.
	FindEvents(ctx context.Context, log event.LogID, ids []event.ID) (map[event.ID]event.Position, error)

	// FindStreams returns those of the streams that have a record: their heads, and
	// the leaves of their first records.
	FindStreams(ctx context.Context, log event.LogID, streams []event.Stream) (map[event.Stream]StreamEnds, error)
}

// StreamEnds are both ends of a stream.
type StreamEnds struct {
	Head  StreamHead
	First []byte // leaf
}

// Readiness is what a Store may be besides: it says why a commit would be
// refused at the moment (fault.Unavailable), for operators and balancers who ask
// before anybody appends. It is cheap.
type Readiness interface {
	Ready(ctx context.Context) error
}

// Head is the end of a log: who may append to it, how long it is, and what
// hashing on needs.
type Head struct {
	Term     uint64
	Holder   event.ID
	Size     event.Position // the last position; 0 if empty
	Last     event.Hash     // leaf hash of the last record; zero if none
	Time     time.Time      // of the last record
	Frontier []event.Hash   // roots of the perfect subtrees, widest first (RFC 6962 §2.1)
}

// StreamHead is the end of a stream.
type StreamHead struct {
	Version uint64
	Hash    event.Hash
}

// KeyUse says that a subject's sealed blocks use a key, or that it was erased.
type KeyUse struct {
	Subject event.SubjectID
	Key     event.KeyID
	Erased  bool
}

// Outcome is what a command did: the records first..last, for a request with
// that digest.
type Outcome struct {
	Actor       event.Actor
	Command     event.ID
	Digest      event.Hash
	First, Last event.Position
}

// Tile is 256 hashes of one level of the tree (C2SP tlog-tiles).
type Tile struct {
	Level int
	Index uint64
	Data  []byte // 8,192 bytes
}

// Checkpoint is a signed checkpoint as it was published.
type Checkpoint struct {
	Size event.Position
	Note []byte
}

// Batch is what one commit stores.
type Batch struct {
	Log      event.LogID
	Prev     Head // what the head must be
	Next     Head // what it becomes
	Records  []*event.Record
	Terms    [][]event.Term // parallel to Records: what each is found by
	Hashes   []event.Hash   // parallel to Records: their leaf hashes
	Tiles    []Tile
	Outcomes []Outcome
	Keys     []KeyUse // assigned or erased in this batch, in order
}
