package apply

import (
	"slices"
)

// Opcodes that are looked at or written (WebAssembly Core Specification 2.0,
// §5.4).
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opLoadFirst    = 0x28
	opStoreLast    = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opPlainFirst   = 0x45 // from here on without immediates,
	opPlainLast    = 0xc4 // to here
	opI32GtU       = 0x4b
	opI64LtS       = 0x53
	opF32Eq        = 0x5b
	opF64Eq        = 0x61
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI64Sub       = 0x7d
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opPrefix       = 0xfc
	emptyBlock     = 0x40

	prefixMemoryInit = 8
	prefixDataDrop   = 9
	prefixMemoryCopy = 10
	prefixMemoryFill = 11
)

const (
	fuelExport  = "muniment:fuel"
	stackExport = "muniment:stack"

	// maxStack bounds what calls that have not returned hold, in words of 8
	// bytes; minFrame keeps their number below what the engine can take, which
	// must never be what stops a module.
	maxStack = 2 << 20
	minFrame = 2048

	// metering is about how many instructions are added where fuel is burned.
	metering = 10
)

// meter gives a module fuel: a global that each function and each turn of a loop
// takes its number of instructions from, and that traps when it is empty. So a
// module stops at the same instruction everywhere, however fast the machine.
// Calls count the room that they take, for the same reason; and results of
// floating-point arithmetic that are no number become one such, as machines
// differ in its bits (§4.3.3, "NaN propagation").
func (m *module) meter(fuel uint64) ([]byte, error) {
	if slices.Contains(m.exports, fuelExport) || slices.Contains(m.exports, stackExport) {
		return nil, wrongModule("the module exports a name that begins with muniment:")
	}
	code := appendU32(nil, uint32(len(m.bodies)))
	for i, body := range m.bodies {
		f := &function{globals: m.globals, fuel: m.globals, stack: m.globals + 1}
		t := m.functions[i]
		if t >= uint32(len(m.params)) {
			return nil, wrongModule("function %d has no type", i)
		}
		f.params = m.params[t]
		metered, err := f.meter(body)
		if err != nil {
			return nil, err
		}
		code = append(appendU32(code, uint32(len(metered))), metered...)
	}
	globals := []byte{0x7e, 1, opI64Const} // an i64 that changes
	globals = append(appendS64(globals, int64(fuel)), opEnd)
	globals = append(globals, typeI32, 1, opI32Const, 0, opEnd)
	exports := appendExport(nil, fuelExport, m.globals)
	exports = appendExport(exports, stackExport, m.globals+1)
	return m.write(map[byte][]byte{
		sectionGlobal: appendEntries(m.content(sectionGlobal), 2, globals),
		sectionExport: appendEntries(m.content(sectionExport), 2, exports),
		sectionCode:   code,
	}), nil
}

// write puts the module together again, without names and the like, and with
// the sections that are given in place of its own.
func (m *module) write(changed map[byte][]byte) []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	// §5.5.2: the order of the sections; the count of data segments stands
	// before the code.
	for _, id := range []byte{
		sectionType, sectionFunction, sectionTable, sectionMemory, sectionGlobal,
		sectionExport, sectionElement, sectionDataCount, sectionCode, sectionData,
	} {
		content, ok := changed[id]
		if !ok {
			content = m.content(id)
		}
		if content != nil {
			out = append(appendU32(append(out, id), uint32(len(content))), content...)
		}
	}
	return out
}

func (m *module) content(id byte) []byte {
	for _, s := range m.sections {
		if s.id == id {
			return s.content
		}
	}
	return nil
}

// appendEntries makes a vector longer; nil is an empty one.
func appendEntries(vector []byte, n uint32, entries []byte) []byte {
	if vector == nil {
		vector = []byte{0}
	}
	d := &wasmReader{b: vector}
	longer := appendU32(nil, d.u32()+n)
	return append(append(longer, d.b...), entries...)
}

func appendExport(b []byte, name string, global uint32) []byte {
	b = append(appendU32(b, uint32(len(name))), name...)
	return appendU32(append(b, 3), global)
}

