package seal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// A stream of a key database is streamFormat, then rows, then rowEnd and the
// SHA-256 of all before it. A row is its kind and
//
//	rowEpoch      number (4 bytes), length (2), wrapped key
//	rowKey        key id (16), log id (16), epoch (4), length (2), wrapped key
//	rowDestroyed  key id (16), log id (16)
//
// with numbers big-endian. Epochs come first, destroyed keys last.
const (
	streamFormat = "muniment.dev/keys/v1\n"

	rowEpoch     = 'e'
	rowKey       = 'k'
	rowDestroyed = 'd'
	rowEnd       = '.'
)

// streamWriter makes a stream in memory.
type streamWriter struct{ b []byte }

func (s *streamWriter) put(r row) error {
	if len(s.b) == 0 {
		s.b = append(s.b, streamFormat...)
	}
	if len(r.wrapped) > 1<<16-1 {
		return fault.New(fault.Corrupt, "a wrapped key has %d bytes", len(r.wrapped))
	}
	s.b = append(s.b, r.kind)
	if r.kind != rowEpoch {
		s.b = append(append(s.b, r.key.ID[:]...), r.log.ID[:]...)
	}
	if r.kind != rowDestroyed {
		s.b = binary.BigEndian.AppendUint32(s.b, r.n)
		s.b = binary.BigEndian.AppendUint16(s.b, uint16(len(r.wrapped)))
		s.b = append(s.b, r.wrapped...)
	}
	return nil
}

// end returns the stream without the keys that were destroyed, and how many
// those are.
func (s *streamWriter) end(destroyed map[event.KeyID]bool) (stream []byte, dropped int, err error) {
	if len(s.b) == 0 {
		s.b = append(s.b, streamFormat...)
	}
	from, kept := s.b[len(streamFormat):], s.b[:len(streamFormat)]
	for len(from) > 0 {
		n := rowLen(from)
		if from[0] == rowKey && destroyed[event.KeyID{ID: event.ID(from[1 : 1+idLen])}] {
			dropped++
		} else {
			kept = append(kept, from[:n]...) // never ahead of what is read
		}
		from = from[n:]
	}
	clear(s.b[len(kept):])
	kept = append(kept, rowEnd)
	sum := sha256.Sum256(kept)
	return append(kept, sum[:]...), dropped, nil
}

// rowLen is the length of the whole row with which b begins.
func rowLen(b []byte) int {
	switch b[0] {
	case rowEpoch:
		return 7 + int(binary.BigEndian.Uint16(b[5:]))
	case rowKey:
		return 7 + 2*idLen + int(binary.BigEndian.Uint16(b[5+2*idLen:]))
	}
	return 1 + 2*idLen
}

var errStream = fault.New(fault.Corrupt, "the copy of the keys is damaged, or was cut short; take another")

// readStream reads a stream to its end and gives each row to put. Only when it
// returns no error was what it gave whole.
func readStream(r io.Reader, put func(row) error) error {
	p := parser{in: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	if format := p.take(len(streamFormat)); p.err == nil && !bytes.Equal(format, []byte(streamFormat)) {
		return fault.New(fault.Invalid, "this is no copy of keys that this version knows")
	}
	last := byte(rowEpoch)
	for p.err == nil {
		kind := p.take(1)
		if p.err != nil {
			break
		}
		if kind[0] == rowEnd {
			return p.finish()
		}
		r := p.row(kind[0])
		if p.err == nil && !follows(last, r.kind) {
			return errStream
		}
		if p.err == nil {
			if err := put(r); err != nil {
				return err
			}
		}
		last = r.kind
	}
	return p.err
}

// follows reports whether a row of a kind may stand behind one of another.
func follows(last, kind byte) bool {
	const order = "ekd"
	return bytes.IndexByte([]byte(order), kind) >= bytes.IndexByte([]byte(order), last)
}

// parser takes a stream apart; its first error sticks.
type parser struct {
	in  *bufio.Reader
	sum hash.Hash
	err error
}

func (p *parser) take(n int) []byte {
	if p.err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(p.in, b); err != nil {
		p.err = err
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			p.err = errStream
		}
		return nil
	}
	p.sum.Write(b)
	return b
}

// row reads what stands behind a row's kind.
func (p *parser) row(kind byte) row {
	r := row{kind: kind}
	switch kind {
	case rowEpoch:
	case rowKey, rowDestroyed:
		if ids := p.take(2 * idLen); p.err == nil {
			r.key.ID, r.log.ID = event.ID(ids[:idLen]), event.ID(ids[idLen:])
		}
	default:
		p.err = errStream
	}
	if kind == rowDestroyed || p.err != nil {
		return r
	}
	if head := p.take(6); p.err == nil {
		r.n = binary.BigEndian.Uint32(head)
		r.wrapped = p.take(int(binary.BigEndian.Uint16(head[4:])))
	}
	return r
}

// finish compares the sum, behind which nothing may stand.
func (p *parser) finish() error {
	want := p.sum.Sum(nil)
	if got := p.take(len(want)); p.err != nil || !bytes.Equal(got, want) {
		return errStream
	}
	if _, err := p.in.ReadByte(); !errors.Is(err, io.EOF) {
		return errStream
	}
	return nil
}
