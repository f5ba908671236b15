package apply

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/fault"
)

func evaluate(t testing.TB, text, state, ev string, limits Limits) (any, error) {
	t.Helper()
	declaration := map[string]any{"set": map[string]any{"x": map[string]any{"cel": text}}}
	p, err := Compile(declaration, Env{Limits: limits})
	if err != nil {
		return nil, err
	}
	out, err := p.Apply(context.Background(), Input{State: object(t, state), Event: object(t, ev), Meta: meta})
	return out.State["x"], err
}

// TestExpressions: what CEL makes of JSON values, and JSON of CEL's.
func TestExpressions(t *testing.T) {
	for text, want := range map[string]string{
		`event.n + 1`:                                    `4`,
		`event.half * 2.0`:                               `1`,
		`event.half + double(event.n)`:                   `3.5`,
		`event.n > 2 && event.half < 1.0`:                `true`,
		`event.n > 2.5`:                                  `true`, // numbers of different kinds compare
		`event.n == 3.0`:                                 `true`,
		`event.text + "!"`:                               `"Grüße!"`,
		`size(event.text)`:                               `5`,
		`event.list.map(i, i.price * i.count)`:           `[6,20]`,
		`event.list.filter(i, i.count > 2)`:              `[{"count":4,"price":5}]`,
		`event.list.exists(i, i.count == 4)`:             `true`,
		`event.list.all(i, i.count == 4)`:                `false`,
		`event.list[1].price`:                            `5`,
		`event.list + [event.nothing]`:                   `[{"count":2,"price":3},{"count":4,"price":5},null]`,
		`3 in [1, 2, 3]`:                                 `true`,
		`"n" in event`:                                   `true`,
		`has(event.gone)`:                                `false`,
		`event.?gone.orValue(7)`:                         `7`,
		`event.?gone`:                                    ``,
		`event.?n`:                                       `3`,
		`state.?total.orValue(0) + event.n`:              `3`,
		`event.nothing == null`:                          `true`,
		`{"b": event.n, "a": [true]}`:                    `{"a":[true],"b":3}`,
		`cel.bind(n, event.n, n * n)`:                    `9`,
		`math.greatest(event.n, 10, 4)`:                  `10`,
		`math.round(2.5)`:                                `3`,
		`18446744073709551615u`:                          `18446744073709551615`,
		`0.1 + 0.2`:                                      `0.30000000000000004`,
		`1e300 * 10.0`:                                   `1e301`,
		`-0.0`:                                           `0`,
		`string(event.n) + "x"`:                          `"3x"`,
		`int("42")`:                                      `42`,
		`event.text.startsWith("Gr")`:                    `true`,
		`event.text.matches("^G.*e$")`:                   `true`,
		`" A b".trim().lowerAscii()`:                     `"a b"`,
		`"a,b".split(",")`:                               `["a","b"]`,
		`meta.version`:                                   `3`,
		`string(timestamp(meta.time) + duration("36h"))`: `"2025-11-28T06:00:00Z"`,
		`timestamp(meta.time).getHours()`:                `18`,
		`timestamp(meta.time).getFullYear()`:             `2025`,
	} {
		got, err := evaluate(t, text, ``, `{"n":3,"half":0.5,"text":"Grüße","nothing":null,"list":[{"price":3,"count":2},{"price":5,"count":4}]}`, Limits{})
		if err != nil || !reflect.DeepEqual(got, value(t, want)) {
			t.Errorf("%s gives %s %v, want %s", text, event.FormatJSON(got), err, want)
		}
	}
}

// TestExpressionsRefuse: errors follow from the values, and tell none of them.
func TestExpressionsRefuse(t *testing.T) {
	limits := Limits{Cost: 10_000, Memory: 5_000, Field: 10_000}
	bomb := `[1,2,3,4,5,6,7,8]`
	for range 12 {
		bomb = `[` + bomb + `].map(a, a + a + a + a)[0]`
	}
	for text, want := range map[string]fault.Kind{
		`event.gone`:           fault.Refused,
		`event.n / 0`:          fault.Refused,
		`event.big + 1`:        fault.Refused,
		`event.n + 0.5`:        fault.Refused, // int and double do not add
		`event.secret + 1`:     fault.Refused,
		`int(event.secret)`:    fault.Refused,
		`0.0 / 0.0`:            fault.Refused,
		`1.0 / 0.0`:            fault.Refused,
		`b"bytes"`:             fault.Refused,
		`timestamp(meta.time)`: fault.Refused,
		`duration("1h")`:       fault.Refused,
		`{1: 2}`:               fault.Refused,
		`type(1)`:              fault.Refused,
		`[optional.of(1)]`:     fault.Refused,
		`event.long`:           fault.Refused, // more digits than a double holds
		`size(event)`:          fault.Refused, // which reads it as well
		bomb:                   fault.Exhausted,
		`size(` + bomb + `)`:   fault.Exhausted,
		bomb + ` == ` + bomb:   fault.Exhausted,
		`event.l.all(a, event.l.all(b, event.l.all(c, event.l.all(d, true))))`: fault.Exhausted,
		`event.l.map(a, event.l.map(b, event.l.map(c, event.l)))`:              fault.Exhausted,
		strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40):                      fault.Exhausted,
	} {
		_, err := evaluate(t, text, ``, `{"n":3,"big":9223372036854775807,"secret":"Ada","long":0.12345678901234567,"l":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}`, limits)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != want || strings.Contains(err.Error(), "Ada") {
			t.Errorf("%s gives %v, want %v", text, err, want)
		}
	}
}

