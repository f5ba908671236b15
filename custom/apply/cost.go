package apply

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// costs counts calls by the size of what they are given and give. CEL counts
// those whose types it knows when it compiles; the fields of events are of any
// type, and a call of an unknown one would cost 1, however long its text.
type costs struct{ sizes *types.SizeCalculator }

// CallCost implements cel-go's cost.ActualCostEstimator; nil leaves it to CEL.
func (c costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1)
	switch function {
	case operators.Equals, operators.NotEquals, operators.Index, operators.OptIndex, operators.OptSelect,
		"size", "contains", "startsWith", "endsWith", "matches":
		return nil
	case operators.In:
		cost += c.size(args[1]) / 10
	case "split":
		cost += c.size(result)
	case "math.@max", "math.@min":
		for _, a := range args {
			cost += c.size(a)
		}
	case "indexOf", "lastIndexOf":
		if len(args) > 1 {
			cost += text(args[0]) * text(args[1]) / 100
		}
	}
	for _, a := range args {
		cost += text(a) / 10
	}
	cost += text(result) / 10
	return &cost
}

// text is the length of a text, and 0 of anything else.
func text(v ref.Val) uint64 {
	s, _ := v.(types.String)
	return uint64(len(s))
}

// size is the number of parts of a list, each with its own; 0 of a map, in which
// names are found without looking at all of them.
func (c costs) size(v ref.Val) uint64 {
	if _, ok := v.(traits.Mapper); ok {
		return 0
	}
	return uint64(c.sizes.ApproximateAggregateSize(v).Size)
}
