package node

import (
	"context"
	"strings"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// wanted is what a follower asks the holder: what was published behind a
// position.
type wanted struct {
	Log   event.LogID `cbor:"1,keyasint"`
	After uint64      `cbor:"2,keyasint,omitempty"`
}

// handed is an eventlog.Handed, as it travels. Without a size, nothing was
// published for a while.
type handed struct {
	Size    uint64     `cbor:"1,keyasint,omitempty"`
	Root    event.Hash `cbor:"2,keyasint"`
	Last    event.Hash `cbor:"3,keyasint"`
	Time    int64      `cbor:"4,keyasint,omitempty"` // microseconds
	Term    uint64     `cbor:"5,keyasint,omitempty"`
	Records []draft    `cbor:"6,keyasint,omitempty"`
	Fault   *wrong     `cbor:"7,keyasint,omitempty"`
}

func toHanded(h eventlog.Handed, err error) handed {
	if err != nil {
		return handed{Fault: toDone(eventlog.Appended{}, err).Fault}
	}
	m := h.Mark
	out := handed{Size: uint64(m.Size), Root: m.Root, Last: m.Last, Time: m.Time.UnixMicro(), Term: m.Term, Records: make([]draft, 0, len(h.Records))}
	for _, r := range h.Records {
		out.Records = append(out.Records, draft{Leaf: r.Leaf, Ciphertexts: r.Ciphertexts, Blind: toBlind(r.Blind)})
	}
	return out
}

// result is what the holder handed out. Whether the records are those of the
// log, the log finds out.
func (h *handed) result() (eventlog.Handed, error) {
	if h.Fault != nil {
		_, err := (&done{Fault: h.Fault}).result()
		return eventlog.Handed{}, err
	}
	out := eventlog.Handed{Mark: eventlog.Mark{Size: event.Position(h.Size), Root: h.Root, Last: h.Last, Time: time.UnixMicro(h.Time).UTC(), Term: h.Term}}
	for _, s := range h.Records {
		r, err := event.ParseLeaf(s.Leaf)
		if err != nil {
			return eventlog.Handed{}, err
		}
		if len(s.Ciphertexts) != len(r.Blocks) {
			return eventlog.Handed{}, fault.New(fault.Corrupt, "a record that another node hands out has another number of ciphertexts than of sealed blocks")
		}
		for i, c := range s.Ciphertexts {
			r.Ciphertexts[i] = some(c)
		}
		r.Blind = fromBlind(s.Blind)
		out.Records = append(out.Records, r)
	}
	return out, nil
}

// Hear gives what eventlog.Options.Hear takes. key is asked as for Forward.
func (c *Client) Hear(log event.LogID, key func() []byte) func(context.Context, eventlog.Held, event.Position) (eventlog.Handed, error) {
	return func(ctx context.Context, held eventlog.Held, after event.Position) (eventlog.Handed, error) {
		k := key()
		if len(k) == 0 || CheckAddress(held.Holder.Address) != nil {
			return eventlog.Handed{}, eventlog.ErrMoved
		}
		ctx, cancel := context.WithTimeout(ctx, handFor+3*time.Second)
		defer cancel()
		var h handed
		to := lineName{log, strings.TrimSuffix(held.Holder.Address, "/")}
		if err := c.post(ctx, to, k, [2]string{following, handing}, followPath, &wanted{log, uint64(after)}, &h); err != nil {
			return eventlog.Handed{}, err
		}
		return h.result()
	}
}
