package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// own are commands beneath a noun that are written for people, because a
// request alone is not enough: they read files, or ask back.
func own() []word {
	return []word{
		{"schema plan", "Say what would become of the documents and modules in a folder. Changes nothing.", schemaPlan},
		{"schema apply", "Make the documents and modules in a folder the definitions.", schemaApply},
		{"schema check", "Check the documents and modules in a folder, without a server.", schemaCheck},
		{"schema show", "Show what is defined, or write its documents and modules into a folder.", schemaShow},
		{"entity publish", "Publish events, from a file, from the standard input or from flags.", entityPublish},
		{"entity check", "Fold entities from their events anew, and compare them with what is served.", entityCheck},
	}
}

// replaced are the methods whose command is one of those.
func replaced(c *command) bool {
	return slices.Contains([]string{"PlanSchema", "ApplySchema", "PublishEvents", "CheckEntities"}, string(c.method.Name()))
}

// ownOf are those of a noun.
func ownOf(noun string) (out []word) {
	for _, w := range own() {
		if strings.HasPrefix(w.name, noun+" ") {
			out = append(out, w)
		}
	}
	return out
}

// fault is what the server said of a change, as an error for people: every
// mistake on a line of its own. again says how to repeat what may have happened.
func (a *asked) fault(err error, again string) error {
	f := api.Explain(err)
	if f == nil {
		return nil
	}
	msg := clean(f.GetMessage())
	if f.GetField() != "" && len(f.GetProblems()) == 0 {
		msg = clean(f.GetField()) + ": " + msg
	}
	if len(f.GetProblems()) > 0 {
		msg = mistakes(f.GetProblems())
	}
	unknown := f.GetKind() == munimentv1.FaultKind_FAULT_KIND_UNKNOWN || f.GetRequestId() == "" && f.GetKind() == munimentv1.FaultKind_FAULT_KIND_UNAVAILABLE && !refused(err)
	switch {
	case unknown && again != "":
		msg += "\nIt may have happened. " + again
	case f.GetKind() == munimentv1.FaultKind_FAULT_KIND_UNAUTHENTICATED:
		msg += "\nRun muniment login, or set MUNIMENT_TOKEN."
	}
	return &failure{msg, unknown && again != ""}
}

// mistakes are lines about documents.
func mistakes(lines []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "the documents have %d %s:", len(lines), plural(len(lines), "mistake", "mistakes"))
	for _, l := range lines {
		b.WriteString("\n  " + clean(l))
	}
	return b.String()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// confirmed asks on a terminal; elsewhere nobody can answer, which is a no.
func confirmed(env Env, question string) bool {
	if !terminal(env.Stdin) {
		return false
	}
	fmt.Fprintf(env.Stderr, "%s Type yes: ", question)
	answer, err := bufio.NewReader(oneByte{env.Stdin}).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == "yes"
}

func terminal(r any) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// several is a flag that may be there several times.
type several []string

func (s *several) String() string { return strings.Join(*s, ", ") }

// Set implements flag.Value.
func (s *several) Set(v string) error { *s = append(*s, v); return nil }

// only is the one argument that a command takes; the flag says what it is.
func only(rest []string, what string) (string, error) {
	if len(rest) != 1 {
		return "", &Usage{"give " + what}
	}
	return rest[0], nil
}

// input opens a file, or the standard input for "-" and nothing.
func input(env Env, name string) (io.ReadCloser, error) {
	if name == "" || name == "-" {
		if env.Stdin == nil {
			return nil, &Usage{"there is nothing to read"}
		}
		return io.NopCloser(env.Stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &Usage{clean(err.Error())}
	}
	return f, nil
}

// runOwn runs one of them, if args name it.
func runOwn(ctx context.Context, env Env, args []string) (bool, error) {
	for _, w := range ownOf(args[0]) {
		if len(args) > 1 && w.name == args[0]+" "+args[1] {
			return true, w.run(ctx, env, args[2:])
		}
	}
	return false, nil
}
