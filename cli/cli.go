// Package cli is the command line of the API: one command for each method,
// made from the same Protobuf sources as the server, help texts included; and
// login, which gets an access token through the browser.
//
// It promises: nothing is sent in clear over a network (http is for loopback
// only); a password is never taken from the command line; what the server says
// cannot control the terminal; each change carries a command id, so that one
// whose outcome is unknown can be repeated safely.
//
// It is for administrators and scripts. Commands that open a store themselves
// (serve, verify, receipt …) are elsewhere.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
)

// Env is the world around a command.
type Env struct {
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// ConfigDir holds the tokens of login; the user's own folder for
	// configuration, followed by "muniment", if empty.
	ConfigDir string
	// Browse shows a page to the user; nil: nothing is opened, the address is
	// only printed.
	Browse func(url string) error
	// HTTP makes the requests; nil: a client with the system's roots.
	HTTP *http.Client
}

// Usage is the error of a command line that cannot be understood.
type Usage struct{ Msg string }

func (u *Usage) Error() string { return u.Msg }

// The exit codes of commands.
const (
	ExitOK      = 0
	ExitFailed  = 1 // it did not happen
	ExitUsage   = 2 // it was not understood, and not tried
	ExitUnknown = 3 // it may have happened; repeat it with the same command id
)

// ExitCode answers the exit code for the error of Run.
func ExitCode(err error) int {
	var u *Usage
	var f *failure
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &u):
		return ExitUsage
	case errors.As(err, &f) && f.unknown:
		return ExitUnknown
	}
	return ExitFailed
}

// Topic is a word that Run understands as the first, for the help of the
// whole program.
type Topic struct{ Name, Summary string }

// Topics lists the first words, sorted.
func Topics() ([]Topic, error) {
	all, err := commands()
	if err != nil {
		return nil, err
	}
	out := []Topic{
		{"login", "Sign in through the browser, for the commands below."},
		{"logout", "Forget the access token of login."},
	}
	for _, w := range words() {
		out = append(out, Topic{w.name, w.summary})
	}
	seen := map[string]bool{}
	for _, c := range all {
		if !seen[c.noun] {
			seen[c.noun] = true
			out = append(out, Topic{c.noun, sentence(c.about)})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// Run runs the command that args name. Its error is a *Usage, or says what the
// server answered; ExitCode tells them apart.
func Run(ctx context.Context, env Env, args []string) error {
	if env.Getenv == nil {
		env.Getenv = func(string) string { return "" }
	}
	if len(args) == 0 || isHelp(args[0]) {
		return overview(env.Stdout)
	}
	switch args[0] {
	case "login":
		return login(ctx, env, args[1:])
	case "logout":
		return logout(env, args[1:])
	}
	for _, w := range words() {
		if w.name == args[0] {
			return w.run(ctx, env, args[1:])
		}
	}
	if done, err := runOwn(ctx, env, args); done {
		return err
	}
	all, err := commands()
	if err != nil {
		return err
	}
	mine := under(all, args[0])
	if one, plural := strings.CutSuffix(args[0], "s"); plural && len(mine) == 0 {
		mine = under(all, one) // "events export" is "event export"
	}
	if len(mine) == 0 {
		return &Usage{fmt.Sprintf("there is no command %q%s", clean(args[0]), Suggest(args[0], nouns(all)))}
	}
	if len(args) == 1 || isHelp(args[1]) {
		return nounHelp(env.Stdout, mine)
	}
	for _, verb := range []string{args[1], "list-" + args[1]} { // "event types" is "event list-types"
		for _, c := range mine {
			if c.verb == verb {
				return c.run(ctx, env, args[2:])
			}
		}
	}
	var verbs []string
	for _, c := range mine {
		verbs = append(verbs, c.verb)
	}
	for _, w := range ownOf(args[0]) {
		verbs = append(verbs, strings.TrimPrefix(w.name, args[0]+" "))
	}
	return &Usage{fmt.Sprintf("there is no command %q%s", args[0]+" "+clean(args[1]), Suggest(args[1], verbs))}
}

// under lists the commands of a noun.
func under(all []*command, noun string) (mine []*command) {
	for _, c := range all {
		if c.noun == noun {
			mine = append(mine, c)
		}
	}
	return mine
}

func isHelp(arg string) bool { return arg == "-h" || arg == "--help" || arg == "help" }

func nouns(all []*command) []string {
	out := []string{"login", "logout"}
	for _, w := range words() {
		out = append(out, w.name)
	}
	for _, c := range all {
		if out[len(out)-1] != c.noun {
			out = append(out, c.noun)
		}
	}
	return out
}

// Suggest ends a sentence about an unknown word: with what was meant, or with
// all that there is.
func Suggest(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := edits(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; there are: " + strings.Join(known, ", ")
}

// edits is how many letters have to be changed, added or removed to make b of a.
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0]++
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