// A function is one being metered.
type function struct {
	globals     uint32 // how many the module has itself
	fuel, stack uint32 // the globals that were added
	params      uint32
	locals      uint32 // with the parameters; those added come after them: an i32, an f32, an f64
	code        []instruction
	out         []byte
}

// An instruction stands where it stood, with what is known of it.
type instruction struct {
	op    byte
	sub   uint32 // after a prefix
	bytes []byte
	size  int64 // for loops: how many instructions there are to its end
}

func (f *function) meter(body []byte) ([]byte, error) {
	d := &wasmReader{b: body}
	groups := f.readLocals(d)
	f.read(d)
	if d.err != nil {
		return nil, d.err
	}
	f.out = appendEntries(groups, 3, []byte{1, 0x7f, 1, 0x7d, 1, 0x7c})
	frame := max(minFrame, int64(f.locals)+int64(len(f.code)))
	f.burn(int64(len(f.code)))
	for _, i := range f.code {
		f.write(i, frame)
	}
	return f.out, nil
}

// readLocals reads the groups of locals, and gives them as they are.
func (f *function) readLocals(d *wasmReader) []byte {
	before := d.b
	f.locals = f.params
	for range d.count(maxLocals) {
		f.locals += d.count(maxLocals)
		d.valueTypes(1)
		if f.locals > maxLocals {
			d.fail("a function of too many locals")
		}
	}
	return before[: len(before)-len(d.b) : len(before)-len(d.b)]
}

// read reads the instructions, and counts those of each loop.
func (f *function) read(d *wasmReader) {
	var open []int // blocks, by where they begin; -1: no loop
	for len(d.b) > 0 && d.err == nil {
		if len(f.code) == maxInstructions {
			d.fail("a function of too many instructions")
			return
		}
		before := d.b
		i := instruction{op: d.byte()}
		f.immediates(d, &i)
		i.bytes = before[:len(before)-len(d.b)]
		switch i.op {
		case opLoop:
			open = append(open, len(f.code))
		case opBlock, opIf:
			open = append(open, -1)
		case opEnd:
			if len(open) > 0 {
				if start := open[len(open)-1]; start >= 0 {
					f.code[start].size = int64(len(f.code) - start)
				}
				open = open[:len(open)-1]
			} else if len(d.b) > 0 {
				d.fail("code after a function's end")
			}
		}
		f.code = append(f.code, i)
	}
	if n := len(f.code); d.err == nil && (n == 0 || f.code[n-1].op != opEnd || len(open) > 0) {
		d.fail("a function without an end")
	}
}

// immediates passes over what belongs to an instruction. What is not known is
// refused: its length could not be.
func (f *function) immediates(d *wasmReader, i *instruction) {
	switch op := i.op; {
	case op == opBlock, op == opLoop, op == opIf:
		d.skipLEB(5) // §5.4.1: s33
	case op == opBr, op == opBrIf, op == opCall, op == opLocalGet, op == opLocalSet, op == opLocalTee, op == opTableGet, op == opTableSet, op == opRefFunc:
		d.u32()
	case op == opGlobalGet, op == opGlobalSet:
		if d.u32() >= f.globals {
			d.fail("a global that it does not declare")
		}
	case op == opBrTable:
		for range d.count(maxInstructions) {
			d.u32()
		}
		d.u32()
	case op == opCallIndirect:
		d.u32()
		d.u32()
	case op == opSelectTyped:
		d.valueTypes(d.count(1))
	case opLoadFirst <= op && op <= opStoreLast:
		d.u32()
		d.u32()
	case op == opMemorySize, op == opMemoryGrow:
		d.byte()
	case op == opRefNull:
		d.refType()
	case op == opI32Const:
		d.skipLEB(5)
	case op == opI64Const:
		d.skipLEB(10)
	case op == opF32Const:
		d.take(4)
	case op == opF64Const:
		d.take(8)
	case op == opPrefix:
		f.prefixed(d, i)
	case op == opUnreachable, op == 0x01, op == opElse, op == opEnd, op == opReturn, op == opDrop, op == opSelect, op == opRefIsNull:
	case opPlainFirst <= op && op <= opPlainLast:
	default:
		d.fail("an instruction that is not supported (vectors, threads, exceptions and tail calls are not)")
	}
}

