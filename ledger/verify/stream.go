package verify

import (
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// streams keeps the head of every stream: about 100 bytes each, so that a log
// with many streams is verified in memory.
type streams struct {
	r     *Report
	kinds map[string]uint32
	heads map[streamKey]streamHead
}

// streamKey is a stream's name with its kind as a number and its id as bytes.
type streamKey struct {
	id   ID
	kind uint32
}

type streamHead struct {
	hash    tlog.Hash // leaf hash of its newest record
	version uint64
	pos     uint64
}

func newStreams(r *Report) *streams {
	return &streams{r, make(map[string]uint32), make(map[streamKey]streamHead)}
}

func (s *streams) count() uint64 { return uint64(len(s.heads)) }

// key returns the map key of a stream that ParseLeaf found well-formed.
func (s *streams) key(stream string) (k streamKey) {
	kind, id, _ := strings.Cut(stream, ":")
	n, ok := s.kinds[kind]
	if !ok {
		n = uint32(len(s.kinds))
		s.kinds[strings.Clone(kind)] = n
	}
	k.kind = n
	hex.Decode(k.id[:], []byte(id)) // cannot fail: isHexID
	return k
}

// add checks that a record continues its stream. suspect is the newest position
// known or feared to be damaged: what that record would explain is not reported again.
func (s *streams) add(l *Leaf, rec slot, suspect uint64) {
	key := s.key(l.Stream)
	head := s.heads[key]
	s.heads[key] = streamHead{rec.hash, l.StreamVersion, rec.pos}
	if l.StreamVersion == head.version+1 && l.StreamPrev == head.hash {
		return
	}
	if suspect != 0 && head.pos <= suspect && suspect < rec.pos {
		return
	}
	f := Finding{Code: StreamBroken, Position: rec.pos}
	if l.StreamVersion != head.version+1 {
		f.Msg = fmt.Sprintf("record %d is version %d of stream %s, after version %d", rec.pos, l.StreamVersion, l.Stream, head.version)
	} else {
		f.Msg = fmt.Sprintf("record %d does not name record %d, the one before it in stream %s", rec.pos, head.pos, l.Stream)
		f.Evidence = evidence("hash of the record before", head.hash.String(), "hash that it names", l.StreamPrev.String())
	}
	s.r.add(f)
}
