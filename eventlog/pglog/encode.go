package pglog

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

// appendStatement is the whole append, for the segments that it writes to. Its
// parameters are the fence and, for each table, one array for each column.
func appendStatement(segments []int) string {
	var q strings.Builder
	q.WriteString(`WITH fence AS (UPDATE log_head SET size = $6, last = $7, time = $8, frontier = $9
		WHERE id = $1 AND term = $2 AND holder = $3 AND size = $4 AND last = $5 RETURNING log)`)
	n := 9
	for _, t := range tables(segments) {
		fmt.Fprintf(&q, ",\n%s AS (INSERT INTO %s (log", t.alias, t.name)
		var args []string
		for _, c := range t.columns {
			n++
			name, typ, _ := strings.Cut(c, " ")
			fmt.Fprintf(&q, ", %s", name)
			args = append(args, fmt.Sprintf("$%d::%s[]", n, typ))
		}
		fmt.Fprintf(&q, ") SELECT fence.log, u.* FROM fence, unnest(%s) u%s)", strings.Join(args, ", "), t.then)
	}
	q.WriteString("\nSELECT count(*) FROM fence")
	return q.String()
}

// table is one that an append inserts into.
type table struct {
	alias, name string
	columns     []string // name and type, in the order of the encoder's arrays
	then        string
}

func tables(segments []int) []table {
	all := []table{
		{"r", "record", []string{"position bigint", "version bigint", "id uuid", "stream uuid", "type uuid", "actor uuid", "leaf bytea"}, ""},
		{"p", "posting", []string{"position bigint", "term uuid"}, ""},
		{"b", "blind", []string{"position bigint", "term uuid"}, ""},
		{"o", "outcome", []string{"first bigint", "final bigint", "command uuid", "actor uuid", "kind text", "digest bytea"}, ""},
		{"s", "subject", []string{"subject uuid", "key uuid", "erased bool"}, " ON CONFLICT (log, subject) DO UPDATE SET key = excluded.key, erased = excluded.erased"},
		{"k", "key", []string{"key uuid", "subject uuid", "erased bool"}, " ON CONFLICT (log, key) DO UPDATE SET subject = excluded.subject, erased = excluded.erased"},
		{"t", "tile", []string{"level smallint", "index bigint", "data bytea"}, ""},
	}
	for _, n := range segments {
		name := fmt.Sprintf("sealed_%d", n)
		all = append(all, table{name, name, []string{"position bigint", "block smallint", "subject uuid", "ciphertext bytea", "blind bytea"}, ""})
	}
	return all
}

// prepared is the name of the append's statement on a connection.
func prepared(c *pgconn.PgConn, segments []int) (string, error) {
	name := fmt.Sprint("muniment_append_", segments[0], "_", len(segments))
	if _, ok := c.CustomData()[name]; ok {
		return name, nil
	}
	if _, err := c.Prepare(context.Background(), name, appendStatement(segments), nil); err != nil {
		return "", readFault("prepare the append", err) // nothing was sent to be stored
	}
	c.CustomData()[name] = true
	return name, nil
}

var binaryFormat = []int16{1}

// Object ids of the element types, which never change.
const (
	oidBool  = 16
	oidBytea = 17
	oidInt8  = 20
	oidInt2  = 21
	oidText  = 25
	oidUUID  = 2950
)

// array builds one array parameter in PostgreSQL's binary format: dimensions,
// flags, element type, then length and lower bound, then the elements with
// their lengths.
type array struct {
	buf  []byte
	n    uint32
	null bool
}

func (a *array) begin(oid uint32) {
	a.n, a.null = 0, false
	a.buf = append(a.buf[:0], make([]byte, 20)...)
	binary.BigEndian.PutUint32(a.buf[8:], oid)
}

func (a *array) end() []byte {
	if a.n == 0 {
		return a.buf[:12] // no dimension at all
	}
	binary.BigEndian.PutUint32(a.buf[0:], 1)
	if a.null {
		binary.BigEndian.PutUint32(a.buf[4:], 1)
	}
	binary.BigEndian.PutUint32(a.buf[12:], a.n)
	binary.BigEndian.PutUint32(a.buf[16:], 1)
	return a.buf
}

func (a *array) bytes(v []byte) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(v)))
	a.buf = append(a.buf, v...)
}

func (a *array) nothing() {
	a.n++
	a.null = true
	a.buf = append(a.buf, 0xff, 0xff, 0xff, 0xff)
}

func (a *array) int64(v uint64) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, 8)
	a.buf = binary.BigEndian.AppendUint64(a.buf, v)
}

func (a *array) int16(v int) {
	a.n++
	a.buf = append(a.buf, 0, 0, 0, 2, byte(v>>8), byte(v))
}

func (a *array) bool(v bool) {
	a.n++
	a.buf = append(a.buf, 0, 0, 0, 1, 0)
	if v {
		a.buf[len(a.buf)-1] = 1
	}
}

func (a *array) text(v string) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(v)))
	a.buf = append(a.buf, v...)
}

// encoder makes the parameters of an append. It keeps its buffers.
type encoder struct {
	params [][]byte
	fence  []byte
	arrays []array
	value  []byte
	digest digester
}

