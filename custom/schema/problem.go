package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	File    string
	Pointer string // RFC 6901, of the place in the document
	Msg     string // what is wrong and what to do
}

// String returns `file#pointer: message`.
func (p Problem) String() string {
	if p.File == "" {
		return p.Msg
	}
	return p.File + "#" + p.Pointer + ": " + p.Msg
}

// Problems are all that is wrong with a set of documents, by file and place.
type Problems []Problem

// Error gives one line for each.
func (p Problems) Error() string { return strings.Join(p.Each(), "\n") }

// Each implements fault.Several.
func (p Problems) Each() []string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return lines
}

// maxProblems is how many problems are told at once.
const maxProblems = 200

// fault makes an error of the problems, or nil if there are none.
func (p Problems) fault() error {
	if len(p) == 0 {
		return nil
	}
	if len(p) > maxProblems {
		p = append(p[:maxProblems:maxProblems], Problem{"", "", fmt.Sprintf("there are %d more", len(p)-maxProblems)})
	}
	msg := p[0].String()
	if len(p) > 1 {
		msg = fmt.Sprintf("%s (and %d more)", msg, len(p)-1)
	}
	return &fault.Error{Kind: fault.Invalid, Field: p[0].File + "#" + p[0].Pointer, Msg: msg, Err: p}
}

func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), strings.Compare(a.Pointer, b.Pointer))
	})
	return slices.Compact(p)
}

func (p *Problems) add(file, pointer, format string, args ...any) {
	*p = append(*p, Problem{file, pointer, fmt.Sprintf(format, args...)})
}

// at appends reference tokens to a pointer (RFC 6901 §3).
func at(pointer string, tokens ...string) string {
	for _, t := range tokens {
		pointer += "/" + event.EscapePointer(t)
	}
	return pointer
}
