package apply

import (
	"bytes"
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// wat is a module as the tests write it. Its data stands at 1024; alloc gives
// 32768, if there is nothing else.
type wat struct {
	pages   int
	data    string
	globals []byte // each with its type and its first value
	table   bool   // of one function, the first
	alloc   []byte // code; (i32) → i32
	apply   []byte // code; (i32, i32) → i64
	more    []byte // code of a third function; () → ()
	init    bool   // the third is _initialize
	name    string // of apply
	extra   []byte // sections in front
}

// leb writes numbers as operands; op an operator with one.
func leb(n int64) []byte { return appendS64(nil, n) }

func op(code byte, n int64) []byte { return append([]byte{code}, leb(n)...) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func vector(entries ...[]byte) []byte {
	return append(appendU32(nil, uint32(len(entries))), join(entries...)...)
}

func sectionOf(id byte, content []byte) []byte {
	return append(appendU32([]byte{id}, uint32(len(content))), content...)
}

func textOf(s string) []byte { return append(appendU32(nil, uint32(len(s))), s...) }

func bodyOf(code []byte) []byte {
	body := code
	if len(code) == 0 || code[0] != 0xff { // 0xff: the locals are in the code
		body = append([]byte{0}, code...)
	} else {
		body = code[1:]
	}
	body = append(body, opEnd)
	return append(appendU32(nil, uint32(len(body))), body...)
}

func (w wat) bytes() []byte {
	if w.alloc == nil {
		w.alloc = op(opI32Const, 32768)
	}
	if w.name == "" {
		w.name = "apply"
	}
	if w.pages == 0 {
		w.pages = 2
	}
	m := append([]byte("\x00asm\x01\x00\x00\x00"), w.extra...)
	m = append(m, sectionOf(sectionType, vector([]byte{0x60, 1, 0x7f, 1, 0x7f}, []byte{0x60, 2, 0x7f, 0x7f, 1, 0x7e}, []byte{0x60, 0, 0}))...)
	m = append(m, sectionOf(sectionFunction, []byte{3, 0, 1, 2})...)
	if w.table {
		m = append(m, sectionOf(sectionTable, []byte{1, 0x70, 0, 1})...)
	}
	m = append(m, sectionOf(sectionMemory, append([]byte{1, 0}, appendU32(nil, uint32(w.pages))...))...)
	if w.globals != nil {
		m = append(m, sectionOf(sectionGlobal, vector(w.globals))...)
	}
	exports := [][]byte{append(textOf("memory"), 2, 0), append(textOf("alloc"), 0, 0), append(textOf(w.name), 0, 1)}
	if w.init {
		exports = append(exports, append(textOf("_initialize"), 0, 2))
	}
	m = append(m, sectionOf(sectionExport, vector(exports...))...)
	if w.table {
		m = append(m, sectionOf(sectionElement, []byte{1, 0, opI32Const, 0, opEnd, 1, 2})...)
	}
	m = append(m, sectionOf(sectionCode, vector(bodyOf(w.alloc), bodyOf(w.apply), bodyOf(w.more)))...)
	return append(m, sectionOf(sectionData, vector(append(append([]byte{0, opI32Const}, append(leb(1024), opEnd)...), textOf(w.data)...)))...)
}

// at is code that gives place << 32 | length.
func at(place, length int64) []byte { return op(opI64Const, place<<32|length) }

// answers is a module that always answers the same.
func answers(text string) wat { return wat{data: text, apply: at(1024, int64(len(text)))} }

// keepsState answers with the state that it is given: it looks for the name in
// the input, whose members are in order, and makes an object of what follows.
func keepsState() wat {
	return wat{apply: join(
		[]byte{opLoop, emptyBlock},
		op(opLocalGet, 0), op(opI32Const, 1), []byte{opI32Add}, op(opLocalSet, 0), // place++
		op(opLocalGet, 1), op(opI32Const, 1), []byte{opI32Sub}, op(opLocalSet, 1), // length--
		op(opLocalGet, 0), []byte{opLoadFirst, 0, 1}, // the four bytes after it
		op(opI32Const, 0x6174_7322), []byte{0x47}, // are not "sta
		[]byte{opBrIf, 0}, []byte{opEnd},
		op(opLocalGet, 0), op(opI32Const, '{'), []byte{0x3a, 0, 0}, // {
		op(opLocalGet, 0), []byte{opI64ExtendU}, op(opI64Const, 32), []byte{0x86},
		op(opLocalGet, 1), []byte{opI64ExtendU, 0x84},
	)}
}

// echo answers with what it is given.
func echo() wat {
	return wat{apply: join(op(opLocalGet, 0), []byte{opI64ExtendU}, op(opI64Const, 32), []byte{0x86}, op(opLocalGet, 1), []byte{opI64ExtendU, 0x84})}
}

func callModule(t testing.TB, w wat, state, ev string, limits Limits) (Output, error) {
	t.Helper()
	p, err := Compile(value(t, `{"wasm":"m"}`), Env{Modules: map[string][]byte{"m": w.bytes()}, Limits: limits})
	if err != nil {
		return Output{}, err
	}
	in := Input{State: object(t, state), Event: object(t, ev), Meta: meta}
	out, err := p.Apply(context.Background(), in)
	again, errAgain := p.Apply(context.Background(), in)
	if !reflect.DeepEqual(out, again) || (err == nil) != (errAgain == nil) {
		t.Errorf("%v %v, and again %v %v", out, err, again, errAgain)
	}
	return out, err
}

// TestModule: a module gets state, event and meta as JSON, and what it answers
// is the state, whatever it left in its memory the last time.
func TestModule(t *testing.T) {
	counter := answers(`{"state":{"n":0}}`)
	counter.apply = join(op(opI32Const, 1024+14), op(opI32Const, 1024+14), []byte{0x2d, 0, 0}, op(opI32Const, 1), []byte{opI32Add, 0x3a, 0, 0}, counter.apply)
	long := answers(`{"state":{}}`)
	long.alloc = join(op(opLocalGet, 0), op(opI32Const, 16), []byte{0x76}, op(opI32Const, 1), []byte{opI32Add, opMemoryGrow, 0, opDrop}, op(opI32Const, 32768))
	initialized := answers(`{"state":{"n":0}}`)
	initialized.init, initialized.more = true, join(op(opI32Const, 1024+14), op(opI32Const, '7'), []byte{0x3a, 0, 0})
	for name, c := range map[string]struct {
		module             wat
		state, event, want string
	}{
		"an answer":                   {answers(`{"state":{"a":[1,2.50,{"b":null}],"gone":null}}`), ``, `{}`, `{"a":[1,2.5,{"b":null}]}`},
		"the state as it was":         {keepsState(), `{"name":"Ada","n":1.25,"deep":[[[[[[[[[[1]]]]]]]]]]}`, `{"x":1}`, `{"name":"Ada","n":1.25,"deep":[[[[[[[[[[1]]]]]]]]]]}`},
		"nothing stays":               {counter, ``, `{}`, `{"n":1}`},
		"memory grows for the input":  {long, ``, `{"x":"` + strings.Repeat("a", 300_000) + `"}`, `{}`},
		"_initialize is called first": {initialized, ``, `{}`, `{"n":7}`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := callModule(t, c.module, c.state, c.event, Limits{})
			if err != nil || !reflect.DeepEqual(out.State, value(t, c.want)) {
				t.Errorf("gives %s %v, want %s", event.FormatJSON(out.State), err, c.want)
			}
		})
	}
	if out, err := callModule(t, answers(`{"deleted":true,"state":null}`), `{"a":1}`, `{}`, Limits{}); err != nil || !out.Deleted {
		t.Errorf("gives %v %v", out, err)
	}
}

// TestModuleUpcast: a module may bring an event up.
func TestModuleUpcast(t *testing.T) {
	w := echo()
	w.name = "up"
	env := Env{Modules: map[string][]byte{"m": w.bytes()}, EventFields: []string{"a"}}
	u, err := CompileUpcast(value(t, `{"wasm":"m","function":"up"}`), env)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := u.Up(context.Background(), object(t, `{"a":[1]}`)); err != nil || !reflect.DeepEqual(got, object(t, `{"a":[1]}`)) {
		t.Errorf("gives %v %v", got, err)
	}
	if _, err := u.Up(context.Background(), object(t, `{"b":1}`)); fault.KindOf(err) != fault.Refused {
		t.Error(err)
	}
}

// TestHostileModules: whatever a module does, it ends at the same place
// everywhere, and nothing but its own event is refused.
func TestHostileModules(t *testing.T) {
	endless := wat{apply: join([]byte{opLoop, emptyBlock, opBr, 0, opEnd}, at(0, 0))}
	recursive := wat{apply: join([]byte{opLocalGet, 0, opLocalGet, 1, opCall, 1})}
	indirect := wat{table: true, apply: join(op(opI32Const, 0), []byte{opCallIndirect, 2, 0}, at(0, 0)), more: join(op(opI32Const, 0), []byte{opCallIndirect, 2, 0})}
	fill := wat{pages: 64, apply: join([]byte{opLoop, emptyBlock}, op(opI32Const, 0), op(opI32Const, 1), op(opI32Const, 64<<16), []byte{opPrefix, prefixMemoryFill, 0, opBr, 0, opEnd}, at(0, 0))}
	move := wat{pages: 64, apply: join([]byte{opLoop, emptyBlock}, op(opI32Const, 0), op(opI32Const, 1), op(opI32Const, 63<<16), []byte{opPrefix, prefixMemoryCopy, 0, 0, opBr, 0, opEnd}, at(0, 0))}
	grow := answers(`{"state":{}}`) // takes what it gets, and then asks for all
	grow.apply = join([]byte{opLoop, emptyBlock}, op(opI32Const, 1), []byte{opMemoryGrow, 0}, op(opI32Const, -1), []byte{0x47, opBrIf, 0, opEnd}, grow.apply)
	traps := wat{apply: []byte{opUnreachable}}
	for name, c := range map[string]struct {
		module wat
		kind   fault.Kind
	}{
		"endless loop":                {endless, fault.Exhausted},
		"endless loop in alloc":       {wat{alloc: join([]byte{opLoop, emptyBlock, opBr, 0, opEnd}, op(opI32Const, 0)), apply: at(0, 0)}, fault.Exhausted},
		"endless recursion":           {recursive, fault.Exhausted},
		"endless indirect recursion":  {indirect, fault.Exhausted},
		"moving bytes for ever":       {move, fault.Exhausted},
		"filling memory for ever":     {fill, fault.Exhausted},
		"unreachable":                 {traps, fault.Refused},
		"division by zero":            {wat{apply: join(op(opI64Const, 1), op(opI64Const, 0), []byte{0x7f})}, fault.Refused},
		"load beyond memory":          {wat{apply: join(op(opI32Const, -8), []byte{0x29, 0, 0})}, fault.Refused},
		"alloc beyond memory":         {wat{alloc: op(opI32Const, -8), apply: at(0, 0)}, fault.Refused},
		"answer beyond memory":        {wat{apply: at(-1, 10)}, fault.Refused},
		"answer that ends beyond it":  {wat{apply: at(2<<16-1, 2)}, fault.Refused},
		"huge answer":                 {wat{apply: at(0, math.MaxUint32)}, fault.Exhausted},
		"empty answer":                {wat{apply: at(0, 0)}, fault.Refused},
		"answer that is no JSON":      {answers(`{"state":{}`), fault.Refused},
		"answer with more behind":     {answers(`{"state":{}} {}`), fault.Refused},
		"answer that is no object":    {answers(`[1]`), fault.Refused},
		"answer with unknown members": {answers(`{"state":{},"x":1}`), fault.Refused},
		"answer with two states":      {answers(`{"state":{},"state":{}}`), fault.Refused},
		"two fields of a name":        {answers(`{"state":{"a":1,"a":2}}`), fault.Refused},
		"two names within a field":    {answers(`{"state":{"a":{"b":1,"b":2}}}`), fault.Refused},
		"answer that is not UTF-8":    {answers("{\"state\":{\"a\":\"\xff\"}}"), fault.Refused},
		"half a surrogate":            {answers(`{"state":{"a":"\ud800"}}`), fault.Refused},
		"no state":                    {answers(`{}`), fault.Refused},
		"null for a state":            {answers(`{"state":null}`), fault.Refused},
		"a list for a state":          {answers(`{"state":[]}`), fault.Refused},
		"deleted, perhaps":            {answers(`{"deleted":1}`), fault.Refused},
		"too deep":                    {answers(`{"state":{"a":` + strings.Repeat("[", 13) + strings.Repeat("]", 13) + `}}`), fault.Refused},
		"too deep to be read":         {answers(`{"state":{"a":` + strings.Repeat("[", 20_000) + `}}`), fault.Refused},
		"a number of 100 digits":      {answers(`{"state":{"a":` + strings.Repeat("1", 100) + `}}`), fault.Refused},
		"a large number":              {answers(`{"state":{"a":1e999999999}}`), fault.Refused},
		"no room for the event":       {answers(`{"state":{}}`), fault.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			ev := `{}`
			if name == "no room for the event" {
				ev = `{"x":"` + strings.Repeat("a", 200_000) + `"}`
			}
			_, err := callModule(t, c.module, `{"s":1}`, ev, Limits{Fuel: 1_000_000})
			if fault.KindOf(err) != c.kind {
				t.Errorf("gives %v, want %v", err, c.kind)
			}
		})
	}
	if out, err := callModule(t, grow, ``, `{}`, Limits{}); err != nil || out.State == nil {
		t.Errorf("who asks for memory until there is none: %v", err)
	}
}

