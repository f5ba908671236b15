package apply

import (
	"context"
	"os"
	"reflect"
	"sync"
	"testing"
)

// TestCompiledModule: what a compiler makes, with its own memory management,
// maps and floating-point numbers, runs as it was written, also many at a time.
func TestCompiledModule(t *testing.T) {
	raw, err := os.ReadFile("testdata/modules/points.wasm")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(value(t, `{"wasm":"points"}`), Env{Modules: map[string][]byte{"points": raw}, EventFields: []string{"cents"}, EntityFields: []string{"points", "tier", "mean"}})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, c := range [][3]string{
		{``, `{"cents":2500}`, `{"points":25,"tier":"none","mean":5}`},
		{`{"points":99}`, `{"cents":100}`, `{"points":100,"tier":"bronze","mean":10}`},
		{`{"points":99900,"tier":"silver"}`, `{"cents":10050}`, `{"points":100000,"tier":"gold","mean":316.22855658526478}`},
		{`{"points":7}`, `{}`, `{"points":7,"tier":"none","mean":2.6457513110645909}`},
	} {
		for range 4 {
			all.Go(func() {
				out, err := p.Apply(context.Background(), Input{State: object(t, c[0]), Event: object(t, c[1]), Meta: meta})
				if err != nil || !reflect.DeepEqual(out.State, value(t, c[2])) {
					t.Errorf("%s and %s give %v %v", c[0], c[1], out.State, err)
				}
			})
		}
	}
	all.Wait()
}
