package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"muniment.dev/cli"
)

func isHelp(arg string) bool { return arg == "-h" || arg == "--help" }

// asked turns the ways to ask for help and for the version into commands: empty
// for help on the whole program.
func asked(args []string) []string {
	switch {
	case len(args) == 0 || isHelp(args[0]):
		return nil
	case args[0] == "--version":
		return append([]string{"version"}, args[1:]...)
	case args[0] == "help" && len(args) > 1:
		return append(slices.Clone(args[1:]), "--help")
	case args[0] == "help":
		return nil
	}
	return args
}

// words are all commands, those of the API included.
func words() ([]command, error) {
	topics, err := cli.Topics()
	if err != nil {
		return nil, err
	}
	all := commands()
	for _, t := range topics {
		all = append(all, command{group: groupAPI, name: t.Name, summary: t.Summary})
	}
	return all, nil
}

func usage(w world) int {
	all, err := words()
	if err != nil {
		return failed(w, err)
	}
	fmt.Fprint(w.stdout, "Muniment: an identity server whose source of truth is a verifiable event log.\n")
	group := ""
	for _, c := range all {
		if c.group != group {
			group = c.group
			fmt.Fprintf(w.stdout, "\n%s\n\n", group)
		}
		fmt.Fprintf(w.stdout, "  %-16s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w.stdout, "\nmuniment help COMMAND says more. To begin: muniment demo\n")
	return 0
}

// unknown says what may have been meant by a word that is no command; it is
// empty if the word is one.
func unknown(word string) string {
	all, err := words()
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, c := range all {
		names = append(names, c.name)
	}
	// "events export" is "event export"; package cli knows.
	if slices.Contains(names, word) || slices.Contains(names, strings.TrimSuffix(word, "s")) {
		return ""
	}
	return fmt.Sprintf("there is no command %q%s", word, cli.Suggest(word, names))
}

// width is that of the help, in characters.
const width = 80

// line prints a flag: what it does, broken into lines, and its default.
func line(out io.Writer, name, about, otherwise string) {
	if otherwise != "" {
		about += " (" + otherwise + ")"
	}
	fmt.Fprintf(out, "  %s\n", name)
	text := "     "
	for _, word := range strings.Fields(about) {
		if len(text)+1+len(word) > width {
			fmt.Fprintln(out, text)
			text = "     "
		}
		text += " " + word
	}
	fmt.Fprintln(out, text)
}
