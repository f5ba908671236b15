package apply

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// incrementStep adds numbers to fields, exactly: decimal fractions stay decimal
// fractions, so that 0.1 and 0.2 make 0.3.
type incrementStep struct {
	list     []assignment
	negative bool
}

func (c *compiler) increment(at string, raw any) (action, error) {
	list, err := c.assignments(at, raw)
	return incrementStep{list, false}, err
}

func (c *compiler) decrement(at string, raw any) (action, error) {
	list, err := c.assignments(at, raw)
	return incrementStep{list, true}, err
}

func (s incrementStep) act(r *run) error {
	for _, a := range s.list {
		v, ok, err := a.from.get(r)
		if err != nil {
			return err
		}
		if !ok || v == nil {
			continue
		}
		before, ok := r.state[a.field]
		if !ok {
			before = int64(0)
		}
		sum, err := addNumbers(before, v, s.negative)
		if err != nil {
			return err
		}
		if err := r.put(a.field, sum); err != nil {
			return err
		}
	}
	return nil
}

// addNumbers adds b to a, or subtracts it. A result that cannot be recorded
// exactly is refused.
func addNumbers(a, b any, subtract bool) (any, error) {
	x, okX := decimalOf(a)
	y, okY := decimalOf(b)
	if !okX || !okY {
		return nil, fault.New(fault.Refused, "what is to be added, or to be added to, is no number")
	}
	exp := min(x.exp, y.exp)
	sum := x.scaled(exp)
	if subtract {
		sum.Sub(sum, y.scaled(exp))
	} else {
		sum.Add(sum, y.scaled(exp))
	}
	v, err := event.Decimal(sum.String() + "e" + strconv.Itoa(exp))
	if err != nil {
		return nil, fault.New(fault.Refused, "the sum needs more than 64 bits of digits, and cannot be recorded exactly")
	}
	return v, nil
}

// decimal is mantissa × 10^exp.
type decimal struct {
	mantissa *big.Int
	exp      int
}

// decimalOf reads a number of an event or a state. event.Decimal bounds both
// its parts, so that adding two is cheap.
func decimalOf(v any) (decimal, bool) {
	switch v := v.(type) {
	case int64:
		return decimal{big.NewInt(v), 0}, true
	case json.Number:
		number, power, _ := strings.Cut(strings.ToLower(v.String()), "e")
		whole, fraction, _ := strings.Cut(number, ".")
		mantissa, ok := new(big.Int).SetString(whole+fraction, 10)
		if !ok {
			return decimal{}, false
		}
		exp := 0
		if power != "" {
			var err error
			if exp, err = strconv.Atoi(power); err != nil {
				return decimal{}, false
			}
		}
		return decimal{mantissa, exp - len(fraction)}, true
	}
	return decimal{}, false
}

// scaled gives the mantissa for a smaller exponent.
func (d decimal) scaled(exp int) *big.Int {
	factor := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.exp-exp)), nil)
	return factor.Mul(factor, d.mantissa)
}
