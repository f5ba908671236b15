package verify

import (
	"bytes"
	"slices"
	"strings"
)

// Types whose payload is frozen, because the verifier acts on it.
const (
	typeErased    = "subject.erased"
	typeContinued = "log.continued"
)

// tagPath begins the path of a blind tag's commitment.
const tagPath = "#tag/"

// contextPath begins the path of a sealed item of context (an address, say),
// which belongs to no field of the event's schema.
const contextPath = "#context/"

// blocks reads key 16: at most one block per subject, sorted by subject.
func (l *Leaf) blocks(c *scanner) {
	for n := c.array(); n > 0 && c.err == nil; n-- {
		b := l.nextBlock()
		block(c, b)
		if i := len(l.Blocks) - 1; i > 0 && bytes.Compare(l.Blocks[i-1].Subject[:], b.Subject[:]) >= 0 {
			c.fail("block of subject %s is repeated or out of order", b.Subject)
		}
	}
}

// nextBlock appends a block and returns it, using an earlier one's memory if it can.
func (l *Leaf) nextBlock() *Block {
	if n := len(l.Blocks); n < cap(l.Blocks) {
		l.Blocks = l.Blocks[:n+1]
	} else {
		l.Blocks = append(l.Blocks, Block{})
	}
	b := &l.Blocks[len(l.Blocks)-1]
	*b = Block{Commitments: b.Commitments[:0]}
	return b
}

func block(c *scanner, b *Block) {
	if n := c.array(); n != 5 {
		c.fail("sealed block of %d elements", n)
	}
	c.fixed(b.Subject[:])
	c.fixed(b.Key[:])
	if alg := c.uint(1<<32 - 1); alg != algorithmGCM {
		c.fail("sealing algorithm %d, format version 1 knows 1", alg)
	}
	c.fixed(b.Digest[:])
	n := c.array()
	if n == 0 {
		c.fail("sealed block without commitments")
	}
	for ; n > 0 && c.err == nil; n-- {
		if k := c.array(); k != 2 {
			c.fail("commitment of %d elements", k)
		}
		var com Commitment
		com.Path = c.text()
		c.fixed(com.Sum[:])
		if !isPath(com.Path) {
			c.fail("path %q is neither an RFC 6901 pointer nor #context/name nor #tag/name/n", com.Path)
		}
		if i := len(b.Commitments); i > 0 && b.Commitments[i-1].Path >= com.Path {
			c.fail("path %q is repeated or out of order", com.Path)
		}
		b.Commitments = append(b.Commitments, com)
	}
}

// isPath reports whether s is the path of a field, an item of context or a blind tag.
func isPath(s string) bool {
	if tag, ok := strings.CutPrefix(s, tagPath); ok {
		name, n, _ := strings.Cut(tag, "/")
		return isName(name, 64) && isDecimal(n, 10)
	}
	return isFieldPath(s)
}

// isFieldPath reports whether s is the path of what a plaintext may hold: a
// field or an item of context.
func isFieldPath(s string) bool {
	if name, ok := strings.CutPrefix(s, contextPath); ok {
		return isName(name, 64)
	}
	return isPointer(s)
}

// isPointer reports whether s is a JSON pointer to something inside a document.
func isPointer(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	// RFC 6901 §3: a tilde stands only before 0 or 1.
	for i := range len(s) {
		if s[i] == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return false
		}
	}
	return true
}

// isDecimal reports whether s is a number without leading zeros, of at most max digits.
func isDecimal(s string, max int) bool {
	if s == "" || len(s) > max || s[0] == '0' && len(s) > 1 {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

// erasure reads the payload {1: subject, 2: [key ids]} of subject.erased.
func erasure(c *scanner) *Erasure {
	e := new(Erasure)
	if n := c.mapping(); n != 2 {
		c.fail("payload of %d entries, %s has 2", n, typeErased)
	}
	c.payloadKey(1)
	c.fixed(e.Subject[:])
	c.payloadKey(2)
	for n := c.array(); n > 0 && c.err == nil; n-- {
		var k ID
		c.fixed(k[:])
		e.Keys = append(e.Keys, k)
	}
	for i := 1; i < len(e.Keys); i++ {
		if bytes.Compare(e.Keys[i-1][:], e.Keys[i][:]) >= 0 {
			c.fail("key id %s is repeated or out of order", e.Keys[i])
		}
	}
	return e
}

// continued reads the payload {1: log id, ? 2: signed checkpoint} of log.continued.
func continued(c *scanner) *Continued {
	l := new(Continued)
	n := c.mapping()
	if n != 1 && n != 2 {
		c.fail("payload of %d entries, %s has 1 or 2", n, typeContinued)
	}
	c.payloadKey(1)
	c.fixed(l.LogID[:])
	if n == 1 || c.err != nil {
		return l
	}
	c.payloadKey(2)
	l.Checkpoint = c.text()
	cp, err := ParseCheckpoint([]byte(l.Checkpoint))
	if c.err == nil && (err != nil || cp.LogID != l.LogID) {
		c.fail("key 2 of %s is not a checkpoint of the log it names", typeContinued)
	}
	return l
}

// payloadKey reads an integer key of a frozen payload.
func (c *scanner) payloadKey(want uint64) {
	if k := c.uint(1<<32 - 1); c.err == nil && k != want {
		c.fail("payload key %d where %d belongs", k, want)
	}
}

// has reports whether the erasure lists the key.
func (e *Erasure) has(key ID) bool { return slices.Contains(e.Keys, key) }
