package verify

import (
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
)

// Major types of CBOR, RFC 8949 §3.1.
const (
	majorUint  = 0
	majorNint  = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
	majorOther = 7
)

// tagDecimal marks a decimal fraction [exponent, mantissa], RFC 8949 §3.4.4.
const tagDecimal = 4

// maxDepth bounds nesting of arrays, maps and tags, the leaf's own map included.
const maxDepth = 16

var majorNames = [8]string{"unsigned integer", "negative integer", "byte string",
	"text", "array", "map", "tag", "simple value"}

// scanner reads one deterministic CBOR item after another (RFC 8949 §4.2.1).
// It accepts only what a deterministic encoder can produce, so that whatever it
// accepts has exactly one spelling, and nothing need be encoded again to prove it.
// The first error stays; later reads return zero values.
type scanner struct {
	s     string
	i     int
	depth int
	err   error
}

// fail records the first error, with the offset at which it was met.
func (c *scanner) fail(format string, args ...any) {
	if c.err == nil {
		c.err = &Error{Code: LeafMalformed, Msg: fmt.Sprintf("byte %d: ", c.i) + fmt.Sprintf(format, args...)}
	}
}

// head reads the initial byte and argument of an item.
// Indefinite lengths, reserved forms and arguments longer than needed are refused.
func (c *scanner) head() (major byte, arg uint64) {
	if c.err != nil {
		return majorOther, 0
	}
	if c.i >= len(c.s) {
		c.fail("the data ends where an item should begin")
		return majorOther, 0
	}
	b := c.s[c.i]
	major, info := b>>5, b&0x1f
	if info < 24 {
		c.i++
		return major, uint64(info)
	}
	if info > 27 {
		c.fail("indefinite or reserved length")
		return majorOther, 0
	}
	n := 1 << (info - 24)
	if len(c.s)-c.i-1 < n {
		c.fail("the data ends inside a length")
		return majorOther, 0
	}
	for _, x := range []byte(c.s[c.i+1 : c.i+1+n]) {
		arg = arg<<8 | uint64(x)
	}
	if major != majorOther && (n == 1 && arg < 24 || n > 1 && bits.Len64(arg) <= 4*n) {
		c.fail("not the shortest form")
		return majorOther, 0
	}
	c.i += 1 + n
	return major, arg
}

// expect reads a head that must have the given major type.
func (c *scanner) expect(want byte) uint64 {
	at := c.i
	major, arg := c.head()
	if c.err == nil && major != want {
		c.i = at
		c.fail("%s where %s belongs", majorNames[major], majorNames[want])
		return 0
	}
	return arg
}

// uint reads an unsigned integer of at most max.
func (c *scanner) uint(max uint64) uint64 {
	n := c.expect(majorUint)
	if n > max {
		c.fail("integer %d exceeds %d", n, max)
		return 0
	}
	return n
}

// int reads a signed integer within int64.
func (c *scanner) int() int64 {
	major, arg := c.head()
	if c.err != nil {
		return 0
	}
	if arg > math.MaxInt64 || major > majorNint {
		c.fail("not an integer within int64")
		return 0
	}
	if major == majorNint {
		return -1 - int64(arg)
	}
	return int64(arg)
}

// take returns the next n bytes.
func (c *scanner) take(n uint64) string {
	if c.err != nil {
		return ""
	}
	if n > uint64(len(c.s)-c.i) {
		c.fail("the data ends inside a string")
		return ""
	}
	s := c.s[c.i : c.i+int(n)]
	c.i += int(n)
	return s
}

// fixed reads a byte string into dst; it must fill it exactly.
func (c *scanner) fixed(dst []byte) {
	n := c.expect(majorBytes)
	if c.err == nil && n != uint64(len(dst)) {
		c.fail("byte string of %d bytes where %d belong", n, len(dst))
		return
	}
	copy(dst, c.take(n))
}

// text reads a UTF-8 string.
func (c *scanner) text() string {
	s := c.take(c.expect(majorText))
	if !utf8.ValidString(s) {
		c.fail("text is not UTF-8")
		return ""
	}
	return s
}

// array reads the head of an array. Elements take a byte each at least, so a
// length beyond the rest of the data is refused before anyone allocates for it.
func (c *scanner) array() int { return c.count(majorArray) }

