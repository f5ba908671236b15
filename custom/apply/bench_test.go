package apply

import (
	"context"
	"testing"
)

const tenFields = `{"a":1,"b":"two","c":[1,2,3],"d":{"e":1},"f":true,"g":1.5,"h":"text of some length","i":7,"j":"x","k":"y"}`

func benchmark(b *testing.B, declaration string, env Env) {
	p, err := Compile(value(b, declaration), env)
	if err != nil {
		b.Fatal(err)
	}
	in := Input{State: object(b, tenFields), Event: object(b, tenFields), Meta: meta}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Apply(context.Background(), in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMerge(b *testing.B)     { benchmark(b, ``, Env{}) }
func BenchmarkSet(b *testing.B)       { benchmark(b, `{"set":{"x":"/a","y":{"meta":"time"}}}`, Env{}) }
func BenchmarkIncrement(b *testing.B) { benchmark(b, `{"increment":{"g":"/g"}}`, Env{}) }
func BenchmarkExpression(b *testing.B) {
	benchmark(b, `{"set":{"x":{"cel":"event.c.filter(n, n > 1).map(n, n * 2)[0] + state.a"}}}`, Env{})
}
func BenchmarkModule(b *testing.B) {
	benchmark(b, `{"wasm":"m"}`, Env{Modules: map[string][]byte{"m": keepsState().bytes()}})
}