// TestExpressionsNotCompiled: what has no place in a pure expression is refused
// before anybody relies on it.
func TestExpressionsNotCompiled(t *testing.T) {
	for _, text := range []string{
		`now()`, `timestamp(meta.time).getHours("Europe/Berlin")`, `google.protobuf.Struct{}`,
		`"a".replace("a", "b")`, `["a"].join(",")`, `"%s".format([1])`, `[1].map(event, event)`,
		`cel.bind(state, 1, state)`, `nothing`, `event.`, `"a" + 1`, `math.sqrt(4.0)`,
		`"a".matches("(((a{100}){100}){100})")`, `b"a" + bytes("b")`,
		strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200), `1` + strings.Repeat(` + 1`, 2000),
	} {
		if _, err := evaluate(t, text, ``, `{}`, Limits{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.40s gives %v", text, err)
		}
	}
}

// TestMapsAreSorted: what an expression makes of an object's names does not
// depend on the order in which Go happens to walk through it.
func TestMapsAreSorted(t *testing.T) {
	for text, want := range map[string]string{
		`event.m.map(k, k)`: `["a","b","c","d","e","f","g"]`,
		`{"g":1,"b":2,"a":3,"f":4,"c":5,"e":6,"d":7}.map(k, k)`:                                  `["a","b","c","d","e","f","g"]`,
		`{"g":1,"b":2,"a":3,"f":4,"c":5,"e":6,"d":7}.filter(k, k != "c")`:                        `["a","b","d","e","f","g"]`,
		`{2:1, 1:2, "b":3, "a":4, true:5, 3u:6}.map(k, string(k))`:                               `["true","1","2","a","b","3"]`,
		`[{?"b":optional.of(1), ?"a":optional.of(2), "c":3, ?"d":optional.none()}][0].map(k, k)`: `["a","b","c"]`,
	} {
		for range 20 {
			got, err := evaluate(t, text, ``, `{"m":{"g":1,"b":2,"a":3,"f":4,"c":5,"e":6,"d":7}}`, Limits{})
			if err != nil || !reflect.DeepEqual(got, value(t, want)) {
				t.Errorf("%s gives %s %v, want %s", text, event.FormatJSON(got), err, want)
				break
			}
		}
	}
}

// TestNoTime: an expression that ran out of time is no refusal: nothing is known.
func TestNoTime(t *testing.T) {
	p, err := Compile(value(t, `{"set":{"x":{"cel":"event.l.map(a, event.l.map(b, a + b))"}}}`), Env{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	list := make([]any, 100)
	for i := range list {
		list[i] = int64(i)
	}
	if _, err := p.Apply(ctx, Input{Event: map[string]any{"l": list}}); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

// TestHostileExpressions: what is written to take long ends by what it costs,
// also where CEL does not know the types of what it is given.
func TestHostileExpressions(t *testing.T) {
	ev := `{"l":[` + strings.Repeat(`1,`, 4000) + `1],"s":"` + strings.Repeat("a", 40_000) + `"}`
	for _, text := range []string{
		`event.l.map(a, event.l)`,
		`event.l.all(a, event.l == event.l)`,
		`event.l.exists(a, 7 in event.l)`,
		`event.l.all(a, event.s + event.s != "x")`,
		`event.l.all(a, !event.s.matches("(a|aa|aaa)*b"))`,
		`event.l.all(a, event.s.split("").size() > 0)`,
		`event.l.all(a, event.s.indexOf("aaaaaaaaaaaaaaaaaaaaaaaab") < 0)`,
		`event.l.all(a, event.s.lastIndexOf("baaaaaaaaaaaaaaaaaaaaaaaa") < 0)`,
		`event.l.all(a, !event.s.contains("aaaaaaaaaaaaaaaaaaaaaaaab"))`,
		`event.l.all(a, event.s.substring(1) != "")`,
		`event.l.all(a, event.s.lowerAscii() != "")`,
		`event.l.all(a, math.greatest(event.l) > 0)`,
		`event.l.all(a, {"a": event.l, "b": event.l} == {"a": event.l, "b": event.l})`,
		`event.l.filter(a, true).filter(a, true).filter(a, true)`,
	} {
		if _, err := evaluate(t, text, ``, ev, Limits{}); fault.KindOf(err) != fault.Exhausted {
			t.Errorf("%s gives %v", text, err)
		}
	}
}

// TestCosts: what an expression costs decides whether an event is accepted, so
// it may not change with a version of a library.
func TestCosts(t *testing.T) {
	for text, want := range map[string]uint64{
		`event.n + 1`:                           3,
		`event.s + event.s`:                     45,
		`event.l.map(a, a + 1)`:                 45,
		`event.l == [1, 2, 3]`:                  3,
		`2 in event.l && has(event.n)`:          5,
		`event.s.matches("^a+$")`:               13,
		`{"a": event.?gone.orValue(1)}`:         32,
		`event.s.split("a").exists(p, p == "")`: 125,
	} {
		c := newCompiler(Env{}, "event")
		e, err := c.expression("", text)
		if err != nil {
			t.Fatal(err)
		}
		ev := object(t, `{"n":1,"s":"`+strings.Repeat("a", 100)+`","l":[1,2,3]}`)
		_, details, err := e.program.Eval(map[string]any{"event": ev})
		if err != nil || details.ActualCost() == nil || *details.ActualCost() != want {
			t.Errorf("%s costs %d %v, want %d", text, *details.ActualCost(), err, want)
		}
	}
}
