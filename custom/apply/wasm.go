package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Only what moves and calculates: no vectors, threads, exceptions or tail calls,
// and no functions with several results.
const wasmFeatures = api.CoreFeatureMutableGlobal | api.CoreFeatureSignExtensionOps |
	api.CoreFeatureNonTrappingFloatToIntConversion | api.CoreFeatureBulkMemoryOperations | api.CoreFeatureReferenceTypes

// A guest is a module that is ready to be called. Each call has an instance of
// its own, so that nothing stays from one to the next.
type guest struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	function string
	limits   Limits
}

// newGuest meters and compiles a module, and tries whether it can be
// instantiated. It is interpreted, not compiled to machine code: what an
// interpreter written in Go does is the same on every machine, and no tenant's
// code is ever run by the processor itself.
func newGuest(at string, raw []byte, function string, l Limits) (g *guest, err error) {
	defer func() {
		if r := recover(); r != nil { // what strangers write must not end the server, whatever an engine makes of it
			err = &fault.Error{Kind: fault.Invalid, Field: at, Msg: "the module cannot be compiled", Err: fmt.Errorf("%v", r)}
		}
	}()
	if len(raw) > l.Module {
		return nil, invalid(at, "the module has %d bytes, the limit is %d", len(raw), l.Module)
	}
	m, err := readModule(raw)
	if err != nil {
		return nil, invalid(at, "%s", err.Error())
	}
	metered, err := m.meter(l.Fuel)
	if err != nil {
		return nil, invalid(at, "%s", err.Error())
	}
	ctx := context.Background()
	g = &guest{function: function, limits: l}
	g.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().
		WithCoreFeatures(wasmFeatures).WithMemoryLimitPages(l.Pages).
		WithCloseOnContextDone(true).WithDebugInfoEnabled(false))
	// The module as it was: it must be valid without what metering adds.
	original, err := g.runtime.CompileModule(ctx, m.write(nil))
	if err != nil {
		return nil, invalid(at, "the module is not valid, or needs more than %d pages of memory: %s", l.Pages, oneLine(err.Error()))
	}
	original.Close(ctx)
	if g.compiled, err = g.runtime.CompileModule(ctx, metered); err != nil {
		return nil, fault.Wrap("compile a metered module", err)
	}
	if err := g.checkExports(at); err != nil {
		return nil, err
	}
	instance, err := g.instantiate(ctx)
	if err != nil {
		return nil, invalid(at, "the module cannot be started: %s", fault.Public(err))
	}
	instance.Close(ctx)
	return g, nil
}

// checkExports wants the memory and the two functions that a call needs.
func (g *guest) checkExports(at string) error {
	i32, i64 := api.ValueTypeI32, api.ValueTypeI64
	if g.compiled.ExportedMemories()["memory"] == nil {
		return invalid(at, "the module does not export its memory as \"memory\"")
	}
	if !hasType(g.compiled.ExportedFunctions()["alloc"], []api.ValueType{i32}, i32) {
		return invalid(at, "the module does not export alloc(length i32) i32, which makes room for what it is given")
	}
	if !hasType(g.compiled.ExportedFunctions()[g.function], []api.ValueType{i32, i32}, i64) {
		return invalid(at, "the module does not export %s(place i32, length i32) i64, which gives place << 32 | length of its answer", g.function)
	}
	if f := g.compiled.ExportedFunctions()["_initialize"]; f != nil && len(f.ParamTypes())+len(f.ResultTypes()) > 0 {
		return invalid(at, "the module's _initialize takes or gives something")
	}
	return nil
}

func hasType(f api.FunctionDefinition, params []api.ValueType, result api.ValueType) bool {
	return f != nil && slices.Equal(f.ParamTypes(), params) && slices.Equal(f.ResultTypes(), []api.ValueType{result})
}

func (g *guest) instantiate(ctx context.Context) (api.Module, error) {
	instance, err := g.runtime.InstantiateModule(ctx, g.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, &fault.Error{Kind: fault.Refused, Msg: "its data does not fit into its memory, or its functions not into its table", Err: err}
	}
	return instance, nil
}

// call gives the module a JSON value and returns the members of the object that
// it answers with.
func (g *guest) call(ctx context.Context, in any) (map[string]json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, g.limits.Time)
	defer cancel()
	if ctx.Err() != nil {
		return nil, fault.New(fault.Unavailable, "there was not enough time for the module")
	}
	instance, err := g.instantiate(ctx)
	if err != nil {
		return nil, err
	}
	defer instance.Close(context.WithoutCancel(ctx))
	answer, err := g.exchange(ctx, instance, event.FormatJSON(in))
	if err != nil {
		return nil, g.trapped(ctx, instance, err)
	}
	return answer, nil
}

