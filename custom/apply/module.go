package apply

import (
	"fmt"
	"slices"
)

// What a module's sections are called (WebAssembly Core Specification 2.0,
// §5.5.2).
const (
	sectionCustom = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
)

// Bounds of what a module declares. The engine makes room for as many as a
// module says that there are, before it looks, so nothing may reach it that was
// not counted.
const (
	maxFunctions    = 20_000
	maxGlobals      = 1_000
	maxSegments     = 10_000
	maxElements     = 20_000  // of all segments, and of the table
	maxLocals       = 2_000   // of one function, its parameters counted
	maxInstructions = 100_000 // of one function
)

// A module is a WebAssembly module, taken apart as far as it has to be changed.
type module struct {
	sections  []section
	params    []uint32 // of each type
	functions []uint32 // the type of each function
	globals   uint32
	exports   []string
	elements  uint32
	bodies    [][]byte
}

type section struct {
	id      byte
	content []byte
}

// A moduleError says what is wrong with a module, for whoever made it.
type moduleError string

func (e moduleError) Error() string { return string(e) }

func wrongModule(format string, args ...any) error { return moduleError(fmt.Sprintf(format, args...)) }

// readModule takes a module apart, all of it but the names that mean nothing.
// What makes a module more than a function of what it is given is refused:
// imports and a start function. Types are for the engine to validate.
func readModule(raw []byte) (*module, error) {
	d := &wasmReader{b: raw}
	if string(d.take(8)) != "\x00asm\x01\x00\x00\x00" {
		return nil, wrongModule("this is no WebAssembly module, version 1")
	}
	m := &module{}
	for len(d.b) > 0 && d.err == nil {
		s := section{id: d.byte()}
		s.content = d.take(d.u32())
		if s.id == sectionCustom || d.err != nil {
			continue // names and the like mean nothing here
		}
		if slices.ContainsFunc(m.sections, func(o section) bool { return o.id == s.id }) {
			return nil, wrongModule("the module has a section twice")
		}
		if err := m.readSection(s); err != nil {
			return nil, err
		}
		m.sections = append(m.sections, s)
	}
	if d.err != nil {
		return nil, d.err
	}
	if len(m.bodies) != len(m.functions) {
		return nil, wrongModule("the module declares %d functions and has %d", len(m.functions), len(m.bodies))
	}
	return m, nil
}

// wasmReader reads the binary format (§5). The first error stays.
type wasmReader struct {
	b   []byte
	err error
}

func (d *wasmReader) fail(what string) {
	if d.err == nil {
		d.err = wrongModule("the module is malformed, or more than is supported: it has %s", what)
	}
	d.b = nil
}

func (d *wasmReader) take(n uint32) []byte {
	if uint64(n) > uint64(len(d.b)) {
		d.fail("less than it says")
		return nil
	}
	taken := d.b[:n:n]
	d.b = d.b[n:]
	return taken
}

func (d *wasmReader) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// u32 reads an unsigned number (§5.2.2, LEB128).
func (d *wasmReader) u32() uint32 {
	var n uint64
	for shift := 0; shift < 35; shift += 7 {
		b := d.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if n > 1<<32-1 {
				break
			}
			return uint32(n)
		}
	}
	d.fail("a number that is too large")
	return 0
}

// skipLEB passes over a number of at most so many bytes.
func (d *wasmReader) skipLEB(most int) {
	for range most {
		if d.byte() < 0x80 {
			return
		}
	}
	d.fail("a number that is too large")
}

// count reads the length of a vector.
func (d *wasmReader) count(most uint32) uint32 {
	n := d.u32()
	if n > most {
		d.fail(fmt.Sprintf("%d of what may be %d at most", n, most))
		return 0
	}
	return n
}

// appendU32 and appendS64 write numbers as LEB128.
func appendU32(b []byte, n uint32) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func appendS64(b []byte, n int64) []byte {
	for n < -0x40 || n >= 0x40 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n)&0x7f)
}
