package apply

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
)

// coder writes random code that is valid: expressions of a type, whatever they
// compute.
type coder struct {
	*rand.Rand
	loops int64 // counters that are in use: locals 2 to 5
}

const i32, i64, f64 = 0x7f, 0x7e, 0x7c

func (c *coder) expr(t byte, depth int) []byte {
	if depth == 0 {
		return c.leaf(t)
	}
	sub := func(t byte) []byte { return c.expr(t, depth-1-c.IntN(2)*min(depth-1, 1)) }
	switch c.IntN(6) {
	case 0: // both ways of an if
		return join(sub(i32), []byte{opIf, t}, sub(t), []byte{opElse}, sub(t), []byte{opEnd})
	case 1: // out of a block, perhaps early
		return join([]byte{opBlock, t}, sub(t), sub(i32), []byte{opBrIf, 0, opEnd})
	case 2:
		return join(sub(t), sub(t), sub(i32), []byte{opSelect})
	case 3:
		return c.loop(t, sub)
	}
	return c.calculated(t, sub)
}

func (c *coder) leaf(t byte) []byte {
	switch t {
	case i32:
		return [][]byte{op(opLocalGet, int64(c.IntN(2))), op(opI32Const, c.Int64N(100)-50), {opMemorySize, 0}}[c.IntN(3)]
	case i64:
		return [][]byte{op(opI64Const, c.Int64()-c.Int64()), op(opLocalGet, 6)}[c.IntN(2)]
	}
	return join(c.leaf(i64), []byte{0xb9}) // converted
}

// loop goes round a few times.
func (c *coder) loop(t byte, sub func(byte) []byte) []byte {
	if c.loops == 4 {
		return c.leaf(t)
	}
	counter := 2 + c.loops
	c.loops++
	body := join(sub(t), []byte{opDrop})
	result := sub(t)
	c.loops--
	return join(op(opI32Const, 1+c.Int64N(4)), op(opLocalSet, counter), []byte{opLoop, t}, body, result,
		op(opLocalGet, counter), op(opI32Const, 1), []byte{opI32Sub}, op(opLocalTee, counter), []byte{opBrIf, 0, opEnd})
}

func (c *coder) calculated(t byte, sub func(byte) []byte) []byte {
	switch t {
	case i32:
		switch c.IntN(5) {
		case 0:
			return join(sub(i64), sub(i64), []byte{0x51}) // equal
		case 1:
			return join(sub(f64), sub(f64), []byte{0x63}) // less
		case 2:
			return join(sub(i32), op(opI32Const, 0xfff), []byte{0x71, opCall, 0}) // and
		case 3:
			return join(sub(i32), op(opI32Const, 0xfff), []byte{0x71, opLoadFirst, 0, 0})
		}
		return join(sub(i32), sub(i32), []byte{[]byte{0x6a, 0x6b, 0x6c, 0x6e, 0x71, 0x73, 0x77}[c.IntN(7)]})
	case i64:
		switch c.IntN(5) {
		case 0:
			return join(sub(f64), []byte{opPrefix, 6}) // truncated
		case 1:
			return join(sub(i32), []byte{opI64ExtendU})
		case 2: // moves bytes, and loads what is there then
			move := []byte{opPrefix, prefixMemoryCopy, 0, 0}
			return join(op(opI32Const, c.Int64N(2000)), op(opI32Const, c.Int64N(2000)), op(opI32Const, c.Int64N(100)), move, op(opI32Const, c.Int64N(2000)), []byte{0x29, 0, 0})
		case 3:
			return join(op(opI32Const, c.Int64N(2000)), sub(i64), []byte{0x37, 0, 0}, sub(i64), []byte{opLocalTee, 6})
		}
		return join(sub(i64), sub(i64), []byte{[]byte{0x7c, 0x7d, 0x7e, 0x7f, 0x83, 0x85, 0x89}[c.IntN(7)]})
	}
	return join(sub(f64), sub(f64), []byte{byte(0xa0 + c.IntN(6))})
}

// TestMeterChangesNothing: a metered module computes what the module computes.
func TestMeterChangesNothing(t *testing.T) {
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(wasmFeatures))
	defer runtime.Close(ctx)
	result := func(seed uint64, raw []byte) (uint64, bool) {
		instance, err := runtime.InstantiateWithConfig(ctx, raw, wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		defer instance.Close(ctx)
		r, err := instance.ExportedFunction("apply").Call(ctx, 7, 8)
		if err != nil {
			return 0, false
		}
		return r[0], true
	}
	trapped := 0
	for seed := range uint64(400) {
		c := &coder{Rand: rand.New(rand.NewPCG(seed, 13))}
		locals := []byte{0xff, 2, 4, i32, 1, i64}
		w := wat{data: "some data that is moved about", alloc: join(op(opLocalGet, 0), op(opI32Const, 3), []byte{0x6c}), apply: join(locals, c.expr(i64, 6))}
		m, err := readModule(w.bytes())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		metered, err := m.meter(1 << 40)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		want, ok := result(seed, w.bytes())
		got, okMetered := result(seed, metered)
		if got != want || ok != okMetered {
			t.Errorf("seed %d gives %d %v, metered %d %v", seed, want, ok, got, okMetered)
		}
		if !ok {
			trapped++
		}
	}
	if trapped > 200 {
		t.Errorf("%d of 400 trapped: the test hardly tests", trapped)
	}
}
