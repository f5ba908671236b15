package react

import (
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// wire is a Cursor as it is kept: deterministic CBOR, times in microseconds.
type wire struct {
	Version uint64     `cbor:"1,keyasint"`
	Log     []byte     `cbor:"2,keyasint"`
	Applied uint64     `cbor:"3,keyasint,omitempty"`
	Seen    uint64     `cbor:"4,keyasint,omitempty"`
	Repeats uint64     `cbor:"5,keyasint,omitempty"`
	Session []byte     `cbor:"6,keyasint,omitempty"`
	Sent    uint64     `cbor:"7,keyasint,omitempty"`
	Lanes   []wireLane `cbor:"8,keyasint,omitempty"`
}

type wireLane struct {
	Kind   string    `cbor:"1,keyasint"`
	ID     []byte    `cbor:"2,keyasint"`
	After  uint64    `cbor:"3,keyasint,omitempty"`
	Head   uint64    `cbor:"4,keyasint,omitempty"`
	More   bool      `cbor:"5,keyasint,omitempty"`
	Out    []wireOut `cbor:"6,keyasint,omitempty"`
	At     int64     `cbor:"7,keyasint,omitempty"`
	Tries  uint32    `cbor:"8,keyasint,omitempty"`
	Reason string    `cbor:"9,keyasint,omitempty"`
	Status uint16    `cbor:"10,keyasint,omitempty"`
	Dead   int64     `cbor:"11,keyasint,omitempty"`
}

type wireOut struct {
	Position uint64 `cbor:"1,keyasint"`
	Done     bool   `cbor:"2,keyasint,omitempty"`
	Sent     uint64 `cbor:"3,keyasint,omitempty"`
}

const version = 1

// Encode writes the cursor; the same cursor gives the same bytes.
func (c *Cursor) Encode() ([]byte, error) {
	w := wire{Version: version, Log: c.Log.ID[:], Applied: uint64(c.Applied), Seen: uint64(c.Seen), Repeats: uint64(c.Repeats), Sent: c.Sent}
	if !c.Session.IsZero() {
		w.Session = c.Session[:]
	}
	for _, l := range c.ordered() {
		x := wireLane{Kind: l.stream.Kind, ID: l.stream.ID[:], After: uint64(l.after), Head: uint64(l.head), More: l.more,
			At: micro(l.at), Tries: uint32(l.tries), Reason: string(l.why.Reason), Status: uint16(l.why.Status), Dead: micro(l.dead)}
		for _, o := range l.out {
			x.Out = append(x.Out, wireOut{uint64(o.position), o.done, o.sent})
		}
		w.Lanes = append(w.Lanes, x)
	}
	b, err := event.Deterministic.Marshal(w)
	return b, fault.Wrap("write a cursor", err)
}

// Shape is a text that differs between two cursors if more than how far they
// have looked does.
func (c *Cursor) Shape() (string, error) {
	same := *c
	same.Seen, same.Applied, same.Log = 0, 0, event.LogID{}
	b, err := same.Encode()
	return string(b), err
}

func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// Decode reads what Encode wrote, and refuses what it cannot have written.
func Decode(b []byte) (*Cursor, error) {
	var w wire
	if err := event.Strict.Unmarshal(b, &w); err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Msg: "a subscriber's cursor is malformed", Err: err}
	}
	session := len(w.Session) == 0 || len(w.Session) == 16 && event.ID(w.Session) != event.ID{}
	if w.Version != version || len(w.Log) != 16 || !session || max(w.Seen, w.Applied, w.Repeats) > 1<<62 {
		return nil, malformed("has a form that this version does not know")
	}
	c := Begin(event.LogID{ID: event.ID(w.Log)}, event.Position(w.Seen))
	c.Applied, c.Repeats, c.Sent = event.Position(w.Applied), event.Position(w.Repeats), w.Sent
	if len(w.Session) > 0 {
		c.Session = event.ID(w.Session)
	}
	for _, x := range w.Lanes {
		l, err := c.decodeLane(x)
		if err != nil {
			return nil, err
		}
		c.lanes[l.stream] = l
	}
	return c, nil
}

func malformed(what string) error {
	return fault.New(fault.Corrupt, "a subscriber's cursor %s", what)
}

func (c *Cursor) decodeLane(x wireLane) (*lane, error) {
	if len(x.ID) != 16 || x.Kind == "" {
		return nil, malformed("has a stream that is none")
	}
	l := &lane{stream: event.Stream{Kind: x.Kind, ID: event.ID(x.ID)}, after: event.Position(x.After), head: event.Position(x.Head), more: x.More,
		at: instant(x.At), tries: int(x.Tries), why: Failure{Reason(x.Reason), int(x.Status)}, dead: instant(x.Dead)}
	last := l.after
	for _, o := range x.Out {
		p := event.Position(o.Position)
		if p <= last || o.Sent > c.Sent {
			return nil, malformed("has positions out of order")
		}
		last = p
		l.out = append(l.out, out{p, o.Done, o.Sent})
	}
	_, twice := c.lanes[l.stream]
	switch {
	case twice:
		return nil, malformed("has a stream twice")
	case l.head > 0 && (l.head <= l.after || len(l.out) > 0 || l.head > c.Seen), last > c.Seen:
		return nil, malformed("has positions out of order")
	case !l.dead.IsZero() && l.head == 0, len(l.out) > 0 && l.out[0].done, len(l.out) == 0 && l.head == 0 && !l.more, len(l.out) == 0 && l.head == 0 && l.tries > 0:
		return nil, malformed("has a stream in a state that there is not")
	}
	return l, nil
}