// TestModulesNotCompiled: what is more than a function of what it is given, or
// could cost more than can be counted, is refused before there is an event.
func TestModulesNotCompiled(t *testing.T) {
	good := answers(`{"state":{}}`)
	valid := good.bytes()
	with := func(change func(w *wat)) []byte {
		w := good
		change(&w)
		return w.bytes()
	}
	imports := sectionOf(sectionImport, vector(join(textOf("env"), textOf("now"), []byte{0, 0})))
	manyLocals := join([]byte{0xff, 1}, appendU32(nil, 50_000), []byte{0x7f}, good.apply)
	for name, raw := range map[string][]byte{
		"nothing":                           {},
		"text":                              []byte("(module)"),
		"cut off":                           valid[:len(valid)-3],
		"more behind":                       append(bytes.Clone(valid), 0),
		"a section twice":                   append(bytes.Clone(valid), sectionOf(sectionData, []byte{0})...),
		"an unknown section":                append(bytes.Clone(valid), sectionOf(13, []byte{0})...),
		"an import":                         with(func(w *wat) { w.extra = imports }),
		"a start function":                  append(bytes.Clone(valid), sectionOf(sectionStart, []byte{2})...),
		"a memory of 4 GiB":                 with(func(w *wat) { w.pages = 65536 }),
		"one page too many":                 with(func(w *wat) { w.pages = 65 }),
		"data beyond memory":                with(func(w *wat) { w.data = strings.Repeat("a", 3<<16) }),
		"no apply":                          with(func(w *wat) { w.name = "fold" }),
		"a name of ours":                    bytes.Replace(with(func(w *wat) { w.name = "muniment_fuel" }), []byte("muniment_fuel"), []byte(fuelExport), 1),
		"our fuel":                          with(func(w *wat) { w.apply = join(op(opI64Const, 1), []byte{opGlobalSet, 0}, good.apply) }),
		"our fuel by an index of two bytes": with(func(w *wat) { w.apply = join(op(opI64Const, 1), []byte{opGlobalSet, 0x80, 0}, good.apply) }),
		"our locals":                        with(func(w *wat) { w.apply = join([]byte{opLocalGet, 2, opDrop}, good.apply) }),
		"many locals":                       with(func(w *wat) { w.apply = manyLocals }),
		"vectors":                           with(func(w *wat) { w.apply = join([]byte{0xfd, 12}, make([]byte, 16), []byte{opDrop}, good.apply) }),
		"a tail call":                       with(func(w *wat) { w.apply = []byte{opLocalGet, 0, opLocalGet, 1, 0x12, 1} }),
		"atomics":                           with(func(w *wat) { w.apply = join([]byte{0xfe, 3, 0}, good.apply) }),
		"a table that grows": with(func(w *wat) {
			w.table = true
			w.apply = join([]byte{opRefNull, 0x70}, op(opI32Const, 1000), []byte{opPrefix, 15, 0, opDrop}, good.apply)
		}),
		"a type error":        with(func(w *wat) { w.apply = op(opI32Const, 1) }),
		"code after its end":  with(func(w *wat) { w.apply = join(good.apply, []byte{opEnd, opUnreachable}) }),
		"no end":              with(func(w *wat) { w.apply = join(good.apply, []byte{opBlock, emptyBlock}) }),
		"an unknown operator": with(func(w *wat) { w.apply = []byte{0xff, 0, 0xc5} }),
		"a call of nobody":    with(func(w *wat) { w.apply = join([]byte{opCall, 99}, good.apply) }),
		"too many functions":  append([]byte("\x00asm\x01\x00\x00\x00"), sectionOf(sectionFunction, appendU32(nil, math.MaxUint32))...),
		"too large":           append(bytes.Clone(valid), sectionOf(sectionCustom, make([]byte, 2<<20))...),
	} {
		_, err := Compile(value(t, `{"wasm":"m"}`), Env{Modules: map[string][]byte{"m": raw}})
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != "/x-apply/wasm" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for declaration, at := range map[string]string{
		`{"wasm":"m","function":1}`:       "/x-apply/function",
		`{"wasm":"m","function":"fold"}`:  "/x-apply/wasm",
		`{"wasm":"m","function":"alloc"}`: "/x-apply/wasm", // which is of another type
		`{"wasm":1}`:                      "/x-apply/wasm",
	} {
		_, err := Compile(value(t, declaration), Env{Modules: map[string][]byte{"m": valid}})
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != at {
			t.Errorf("%s: %v", declaration, err)
		}
	}
}

// TestFuel: fuel is counted, so there is one least amount that suffices, and it
// is the same everywhere.
func TestFuel(t *testing.T) {
	suffices := func(fuel uint64) bool {
		_, err := callModule(t, keepsState(), `{"name":"Ada"}`, `{"x":1}`, Limits{Fuel: fuel})
		if err != nil && fault.KindOf(err) != fault.Exhausted {
			t.Fatal(err)
		}
		return err == nil
	}
	low, high := uint64(1), uint64(100_000)
	for low < high {
		if middle := (low + high) / 2; suffices(middle) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if want := uint64(4920); low != want {
		t.Errorf("the least fuel is %d, want %d", low, want)
	}
}

// TestNotANumber: machines differ in the bits of what is no number; modules do
// not see that.
func TestNotANumber(t *testing.T) {
	zero64, zero32 := append([]byte{opF64Const}, make([]byte, 8)...), append([]byte{opF32Const}, make([]byte, 4)...)
	digit := func(sign []byte) wat { // writes the sign's bit into the answer
		w := answers(`{"state":{"sign":0}}`)
		w.apply = join(op(opI32Const, 1024+17), sign, op(opI32Const, '0'), []byte{opI32Add, 0x3a, 0, 0}, w.apply)
		return w
	}
	of64 := []byte{0xbd, opI64Const, 63, opI64ShrU, 0xa7} // reinterpret, shift, wrap
	of32 := []byte{0xbc, opI32Const, 31, 0x76}
	for name, sign := range map[string][]byte{
		"64 bits, divided":  join(zero64, zero64, []byte{0xa3}, of64),
		"64 bits, root":     join([]byte{opF64Const, 0, 0, 0, 0, 0, 0, 0xf0, 0xbf, 0x9f}, of64), // of -1
		"32 bits, divided":  join(zero32, zero32, []byte{0x95}, of32),
		"32 bits, demoted":  join(zero64, zero64, []byte{0xa3, 0x9a, 0xb6}, of32), // 0x9a: negated
		"64 bits, promoted": join(zero32, zero32, []byte{0x95, 0x8c, 0xbb}, of64),
	} {
		out, err := callModule(t, digit(sign), ``, `{}`, Limits{})
		if err != nil || out.State["sign"] != int64(0) {
			t.Errorf("%s: %v %v", name, out.State, err)
		}
	}
}

// TestModuleTime: a module that is stopped by the clock, not by what it did,
// leaves the outcome unknown.
func TestModuleTime(t *testing.T) {
	w := wat{apply: join([]byte{opLoop, emptyBlock, opBr, 0, opEnd}, at(0, 0))}
	p, err := Compile(value(t, `{"wasm":"m"}`), Env{Modules: map[string][]byte{"m": w.bytes()}, Limits: Limits{Fuel: math.MaxInt64, Time: 30 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(context.Background(), Input{}); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Apply(ctx, Input{}); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}