// exchange is one call: room is made for the input, it is written there, and
// the answer is read from where the module says that it stands.
func (g *guest) exchange(ctx context.Context, instance api.Module, input []byte) (map[string]json.RawMessage, error) {
	if f := instance.ExportedFunction("_initialize"); f != nil {
		if _, err := f.Call(ctx); err != nil {
			return nil, err
		}
	}
	place, err := instance.ExportedFunction("alloc").Call(ctx, uint64(len(input)))
	if err != nil {
		return nil, err
	}
	memory := instance.ExportedMemory("memory")
	if !memory.Write(uint32(place[0]), input) {
		return nil, fault.New(fault.Refused, "the module has no room for the event and its entity")
	}
	result, err := instance.ExportedFunction(g.function).Call(ctx, uint64(uint32(place[0])), uint64(len(input)))
	if err != nil {
		return nil, err
	}
	where, length := uint32(result[0]>>32), uint32(result[0])
	if int64(length) > int64(g.limits.Output) {
		return nil, fault.New(fault.Exhausted, "the module's answer is longer than %d bytes", g.limits.Output)
	}
	answer, ok := memory.Read(where, length)
	if !ok {
		return nil, fault.New(fault.Refused, "the module's answer does not lie in its memory")
	}
	return membersOf(bytes.Clone(answer))
}

// trapped says why a module stopped. What it counted says so first: an engine
// that ran out of time where fuel had ended would not change the outcome.
func (g *guest) trapped(ctx context.Context, instance api.Module, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	if int64(instance.ExportedGlobal(fuelExport).Get()) < 0 {
		return fault.New(fault.Exhausted, "the module took more than its %d instructions", g.limits.Fuel)
	}
	if uint32(instance.ExportedGlobal(stackExport).Get()) > maxStack {
		return fault.New(fault.Exhausted, "the module's calls nest too deep")
	}
	if ctx.Err() != nil {
		return fault.New(fault.Unavailable, "there was not enough time for the module")
	}
	return &fault.Error{Kind: fault.Refused, Msg: "the module trapped", Err: err}
}

// membersOf reads the outer object of an answer, strictly.
func membersOf(raw []byte) (map[string]json.RawMessage, error) {
	bad := fault.New(fault.Refused, "what the module answers is not the JSON that it must be")
	if !utf8.Valid(raw) {
		return nil, bad
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, bad
	}
	m := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if _, twice := m[name]; err != nil || !ok || twice {
			return nil, bad
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, bad
		}
		m[name] = v
	}
	if _, err := d.Token(); err != nil || len(bytes.TrimSpace(raw[d.InputOffset():])) > 0 {
		return nil, bad
	}
	return m, nil
}

// fieldsOf reads an object of fields. Each is a value of its own, and may nest
// as deep as any.
func fieldsOf(raw json.RawMessage) (map[string]any, error) {
	m, err := membersOf(raw)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]any, len(m))
	for name, v := range m {
		if fields[name], err = event.ParseJSON(v); err != nil {
			return nil, &fault.Error{Kind: fault.Refused, Msg: "what the module answers holds a value that cannot be recorded", Err: err}
		}
	}
	return fields, nil
}

// wasmStep lets a module compute the state.
type wasmStep struct{ *guest }

func (c *compiler) wasm(at string, raw any) (action, error) {
	m, _ := raw.(map[string]any)
	g, err := c.guest(at, m, "apply")
	if err != nil {
		return nil, err
	}
	return wasmStep{g}, c.writesAny(at, "event.*", "state.*")
}

// guest reads {"wasm": name, "function": name}.
func (c *compiler) guest(at string, m map[string]any, function string) (*guest, error) {
	name, _ := m["wasm"].(string)
	raw := c.env.Modules[name]
	if raw == nil {
		return nil, invalid(pointerTo(at, "wasm"), "there is no module %q", name)
	}
	if v, ok := m["function"]; ok {
		if function, ok = v.(string); !ok || function == "" {
			return nil, invalid(pointerTo(at, "function"), "this is the name of a function that the module exports")
		}
	}
	return newGuest(pointerTo(at, "wasm"), raw, function, c.limits)
}

func (s wasmStep) act(r *run) error {
	var state any
	if r.in.State != nil || len(r.state) > 0 {
		state = r.state
	}
	answer, err := s.call(r.ctx, map[string]any{"state": state, "event": orEmpty(r.in.Event), "meta": r.foreignMeta()})
	if err != nil {
		return err
	}
	out := Output{}
	for name, raw := range answer {
		switch {
		case name == "state" && string(raw) == "null":
		case name == "state":
			if out.State, err = fieldsOf(raw); err != nil {
				return err
			}
		case name == "deleted" && (string(raw) == "true" || string(raw) == "false"):
			out.Deleted = string(raw) == "true"
		default:
			return fault.New(fault.Refused, "the module answers with more than \"state\" and \"deleted\"")
		}
	}
	if out.State == nil && !out.Deleted {
		return fault.New(fault.Refused, "the module answers without a state")
	}
	return r.replace(out)
}

func (c *compiler) wasmUpcast(u *Upcast, m map[string]any) error {
	for name := range m {
		if name != "wasm" && name != "function" {
			return invalid(pointerTo(u.at, name), "a module upcasts alone")
		}
	}
	g, err := c.guest(u.at, m, "upcast")
	if err != nil {
		return err
	}
	u.foreign = func(r *run) (map[string]any, error) {
		answer, err := g.call(r.ctx, map[string]any{"event": orEmpty(r.in.Event)})
		if err != nil {
			return nil, err
		}
		if len(answer) != 1 || answer["event"] == nil {
			return nil, fault.New(fault.Refused, "the module answers with something else than \"event\"")
		}
		return fieldsOf(answer["event"])
	}
	return nil
}
