package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"

	"muniment.dev/fault"
)

// An expr is an expression in CEL, with the fields that it reads.
type expr struct {
	program cel.Program
	reads   []string // "event.x", "state.*"; sorted
	limits  Limits
}

// functions are those that an expression may call: what costs no more than what
// it is given, and answers the same everywhere. Others of the libraries are left
// out, among them whatever repeats or joins texts, and whatever asks the
// machine for its time zones.
var functions = [...]string{
	operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot,
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
	operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
	operators.Index, operators.OptIndex, operators.OptSelect, operators.In, operators.NotStrictlyFalse,
	"size", "type", "dyn", "int", "uint", "double", "string", "bool", "timestamp", "duration",
	"contains", "startsWith", "endsWith", "matches",
	"charAt", "indexOf", "lastIndexOf", "substring", "lowerAscii", "upperAscii", "trim", "split",
	"math.@max", "math.@min", "math.abs", "math.sign", "math.ceil", "math.floor", "math.round", "math.trunc",
	"optional.of", "optional.ofNonZeroValue", "optional.none", "hasValue", "value", "or", "orValue",
	"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfYear", "getDayOfWeek",
	"getHours", "getMinutes", "getSeconds", "getMilliseconds",
}

// newCELEnv makes the language: CEL with optional values, bindings, and a part
// of its extensions for texts and numbers. The versions of all are fixed, as an
// expression must mean the same for ever.
func newCELEnv(l Limits, variables []string) (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.StdLib(),
		cel.OptionalTypes(cel.OptionalTypesVersion(2)),
		ext.Bindings(ext.BindingsVersion(0)),
		ext.Strings(ext.StringsVersion(0)),
		ext.Math(ext.MathVersion(1)),
		cel.CustomTypeAdapter(adapter{}),
		cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(50),
		cel.ParserExpressionSizeLimit(l.Expression),
		cel.ExpressionNodeLimit(l.Expression),
		cel.RegexProgramSizeLimit(1000),
		cel.CostSizingStrategy(cost.AggregateSizingStrategy()),
	}
	for _, name := range variables {
		options = append(options, cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)))
	}
	return cel.NewCustomEnv(options...)
}

// expression compiles {"cel": text}.
func (c *compiler) expression(at string, raw any) (*expr, error) {
	e, _, err := c.compile(at, raw)
	return e, err
}

// condition compiles {"if": text}.
func (c *compiler) condition(at string, raw any) (*expr, error) {
	e, t, err := c.compile(at, raw)
	if err == nil && !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, invalid(at, "a condition is true or false, this is %s", t)
	}
	return e, err
}

func (c *compiler) compile(at string, raw any) (e *expr, t *cel.Type, err error) {
	defer func() {
		if r := recover(); r != nil { // what strangers write must not end the server, whatever a library makes of it
			err = &fault.Error{Kind: fault.Invalid, Field: at, Msg: "the expression cannot be compiled", Err: fmt.Errorf("%v", r)}
		}
	}()
	text, ok := raw.(string)
	if !ok || text == "" {
		return nil, nil, invalid(at, "this is an expression in CEL, as text")
	}
	if c.celEnv == nil {
		if c.celEnv, err = newCELEnv(c.limits, c.variables); err != nil {
			return nil, nil, fault.Wrap("set up CEL", err)
		}
	}
	compiled, issues := c.celEnv.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, nil, invalid(at, "%s", firstIssue(issues))
	}
	e = &expr{limits: c.limits}
	if e.reads, err = c.walk(at, compiled.NativeRep()); err != nil {
		return nil, nil, err
	}
	sizes := types.NewSizeCalculator(types.SizeCalculatorMaxDepth(32), types.SizeCalculatorMaxTraversal(c.limits.Memory))
	e.program, err = c.celEnv.Program(compiled,
		cel.CustomDecoratorV2(sortMaps),
		cel.EvalOptions(cel.OptOptimize),
		cel.CostTracking(costs{sizes}),
		cel.CostLimit(c.limits.Cost),
		cel.MemoryTracking(types.MemoryTrackerSizeCalculator(sizes)),
		cel.MemoryLimit(uint32(c.limits.Memory)),
		cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, nil, invalid(at, "the expression cannot be used: %s", oneLine(err.Error()))
	}
	return e, compiled.OutputType(), nil
}

func firstIssue(issues *cel.Issues) string {
	first := issues.Errors()[0]
	if first.Location.Column() < 0 {
		return oneLine(first.Message)
	}
	return fmt.Sprintf("character %d: %s", first.Location.Column()+1, oneLine(first.Message))
}

func oneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s[:min(len(s), 300)]
}

// walk refuses what may not stand in an expression, and finds which fields it
// reads.
func (c *compiler) walk(at string, tree *ast.AST) ([]string, error) {
	var reads []string
	nodes := ast.MatchDescendants(ast.NavigateAST(tree), ast.AllMatcher())
	for _, n := range nodes {
		switch n.Kind() {
		case ast.StructKind:
			return nil, invalid(at, "an expression makes no messages: write {\"name\": value}")
		case ast.CallKind:
			if err := permitted(at, n); err != nil {
				return nil, err
			}
		case ast.ComprehensionKind:
			l := n.AsComprehension()
			if slices.Contains(c.variables, l.IterVar()) || slices.Contains(c.variables, l.AccuVar()) {
				return nil, invalid(at, "%s are taken: name the variable otherwise", strings.Join(c.variables, ", "))
			}
		case ast.IdentKind:
			if !slices.Contains(c.variables, n.AsIdent()) {
				continue
			}
			read, err := c.field(at, n)
			if err != nil {
				return nil, err
			}
			if read != "" && !slices.Contains(reads, read) {
				reads = append(reads, read)
			}
		}
	}
	slices.Sort(reads)
	c.late.Reads = append(c.late.Reads, reads...)
	return reads, nil
}