// fill makes the parameters, in the order of tables.
func (e *encoder) fill(b *eventlog.Batch, segments []int) {
	e.params = e.params[:0]
	e.fillFence(b)
	used := 0
	if need := 26 + 5*len(segments); len(e.arrays) < need {
		e.arrays = append(e.arrays, make([]array, need-len(e.arrays))...)
	}
	next := func(oids ...uint32) []array {
		as := e.arrays[used : used+len(oids)]
		for i, oid := range oids {
			as[i].begin(oid)
		}
		used += len(oids)
		return as
	}
	records, posting, blind := next(oidInt8, oidInt8, oidUUID, oidUUID, oidUUID, oidUUID, oidBytea), next(oidInt8, oidUUID), next(oidInt8, oidUUID)
	e.fillRecords(b, records, posting, blind)
	e.fillOutcomes(b, next(oidInt8, oidInt8, oidUUID, oidUUID, oidText, oidBytea))
	e.fillKeys(b, next(oidUUID, oidUUID, oidBool), next(oidUUID, oidUUID, oidBool))
	tiles := next(oidInt2, oidInt8, oidBytea)
	for _, t := range b.Tiles {
		tiles[0].int16(t.Level)
		tiles[1].int64(t.Index)
		tiles[2].bytes(t.Data)
	}
	for _, n := range segments {
		e.fillSealed(b, n, next(oidInt8, oidInt2, oidUUID, oidBytea, oidBytea))
	}
	for i := range used {
		e.params = append(e.params, e.arrays[i].end())
	}
}

// fillFence makes what the head must be and what it becomes.
func (e *encoder) fillFence(b *eventlog.Batch) {
	buf := e.fence[:0]
	add := func(v ...byte) {
		at := len(buf)
		buf = append(buf, v...)
		e.params = append(e.params, buf[at:len(buf):len(buf)])
	}
	if cap(buf) < 4096 {
		buf = make([]byte, 0, 4096) // so that what was cut off it stays
	}
	number := func(v uint64) { add(binary.BigEndian.AppendUint64(nil, v)...) }
	add(b.Log.ID[:]...)
	number(b.Prev.Term)
	add(b.Prev.Holder[:]...)
	number(uint64(b.Prev.Size))
	add(b.Prev.Last[:]...)
	number(uint64(b.Next.Size))
	add(b.Next.Last[:]...)
	number(uint64(micros(b.Next.Time)))
	var frontier []byte
	for _, f := range b.Next.Frontier {
		frontier = append(frontier, f[:]...)
	}
	e.params = append(e.params, append([]byte{}, frontier...))
	e.fence = buf
}

func (e *encoder) fillRecords(b *eventlog.Batch, records, posting, blind []array) {
	for i, r := range b.Records {
		p := uint64(r.Position)
		var stream, typ, actor [digestLen]byte
		for _, t := range b.Terms[i] {
			d := e.digest.of(t)
			switch t[0] {
			case 's':
				stream = d
			case 't':
				typ = d
			case 'a':
				actor = d
			case 'b':
				blind[0].int64(p)
				blind[1].bytes(d[:])
			default:
				posting[0].int64(p)
				posting[1].bytes(d[:])
			}
		}
		records[0].int64(p)
		records[1].int64(r.Version)
		records[2].bytes(r.ID[:])
		records[3].bytes(stream[:])
		records[4].bytes(typ[:])
		records[5].bytes(actor[:])
		records[6].bytes(r.Leaf)
	}
}

func (e *encoder) fillOutcomes(b *eventlog.Batch, out []array) {
	for _, o := range b.Outcomes {
		out[0].int64(uint64(o.First))
		out[1].int64(uint64(o.Last))
		out[2].bytes(o.Command[:])
		out[3].bytes(o.Actor.ID[:])
		out[4].text(o.Actor.Kind)
		out[5].bytes(o.Digest[:])
	}
}

// fillKeys makes what is last said of each subject and key: a statement may
// touch a row once only.
func (e *encoder) fillKeys(b *eventlog.Batch, subjects, keys []array) {
	if len(b.Keys) == 0 {
		return
	}
	bySubject, byKey := map[event.SubjectID]int{}, map[event.KeyID]int{}
	for i, u := range b.Keys {
		bySubject[u.Subject] = i
		byKey[u.Key] = i
	}
	for i, u := range b.Keys {
		if bySubject[u.Subject] == i {
			subjects[0].bytes(u.Subject.ID[:])
			subjects[1].bytes(u.Key.ID[:])
			subjects[2].bool(u.Erased)
		}
		if byKey[u.Key] == i && !u.Key.IsZero() {
			keys[0].bytes(u.Key.ID[:])
			keys[1].bytes(u.Subject.ID[:])
			keys[2].bool(u.Erased)
		}
	}
}

func (e *encoder) fillSealed(b *eventlog.Batch, segment int, out []array) {
	for _, r := range b.Records {
		if segmentOf(r.Position) != segment {
			continue
		}
		for i := range r.Blocks {
			if r.Ciphertexts[i] == nil {
				continue
			}
			out[0].int64(uint64(r.Position))
			out[1].int16(i)
			out[2].bytes(r.Blocks[i].Subject.ID[:])
			out[3].bytes(r.Ciphertexts[i])
			e.value = appendBlind(e.value[:0], r.Blocks[i].Subject, r.Blind)
			if len(e.value) == 0 {
				out[4].nothing()
			} else {
				out[4].bytes(e.value)
			}
		}
	}
}

// digestLen is how much of a term's SHA-256 stands for it: two terms of one
// digest would only cost a look at records that do not match.
const digestLen = 16

// digester makes digests of terms, with a memory for those that nearly every
// record has.
type digester struct {
	common map[event.Term][digestLen]byte
}

func (d *digester) of(t event.Term) [digestLen]byte {
	common := t[0] == 't' || t[0] == 'a' || t[0] == 'g'
	if sum, ok := d.common[t]; common && ok {
		return sum
	}
	sum := t.Digest()
	if common {
		if len(d.common) > 1024 {
			d.common = nil
		}
		if d.common == nil {
			d.common = map[event.Term][digestLen]byte{}
		}
		d.common[t] = sum
	}
	return sum
}

// micros is a time as it is stored; 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}
