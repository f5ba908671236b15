package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"muniment.dev/fault"
	"muniment.dev/page"
)

// question asks before something is done; the data of question.html. The form
// posts to the address of the page.
type question struct {
	Heading string
	Lede    string
	Points  []string // what follows
	Danger  bool
	Button  string
	Back    string // own path
	Nav     string
	Reason  bool   // ask why; it becomes part of the record
	Type    string // what has to be typed to go on; empty: nothing
	Typed   string // what Type is, in words: "their e-mail address"
	Problem string
	Command string
}

// ask shows a question.
func (v *visit) ask(q question) error {
	return v.showAs(http.StatusOK, "question", page.View{Nav: q.Nav, Title: q.Heading, Data: q})
}

// confirmed reports whether what had to be typed was typed. If not it shows the
// question again.
func (v *visit) confirmed(q question) (bool, error) {
	if q.Type == "" || strings.EqualFold(v.form("typed"), q.Type) {
		return true, nil
	}
	q.Problem, q.Command = "This is not "+q.Typed+". Nothing was done.", v.command()
	return false, v.showAs(http.StatusUnprocessableEntity, "question", page.View{Nav: q.Nav, Title: q.Heading, Data: q})
}

// formStatus returns the status of a form that is shown again because of err;
// not ok if err is not about what was typed.
func formStatus(err error) (status int, ok bool) {
	switch k := fault.KindOf(err); k {
	case fault.Invalid:
		return http.StatusUnprocessableEntity, true
	case fault.Exists, fault.Refused, fault.Conflict, fault.Exhausted, fault.Unknown, fault.Denied, fault.NotFound:
		return page.Status(k), true
	}
	return 0, false
}

// faultField is the field at fault, "" if none.
func faultField(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Field
	}
	return ""
}

// lines splits what was typed into a text area, one value per line.
func lines(s string) []string {
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// same is how a program gets what a page shows: over REST, and by the command
// line.
type same struct{ REST, CLI string }

// same writes a request in both forms, as of the point that the page shows.
// Names without a value are left out; command is the command line's, without
// "muniment", empty if it has none.
func (v *visit) same(command, path string, pairs ...string) same {
	pairs = append(pairs, v.point()...)
	q := url.Values{}
	line := "muniment " + command
	for i := 0; i < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		if value == "" {
			continue
		}
		q.Add(name, value)
		flag := strings.ReplaceAll(name[strings.LastIndexByte(name, '.')+1:], "_", "-")
		for _, point := range []string{"at", "from", "to"} {
			if flag == point+"-position" || flag == point+"-time" {
				flag = point
			}
		}
		if line += " --" + flag; value != "true" {
			line += " " + shell(value)
		}
	}
	address := v.c.Site.Origin() + path
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	out := same{REST: `curl -H "Authorization: Bearer $MUNIMENT_TOKEN" '` + strings.ReplaceAll(address, "'", "%27") + `'`}
	if command != "" {
		out.CLI = line
	}
	return out
}

// shell quotes a word for a shell, if it must be.
func shell(s string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/@", r))
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