func permitted(at string, n ast.Expr) error {
	call := n.AsCall()
	name := call.FunctionName()
	if !slices.Contains(functions[:], name) {
		return invalid(at, "the function %s cannot be used here", name)
	}
	if strings.HasPrefix(name, "get") && len(call.Args()) > 0 {
		return invalid(at, "%s takes no time zone here: what a zone means changes, and times are UTC", name)
	}
	return nil
}

// field names what is read of a variable: one field, if it stands in the
// expression which, or any. Of meta it is empty.
func (c *compiler) field(at string, ident ast.NavigableExpr) (string, error) {
	variable, name := ident.AsIdent(), selected(ident)
	known := map[string]map[string]bool{"event": c.event, "state": c.entity, "meta": setOf(metaNames[:])}[variable]
	if name != "" && known != nil && !known[name] {
		return "", invalid(at, "%s has no field %q", variable, name)
	}
	if variable == "meta" {
		c.late.Computes = c.late.Computes || name == "" || isLate(name)
		return "", nil
	}
	if name == "" {
		name = "*"
	}
	return variable + "." + name, nil
}

// selected is the field that the expression around a variable selects; empty if
// the variable is used otherwise.
func selected(ident ast.NavigableExpr) string {
	parent, ok := ident.Parent()
	if !ok {
		return ""
	}
	switch parent.Kind() {
	case ast.SelectKind:
		return parent.AsSelect().FieldName()
	case ast.CallKind:
		call := parent.AsCall()
		index := slices.Contains([]string{operators.Index, operators.OptIndex, operators.OptSelect}, call.FunctionName())
		if index && len(call.Args()) == 2 && call.Args()[0].ID() == ident.ID() && call.Args()[1].Kind() == ast.LiteralKind {
			name, _ := call.Args()[1].AsLiteral().(types.String)
			return string(name)
		}
	}
	return ""
}

// eval evaluates the expression.
func (e *expr) eval(r *run) (ref.Val, error) {
	if e.gone(r) {
		return types.NullValue, nil
	}
	if err := e.exact(r); err != nil {
		return nil, err
	}
	vars := map[string]any{"event": orEmpty(r.in.Event), "state": r.state, "meta": r.metaValues()}
	v, _, err := e.program.ContextEval(r.ctx, vars)
	if err != nil {
		return nil, evalError(err)
	}
	return v, nil
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// exact refuses numbers that a double would change before the expression sees
// them: it could not tell.
func (e *expr) exact(r *run) error {
	for _, read := range e.reads {
		variable, name, _ := strings.Cut(read, ".")
		fields := r.in.Event
		if variable == "state" {
			fields = r.state
		}
		var v any = fields
		if name != "*" {
			v = fields[name]
		}
		if !exactDoubles(v) {
			return fault.New(fault.Refused, "a number in %s has more digits than a double holds: send it as text, or use \"increment\"", read)
		}
	}
	return nil
}

// evalError says what went wrong without what it went wrong with: the texts of
// CEL quote values.
func evalError(err error) error {
	var cancelled interpreter.EvalCancelledError
	switch text := err.Error(); {
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded:
		return fault.New(fault.Exhausted, "the expression costs more than it may")
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.MemoryLimitExceeded:
		return fault.New(fault.Exhausted, "the expression makes a value that is larger than it may be")
	case errors.As(err, &cancelled), errors.Is(err, interpreter.InterruptError{}):
		return fault.New(fault.Unavailable, "there was not enough time for the expression")
	case strings.HasPrefix(text, "internal error"):
		return &fault.Error{Kind: fault.Refused, Msg: "the expression cannot be evaluated", Err: err}
	case strings.HasPrefix(text, "no such key"), strings.HasPrefix(text, "no such attribute"):
		return fault.New(fault.Refused, "the expression reads what is not there: ask with has(), or write .?field.orValue(…)")
	case strings.HasPrefix(text, "no such overload"):
		return fault.New(fault.Refused, "an operator of the expression does not take values of these types: int() and double() convert numbers")
	case strings.Contains(text, "overflow"):
		return fault.New(fault.Refused, "a number in the expression grows beyond 64 bits")
	case strings.Contains(text, "by zero"):
		return fault.New(fault.Refused, "the expression divides by zero")
	}
	return fault.New(fault.Refused, "the expression cannot be evaluated with these values")
}

// gone reports whether something that the expression reads was erased.
func (e *expr) gone(r *run) bool {
	return len(r.in.Gone) > 0 && slices.ContainsFunc(e.reads, func(read string) bool { return r.in.Gone[read] || strings.HasSuffix(read, ".*") })
}

// holds evaluates a condition; one that cannot be read any more does not hold.
func (e *expr) holds(r *run) (bool, error) {
	if e.gone(r) {
		return false, nil
	}
	v, err := e.eval(r)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, fault.New(fault.Refused, "the condition is neither true nor false")
	}
	return bool(b), nil
}

// get makes an expression a source. An optional value that is none is absent.
func (e *expr) get(r *run) (any, bool, error) {
	v, err := e.eval(r)
	if err != nil {
		return nil, false, err
	}
	if o, ok := v.(*types.Optional); ok {
		if !o.HasValue() {
			return nil, false, nil
		}
		v = o.GetValue()
	}
	left := e.limits.Field
	result, err := fromCEL(v, &left, maxDepth)
	return result, err == nil, err
}