func (f *function) prefixed(d *wasmReader, i *instruction) {
	i.sub = d.u32()
	switch {
	case i.sub < prefixMemoryInit: // conversions
	case i.sub == prefixMemoryInit:
		d.u32()
		d.byte()
	case i.sub == prefixDataDrop:
		d.u32()
	case i.sub == prefixMemoryCopy:
		d.take(2)
	case i.sub == prefixMemoryFill:
		d.byte()
	default:
		d.fail("an instruction on tables, which is not supported")
	}
}

// write writes an instruction, with what has to stand around it. All that is
// added leaves the operands as they are.
func (f *function) write(i instruction, frame int64) {
	switch {
	case i.op == opLoop:
		f.emit(i.bytes...)
		f.burn(i.size)
		return
	case i.op == opCall, i.op == opCallIndirect:
		f.enter(frame)
		f.emit(i.bytes...)
		f.leave(frame)
		return
	case i.op == opPrefix && (i.sub == prefixMemoryInit || i.sub == prefixMemoryCopy || i.sub == prefixMemoryFill):
		f.burnBytes()
	}
	f.emit(i.bytes...)
	switch {
	case isF32(i.op):
		f.number(f.locals+1, opF32Eq, []byte{opF32Const, 0, 0, 0xc0, 0x7f})
	case isF64(i.op):
		f.number(f.locals+2, opF64Eq, []byte{opF64Const, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f})
	}
}

// isF32 and isF64 tell whether an operator calculates (§4.3.3): abs, neg and
// copysign only move bits.
func isF32(op byte) bool { return 0x8d <= op && op <= 0x97 || op == 0xb6 }
func isF64(op byte) bool { return 0x9b <= op && op <= 0xa5 || op == 0xbb }

func (f *function) emit(b ...byte)              { f.out = append(f.out, b...) }
func (f *function) emitIndex(op byte, n uint32) { f.out = appendU32(append(f.out, op), n) }
func (f *function) emitNumber(op byte, n int64) { f.out = appendS64(append(f.out, op), n) }

// burn takes n from the fuel, and what counting costs itself, and traps below
// zero.
func (f *function) burn(n int64) {
	f.emitIndex(opGlobalGet, f.fuel)
	f.emitNumber(opI64Const, n+metering)
	f.subtract()
}

// burnBytes takes a sixteenth of the operand on top: how many bytes are moved.
func (f *function) burnBytes() {
	f.emitIndex(opLocalTee, f.locals)
	f.emitIndex(opGlobalGet, f.fuel)
	f.emitIndex(opLocalGet, f.locals)
	f.emit(opI64ExtendU)
	f.emitNumber(opI64Const, 4)
	f.emit(opI64ShrU)
	f.subtract()
}

func (f *function) subtract() {
	f.emit(opI64Sub)
	f.emitIndex(opGlobalSet, f.fuel)
	f.emitIndex(opGlobalGet, f.fuel)
	f.emitNumber(opI64Const, 0)
	f.emit(opI64LtS, opIf, emptyBlock, opUnreachable, opEnd)
}

// enter counts what a call leaves behind until leave, and traps above the limit.
func (f *function) enter(frame int64) {
	f.emitIndex(opGlobalGet, f.stack)
	f.emitNumber(opI32Const, frame)
	f.emit(opI32Add)
	f.emitIndex(opGlobalSet, f.stack)
	f.emitIndex(opGlobalGet, f.stack)
	f.emitNumber(opI32Const, maxStack)
	f.emit(opI32GtU, opIf, emptyBlock, opUnreachable, opEnd)
}

func (f *function) leave(frame int64) {
	f.emitIndex(opGlobalGet, f.stack)
	f.emitNumber(opI32Const, frame)
	f.emit(opI32Sub)
	f.emitIndex(opGlobalSet, f.stack)
}

// number makes the one NaN of any other on top.
func (f *function) number(local uint32, eq byte, nan []byte) {
	f.emitIndex(opLocalTee, local)
	f.emit(nan...)
	f.emitIndex(opLocalGet, local)
	f.emitIndex(opLocalGet, local)
	f.emit(eq, opSelect)
}
