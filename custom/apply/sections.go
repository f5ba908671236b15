package apply

// Types of values (WebAssembly Core Specification 2.0, §5.3.1, §5.3.3).
const (
	typeI32       = 0x7f
	typeF64       = 0x7c // those between are i64 and f32
	typeFuncref   = 0x70
	typeExternref = 0x6f
)

// readSection reads a section to its end, and keeps what metering needs.
func (m *module) readSection(s section) error {
	d := &wasmReader{b: s.content}
	read, ok := map[byte]func(*wasmReader){
		sectionType: m.readTypes, sectionFunction: m.readFunctions, sectionTable: m.readTables,
		sectionMemory: m.readMemories, sectionGlobal: m.readGlobals, sectionExport: m.readExports,
		sectionElement: m.readElements, sectionCode: m.readCode, sectionData: m.readData,
		sectionDataCount: func(d *wasmReader) { d.count(maxSegments) },
	}[s.id]
	switch {
	case s.id == sectionImport && string(s.content) != "\x00":
		return wrongModule("the module imports something; there is nothing but what it is given")
	case s.id == sectionImport:
		return nil
	case s.id == sectionStart:
		return wrongModule("the module has a start function; export it as _initialize, which is called first")
	case !ok:
		return wrongModule("the module has a section of an unknown kind, %d", s.id)
	}
	read(d)
	if len(d.b) > 0 {
		d.fail("a section that is longer than what is in it")
	}
	return d.err
}

func (m *module) readTypes(d *wasmReader) {
	for range d.count(maxFunctions) {
		if d.byte() != 0x60 {
			d.fail("a type that is no function's")
		}
		params := d.count(maxLocals)
		d.valueTypes(params)
		d.valueTypes(d.count(1)) // results
		m.params = append(m.params, params)
	}
}

func (m *module) readFunctions(d *wasmReader) {
	for range d.count(maxFunctions) {
		m.functions = append(m.functions, d.u32())
	}
}

func (m *module) readTables(d *wasmReader) {
	for range d.count(1) {
		d.refType()
		d.limits(maxElements)
	}
}

func (m *module) readMemories(d *wasmReader) {
	for range d.count(1) {
		d.limits(1 << 16)
	}
}

func (m *module) readGlobals(d *wasmReader) {
	m.globals = d.count(maxGlobals)
	for range m.globals {
		d.valueTypes(1)
		if d.byte() > 1 {
			d.fail("a global that is neither variable nor constant")
		}
		d.constant()
	}
}

func (m *module) readExports(d *wasmReader) {
	for range d.count(maxFunctions) {
		m.exports = append(m.exports, string(d.take(d.u32())))
		d.byte()
		d.u32()
	}
}

// readElements reads what the table begins with (§5.5.12). Of its eight forms,
// bit 0 says whether it is put into the table when it is asked for, or never;
// bit 1 whether there is a table's index, or the never; bit 2 whether there are
// expressions instead of functions' indices.
func (m *module) readElements(d *wasmReader) {
	for range d.count(maxSegments) {
		form := d.u32()
		if form > 7 {
			d.fail("elements of an unknown form")
		}
		if form&1 == 0 {
			if form&2 != 0 {
				d.u32()
			}
			d.constant()
		}
		switch {
		case form&3 != 0 && form&4 != 0:
			d.refType()
		case form&3 != 0:
			if d.byte() != 0 {
				d.fail("elements that are no functions")
			}
		}
		n := d.count(maxElements - m.elements)
		m.elements += n
		for range n {
			if form&4 != 0 {
				d.constant()
			} else {
				d.u32()
			}
		}
	}
}

func (m *module) readCode(d *wasmReader) {
	for range d.count(maxFunctions) {
		m.bodies = append(m.bodies, d.take(d.u32()))
	}
}

// readData reads what the memory begins with (§5.5.14).
func (m *module) readData(d *wasmReader) {
	for range d.count(maxSegments) {
		switch d.u32() {
		case 0:
			d.constant()
		case 1:
		case 2:
			d.u32()
			d.constant()
		default:
			d.fail("data of an unknown form")
		}
		d.take(d.u32())
	}
}

func (d *wasmReader) valueTypes(n uint32) {
	for _, t := range d.take(n) {
		if (t < typeF64 || t > typeI32) && t != typeFuncref && t != typeExternref {
			d.fail("a value of an unknown type")
		}
	}
}

func (d *wasmReader) refType() {
	if t := d.byte(); t != typeFuncref && t != typeExternref {
		d.fail("a table of what is no reference")
	}
}

// limits reads the bounds of a table or memory (§5.3.7).
func (d *wasmReader) limits(most uint32) {
	flags := d.byte()
	if d.u32() > most || flags > 1 {
		d.fail("a table or memory that is too large, or shared")
	}
	if flags == 1 {
		d.u32()
	}
}

// constant reads an expression of one instruction, from which something begins
// (§3.3.10).
func (d *wasmReader) constant() {
	switch d.byte() {
	case opI32Const:
		d.skipLEB(5)
	case opI64Const:
		d.skipLEB(10)
	case opF32Const:
		d.take(4)
	case opF64Const:
		d.take(8)
	case opGlobalGet, opRefFunc:
		d.u32()
	case opRefNull:
		d.refType()
	default:
		d.fail("a first value that is more than a constant")
	}
	if d.byte() != opEnd {
		d.fail("a first value that is more than a constant")
	}
}
