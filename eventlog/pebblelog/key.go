package pebblelog

import (
	"encoding/binary"

	"muniment.dev/event"
)

// Keys. Everything of a log stands under 'l' ‖ log id ‖ one of the letters
// below; its head under 'h' ‖ log id, and what is no part of its history, the
// cursors, under 'n' ‖ log id ‖ name. Integers are big-endian, so that they
// sort.
//
//	r  position                        leaf
//	r  position, uint16 block index    ciphertext and blind tags of that block
//	p  term digest (16), position      empty
//	s  stream id, kind                 version, hash
//	u  subject                         key, erased
//	k  key id                          subject, erased
//	o  command id, actor id, kind      request digest, first, last
//	e  event id                        position
//	t  level (1), index                256 hashes
//	c  size                            signed checkpoint
//
// A term is indexed by its digest: short keys of one length. Two terms of one
// digest would only cost a look at records that do not match. Blind tags, by
// which people are found, stand together, so that it is little that must be read
// to find one among many, and known without reading if there is none.
const (
	kindRecord     = 'r'
	kindPosting    = 'p'
	kindStream     = 's'
	kindSubject    = 'u'
	kindKey        = 'k'
	kindOutcome    = 'o'
	kindEvent      = 'e'
	kindTile       = 't'
	kindCheckpoint = 'c'

	spaceLog    = 'l'
	spaceHead   = 'h'
	spaceCursor = 'n'
)

const (
	recordKeyLen = 1 + 16 + 1 + 8
	blockKeyLen  = recordKeyLen + 2
	digestLen    = 16
	termKeyLen   = 1 + 16 + 1 + digestLen
)

// key builds keys in a buffer that it uses again: a key is valid until the
// next one is built.
type key struct{ buf []byte }

func (k *key) in(log event.LogID, kind byte) []byte {
	k.buf = append(k.buf[:0], spaceLog)
	k.buf = append(append(k.buf, log.ID[:]...), kind)
	return k.buf
}

func (k *key) done(b []byte) []byte { k.buf = b; return b }

func (k *key) head(log event.LogID) []byte {
	return k.done(append(append(k.buf[:0], spaceHead), log.ID[:]...))
}

func (k *key) cursor(log event.LogID, name string) []byte {
	return k.done(append(append(append(k.buf[:0], spaceCursor), log.ID[:]...), name...))
}

func (k *key) record(log event.LogID, p event.Position) []byte {
	return k.done(binary.BigEndian.AppendUint64(k.in(log, kindRecord), uint64(p)))
}

func (k *key) block(log event.LogID, p event.Position, i int) []byte {
	return k.done(binary.BigEndian.AppendUint16(k.record(log, p), uint16(i)))
}

func (k *key) posting(log event.LogID, term event.Term, p event.Position) []byte {
	return k.done(binary.BigEndian.AppendUint64(k.term(log, term), uint64(p)))
}

// term is what all postings of a term begin with.
func (k *key) term(log event.LogID, term event.Term) []byte {
	d := term.Digest()
	return k.done(append(k.in(log, kindPosting), d[:]...))
}

func (k *key) stream(log event.LogID, s event.Stream) []byte {
	return k.done(append(append(k.in(log, kindStream), s.ID[:]...), s.Kind...))
}

func (k *key) id(log event.LogID, kind byte, id event.ID) []byte {
	return k.done(append(k.in(log, kind), id[:]...))
}

func (k *key) outcome(log event.LogID, a event.Actor, command event.ID) []byte {
	b := append(k.in(log, kindOutcome), command[:]...)
	return k.done(append(append(b, a.ID[:]...), a.Kind...))
}

func (k *key) tile(log event.LogID, level int, index uint64) []byte {
	return k.done(binary.BigEndian.AppendUint64(append(k.in(log, kindTile), byte(level)), index))
}

func (k *key) checkpoint(log event.LogID, size event.Position) []byte {
	return k.done(binary.BigEndian.AppendUint64(k.in(log, kindCheckpoint), uint64(size)))
}

// successor returns the first key after all that begin with prefix, which must
// not be all 0xff; no key of ours is.
func successor(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
