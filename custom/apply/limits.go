package apply

import "time"

// Limits bound what one event may cost. Each is counted, so that who exceeds it
// does so everywhere; only Time is not, and ends in fault.Unavailable. Zero
// means the default.
type Limits struct {
	Steps      int           // of one declaration
	Expression int           // characters of one expression
	Cost       uint64        // of evaluating one expression, in CEL's units
	Memory     int           // parts of the largest value in an expression; 10 bytes of a text are one
	Field      int           // bytes of one field of the state, as JSON
	Module     int           // bytes of a WebAssembly module
	Pages      uint32        // of a module's memory, 64 KiB each
	Fuel       uint64        // of one call of a module: instructions, about
	Output     int           // bytes that a module may answer
	Time       time.Duration // of one call of a module, in case its fuel lasts too long
}

// DefaultLimits are those that docs/reference/appliers.md names.
func DefaultLimits() Limits {
	return Limits{
		Steps: 32, Expression: 4096, Cost: 100_000, Memory: 20_000, Field: 256 << 10,
		Module: 1 << 20, Pages: 64, Fuel: 10_000_000, Output: 1 << 20, Time: 5 * time.Second,
	}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	fill(&l.Steps, d.Steps)
	fill(&l.Expression, d.Expression)
	fill(&l.Cost, d.Cost)
	fill(&l.Memory, d.Memory)
	fill(&l.Field, d.Field)
	fill(&l.Module, d.Module)
	fill(&l.Pages, d.Pages)
	fill(&l.Fuel, d.Fuel)
	fill(&l.Output, d.Output)
	fill(&l.Time, d.Time)
	return l
}

func fill[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}
