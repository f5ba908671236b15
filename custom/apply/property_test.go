package apply

import (
	"context"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// random gives a JSON value of few names and numbers, so that they meet.
func random(r *rand.Rand, depth int) any {
	switch r.IntN(8 + 2*min(depth, 1)) {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2, 3:
		return int64(r.IntN(5))
	case 4:
		v, _ := event.Decimal(strconv.Itoa(r.IntN(50)) + "e-1")
		return v
	case 5, 6, 7:
		return string(rune('a' + r.IntN(4)))
	case 8:
		list := make([]any, r.IntN(4))
		for i := range list {
			list[i] = random(r, depth-1)
		}
		return list
	}
	return randomFields(r, depth-1)
}

func randomFields(r *rand.Rand, depth int) map[string]any {
	m := map[string]any{}
	for range r.IntN(5) {
		m[string(rune('a'+r.IntN(5)))] = random(r, depth)
	}
	return m
}

// randomState has no nulls in front, as no state has.
func randomState(r *rand.Rand) map[string]any {
	if r.IntN(5) == 0 {
		return nil
	}
	m := randomFields(r, 3)
	for name, v := range m {
		if v == nil {
			delete(m, name)
		}
	}
	return m
}

// randomStep makes a declaration that compiles, and may fail.
func randomStep(r *rand.Rand) map[string]any {
	field := func() string { return string(rune('a' + r.IntN(5))) }
	from := func() any {
		return []any{
			"/" + field(), "/" + field() + "/0", map[string]any{"value": int64(r.IntN(3))},
			map[string]any{"meta": "actor"}, map[string]any{"cel": "event.?" + field()}, map[string]any{"cel": "state.?" + field()},
			map[string]any{"cel": "{'x': event, 'y': state}"}, map[string]any{"cel": "event.map(k, k)"},
		}[r.IntN(8)]
	}
	steps := []map[string]any{
		{"merge": true}, {"merge": []any{"a", "b"}}, {"merge": "/" + field()},
		{"set": map[string]any{field(): from()}}, {"add": map[string]any{field(): from()}},
		{"remove": map[string]any{field(): from()}}, {"increment": map[string]any{field(): from()}},
		{"unset": []any{field()}}, {"decrement": map[string]any{field(): from()}}, {"delete": true},
	}
	s := steps[r.IntN(len(steps))]
	if r.IntN(4) == 0 {
		s["if"] = "has(event." + field() + ") || size(state) > 2"
	}
	return s
}

// TestLaws: for any declaration, state and event, the same gives the same, what
// went in stays as it was, no field of a state is null, and what comes out is
// JSON as events hold it.
func TestLaws(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		var steps []any
		for range 1 + r.IntN(4) {
			steps = append(steps, randomStep(r))
		}
		p, err := Compile(steps, Env{})
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, event.FormatJSON(steps), err)
		}
		for range 20 {
			in := Input{State: randomState(r), Event: randomFields(r, 3), Meta: meta}
			before := Input{State: cloneFields(in.State), Event: cloneFields(in.Event), Meta: meta}
			out, err := p.Apply(context.Background(), in)
			again, errAgain := p.Apply(context.Background(), before)
			if !reflect.DeepEqual(out, again) || !reflect.DeepEqual(err, errAgain) {
				t.Fatalf("seed %d: %s gives %v %v, and again %v %v", seed, event.FormatJSON(steps), out, err, again, errAgain)
			}
			if !reflect.DeepEqual(in, before) {
				t.Fatalf("seed %d: %s changed what it was given: %v", seed, event.FormatJSON(steps), in)
			}
			checkOutput(t, seed, out, err)
		}
	}
}

func checkOutput(t *testing.T, seed uint64, out Output, err error) {
	t.Helper()
	if err != nil {
		if k := fault.KindOf(err); k != fault.Refused && k != fault.Exhausted {
			t.Fatalf("seed %d: %v", seed, err)
		}
		return
	}
	if out.Deleted != (out.State == nil) {
		t.Fatalf("seed %d: deleted %v, state %v", seed, out.Deleted, out.State)
	}
	for name, v := range out.State {
		back, err := event.ParseJSON(event.FormatJSON(v))
		if v == nil || err != nil || !reflect.DeepEqual(back, v) {
			t.Fatalf("seed %d: field %s is %v: %v", seed, name, v, err)
		}
	}
}

// TestMergeLaws: a patch that is merged twice does what it does once, an empty
// one does nothing, and what a patch does not name stays.
func TestMergeLaws(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 7))
		target, patch := randomFields(r, 3), randomFields(r, 3)
		once := mergePatch(target, patch)
		if twice := mergePatch(once, patch); !equal(once, twice) {
			t.Fatalf("seed %d: once %v, twice %v", seed, once, twice)
		}
		if same := mergePatch(target, map[string]any{}); !equal(same, target) {
			t.Fatalf("seed %d: nothing makes %v of %v", seed, same, target)
		}
		for name, v := range target {
			if _, named := patch[name]; !named && !equal(once.(map[string]any)[name], v) {
				t.Fatalf("seed %d: %s was not to change", seed, name)
			}
		}
	}
}

// TestListLaws: what was added is there once, and what was removed is not.
func TestListLaws(t *testing.T) {
	add, _ := Compile(map[string]any{"add": map[string]any{"l": "/x"}}, Env{})
	remove, _ := Compile(map[string]any{"remove": map[string]any{"l": "/x"}}, Env{})
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 11))
		x := random(r, 2)
		in := Input{Event: map[string]any{"x": x}, State: map[string]any{"l": []any{"a", int64(1), "b"}}}
		added, err := add.Apply(context.Background(), in)
		if err != nil {
			continue // null in a list
		}
		in.State = added.State
		again, err := add.Apply(context.Background(), in)
		if err != nil || !equal(again.State, added.State) {
			t.Fatalf("seed %d: added twice %v %v", seed, again.State, err)
		}
		removed, err := remove.Apply(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		left := removed.State["l"].([]any)
		list, _ := listOf(always{x}, nil)
		for _, v := range left {
			for _, gone := range list {
				if equal(v, gone) {
					t.Fatalf("seed %d: %v is still in %v", seed, gone, left)
				}
			}
		}
	}
}
