package view

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// cursor is where a page ended: behind the row with that key, as it stood at
// that position. It holds no values but the key, so nothing personal travels
// in addresses; the row's place in the order is looked up in its history. The
// zero cursor is the beginning.
//
// As text: base64url without padding of version (1 byte), the query's order (8
// bytes), the position (varint) and the packed key. Only what print gives is
// accepted.
type cursor struct {
	query [8]byte
	at    event.Position
	key   string // packed
}

const cursorVersion = 1

// maxCursor bounds what is parsed, in bytes of text.
const maxCursor = 4096

var (
	errCursor = fault.Field("cursor", "this is no place in this list; start again from its first page")
	errGone   = fault.New(fault.Conflict, "the list has changed at this place; start again from its first page")
)

func (c cursor) print() string {
	b := append([]byte{cursorVersion}, c.query[:]...)
	b = binary.AppendUvarint(b, uint64(c.at))
	return base64.RawURLEncoding.EncodeToString(append(b, c.key...))
}

func parseCursor(text string) (cursor, error) {
	var c cursor
	if text == "" {
		return c, nil
	}
	if len(text) > maxCursor {
		return c, errCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 10 || b[0] != cursorVersion {
		return c, errCursor
	}
	copy(c.query[:], b[1:9])
	at, n := binary.Uvarint(b[9:])
	if n <= 0 || at == 0 || at > 1<<62 {
		return cursor{}, errCursor
	}
	c.at, c.key = event.Position(at), string(b[9+n:])
	if c.print() != text { // another way to write the same number, or line breaks
		return cursor{}, errCursor
	}
	return c, nil
}

// orderName tells apart the orders that cursors belong to.
func orderName(q *Query) [8]byte {
	text := strings.Join(append([]string{q.Table}, q.OrderBy...), "\x00")
	if q.Desc {
		text += "\x00\x00desc"
	}
	sum := sha256.Sum256([]byte(text))
	return [8]byte(sum[:8])
}

func (p *page) cursor(last Row) string {
	at := p.at
	if p.sel.at != 0 {
		at = p.sel.at
	}
	return cursor{query: p.query, at: at, key: string(pack(nil, p.t.keyOf(last.vals)))}.print()
}
