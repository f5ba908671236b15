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

// curl is the line by which a program gets what a page shows. Names without a
// value are left out.
func (v *visit) curl(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Add(pairs[i], pairs[i+1])
		}
	}
	address := v.c.Site.Origin() + path
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	return `curl -H "Authorization: Bearer $MUNIMENT_TOKEN" '` + strings.ReplaceAll(address, "'", "%27") + `'`
}