// mapping reads the head of a map and returns its number of pairs.
func (c *scanner) mapping() int { return c.count(majorMap) }

func (c *scanner) count(major byte) int {
	n := c.expect(major)
	if n > uint64(len(c.s)-c.i) {
		c.fail("%d elements announced, the data is shorter", n)
		return 0
	}
	return int(n)
}

// end refuses trailing bytes.
func (c *scanner) end() {
	if c.err == nil && c.i != len(c.s) {
		c.fail("%d bytes after the end", len(c.s)-c.i)
	}
}

// textMap reads a map with text keys and calls each with every key and the
// exact bytes of its value.
func (c *scanner) textMap(each func(key, value string)) {
	c.enter()
	last := ""
	for i, n := 0, c.mapping(); i < n && c.err == nil; i++ {
		key := c.text()
		if i > 0 && !textKeyLess(last, key) {
			c.fail("map key %q is repeated or out of order", key)
		}
		last = key
		from := c.i
		c.value()
		if c.err == nil && each != nil {
			each(key, c.s[from:c.i])
		}
	}
	c.depth--
}

// textKeyLess orders text keys as their encodings are ordered (RFC 8949
// §4.2.1): the head carries the length, so the shorter text comes first.
func textKeyLess(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

func (c *scanner) enter() {
	if c.depth++; c.depth > maxDepth {
		c.fail("nested deeper than %d", maxDepth)
	}
}

// value reads any value that a payload may hold: integers within int64, byte
// strings, text, booleans, null, decimal fractions, arrays, and maps with text keys.
func (c *scanner) value() {
	if c.err != nil {
		return
	}
	if c.i >= len(c.s) {
		c.fail("the data ends where a value should begin")
		return
	}
	switch c.s[c.i] >> 5 {
	case majorUint, majorNint:
		c.int()
	case majorBytes:
		c.take(c.expect(majorBytes))
	case majorText:
		c.text()
	case majorArray:
		c.enter()
		for n := c.array(); n > 0 && c.err == nil; n-- {
			c.value()
		}
		c.depth--
	case majorMap:
		c.textMap(nil)
	case majorTag:
		c.enter()
		c.decimal()
		c.depth--
	default:
		if b := c.s[c.i]; b < 0xf4 || b > 0xf6 { // false, true, null
			c.fail("floating-point and other simple values are not allowed")
			return
		}
		c.i++
	}
}

// decimal reads a decimal fraction. Every number has one form: what is an
// integer within int64 is written as an integer, and a mantissa never ends in 0.
func (c *scanner) decimal() {
	if tag := c.expect(majorTag); c.err == nil && tag != tagDecimal {
		c.fail("tag %d is not allowed", tag)
	}
	if n := c.array(); c.err == nil && n != 2 {
		c.fail("decimal fraction of %d elements", n)
	}
	exp := c.int()
	major, arg := c.head()
	if c.err != nil {
		return
	}
	if major > majorNint {
		c.fail("the mantissa is not an integer")
		return
	}
	// The absolute value of a negative mantissa is arg + 1, which may need 65 bits.
	mod := arg % 10
	if major == majorNint {
		mod = (mod + 1) % 10
	}
	if mod == 0 {
		c.fail("the mantissa ends in 0")
		return
	}
	if exp >= 0 && withinInt64(major, arg, exp) {
		c.fail("a decimal fraction where an integer would do")
	}
}

// withinInt64 reports whether mantissa × 10^exp fits int64. arg is the CBOR
// argument: the mantissa itself, or −1 − mantissa for a negative one.
func withinInt64(major byte, arg uint64, exp int64) bool {
	limit := uint64(math.MaxInt64)
	if major == majorNint {
		if arg == math.MaxUint64 {
			return false
		}
		arg, limit = arg+1, limit+1
	}
	for ; exp > 0; exp-- {
		hi, lo := bits.Mul64(arg, 10)
		if hi != 0 || lo > limit {
			return false
		}
		arg = lo
	}
	return arg <= limit
}

// CheckValue reports what is wrong with the encoding of one value, as it may
// stand in a payload or a sealed field; nil if a reader must accept it.
func CheckValue(raw []byte) error {
	c := &scanner{s: string(raw), depth: 1}
	c.value()
	c.end()
	return c.err
}
