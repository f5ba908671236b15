package apply

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"muniment.dev/event"
	"muniment.dev/fault"
)

const maxDepth = event.MaxJSONDepth

// adapter shows JSON values to CEL. Whole numbers are ints; others are doubles,
// as exactDoubles has made sure that they can be.
type adapter struct{}

func (a adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case ref.Val:
		return v
	case nil:
		return types.NullValue
	case bool:
		return types.Bool(v)
	case int64:
		return types.Int(v)
	case string:
		return types.String(v)
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return types.NewErr("not a number")
		}
		return types.Double(f)
	case []any:
		return types.NewDynamicList(a, v)
	case map[string]any:
		return sortedMap{types.NewStringInterfaceMap(a, v)}
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// exactDoubles tells whether a double holds each number of v so that it is
// still that number when it is written again.
func exactDoubles(v any) bool {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil || math.IsInf(f, 0) {
			return false
		}
		n, err := fromDouble(f)
		return err == nil && n == v
	case []any:
		for i := range v {
			if !exactDoubles(v[i]) {
				return false
			}
		}
	case map[string]any:
		for name := range v {
			if !exactDoubles(v[name]) {
				return false
			}
		}
	}
	return true
}

// fromDouble gives the shortest decimal that means this double.
func fromDouble(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fault.New(fault.Refused, "the expression's result is no number, or infinite")
	}
	n, err := event.Decimal(strconv.FormatFloat(f, 'g', -1, 64))
	if err != nil {
		return nil, fault.New(fault.Refused, "the expression's result is a number that cannot be recorded")
	}
	return n, nil
}

// sortedMap is a map whose keys come in one order. Go's come in any, and what an
// expression makes of them would differ from one evaluation to the next.
type sortedMap struct{ traits.Mapper }

func (m sortedMap) Iterator() traits.Iterator {
	var keys []ref.Val
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, compareKeys)
	return types.NewRefValList(adapter{}, keys).Iterator()
}

// compareKeys orders keys by their types' names, then by themselves.
func compareKeys(a, b ref.Val) int {
	if c := cmp.Compare(a.Type().TypeName(), b.Type().TypeName()); c != 0 {
		return c
	}
	if c, ok := a.(traits.Comparer); ok {
		if n, ok := c.Compare(b).(types.Int); ok {
			return int(n)
		}
	}
	return 0
}

// sortMaps makes sorted maps of those that an expression writes out.
func sortMaps(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	c, ok := i.(interpreter.InterpretableConstructor)
	if !ok || c.Type() != types.MapType {
		return i, nil
	}
	return mapLiteral{c}, nil
}

type mapLiteral struct {
	interpreter.InterpretableConstructor
}

func (l mapLiteral) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return sorted(l.InterpretableConstructor.Exec(frame))
}

func (l mapLiteral) Eval(a interpreter.Activation) ref.Val {
	return sorted(l.InterpretableConstructor.Eval(a))
}

func sorted(v ref.Val) ref.Val {
	if m, ok := v.(traits.Mapper); ok {
		return sortedMap{m}
	}
	return v
}

// fromCEL makes a JSON value of what an expression gave, strictly: nothing is
// rounded, and what JSON does not have is refused. It takes the value's size
// from left.
func fromCEL(v ref.Val, left *int, depth int) (any, error) {
	if *left -= 2; *left < 0 || depth == 0 {
		return nil, fault.New(fault.Exhausted, "the expression's result is too large, or nested too deep")
	}
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		return event.Decimal(strconv.FormatUint(uint64(v), 10))
	case types.Double:
		return fromDouble(float64(v))
	case types.String:
		if *left -= len(v); *left < 0 || !utf8.ValidString(string(v)) {
			return nil, fault.New(fault.Exhausted, "the expression's result is too large")
		}
		return string(v), nil
	case traits.Mapper:
		return objectFromCEL(v, left, depth)
	case traits.Lister:
		return listFromCEL(v, left, depth)
	}
	return nil, fault.New(fault.Refused, "the expression's result is of type %s, which JSON does not have: string() makes texts of times and durations", v.Type().TypeName())
}

func listFromCEL(l traits.Lister, left *int, depth int) (any, error) {
	list := []any{}
	for it := l.Iterator(); it.HasNext() == types.True; {
		v, err := fromCEL(it.Next(), left, depth-1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func objectFromCEL(m traits.Mapper, left *int, depth int) (any, error) {
	object := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if *left -= len(name); !ok || *left < 0 {
			return nil, fault.New(fault.Refused, "the expression's result is an object whose names are no texts, or too large")
		}
		v, err := fromCEL(m.Get(key), left, depth-1)
		if err != nil {
			return nil, err
		}
		object[string(name)] = v
	}
	return object, nil
}
