package page

import (
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// funcs are what templates can call.
func (s *Site) funcs() template.FuncMap {
	return template.FuncMap{
		"asset":    s.Asset,
		"icon":     s.icon,
		"time":     exactTime,
		"ago":      func(t time.Time) template.HTML { return relativeTime(t, s.now()) },
		"day":      func(t time.Time) string { return dayName(t, s.now()) },
		"until":    minuteTime,
		"sentence": Sentence,
		"short":    shortID,
		"erased":   func() template.HTML { return erasedMark },
		"initials": initials,
		"count":    count,
		"params":   withParams,
		"dict":     dict,
		"lines":    func(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") },
	}
}

// icon returns an embedded drawing, for decoration beside a text.
func (s *Site) icon(name string) (template.HTML, error) {
	h, ok := s.icons[name]
	if !ok {
		return "", fmt.Errorf("page: no icon %q", name)
	}
	return h, nil
}

// exactTime shows a time to the second in UTC; its title has microseconds, the
// resolution of the log.
func exactTime(t time.Time) template.HTML {
	if t.Unix() <= 0 {
		return "–"
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s UTC">%s</time>`,
		t.Format(time.RFC3339Nano), t.Format("Monday, 2 January 2006, 15:04:05.000000"), t.Format("2006-01-02 15:04:05")))
}

// minuteTime shows a time to the minute, in words.
func minuteTime(t time.Time) template.HTML {
	if t.Unix() <= 0 {
		return "–"
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s UTC</time>`, t.Format(time.RFC3339), t.Format("2 January 2006, 15:04")))
}

// Sentence makes a sentence of a message: a capital first, a stop last.
func Sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || r == utf8.RuneError {
		return s
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

// relativeTime shows how long ago t was, with the exact time as title.
func relativeTime(t, now time.Time) template.HTML {
	if t.Unix() <= 0 {
		return "–"
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s UTC">%s</time>`,
		t.Format(time.RFC3339Nano), t.Format("2006-01-02 15:04:05.000000"), relative(t, now)))
}

// relative says in words how far t lies from now.
func relative(t, now time.Time) string {
	d := now.Sub(t)
	if d < 0 {
		d = -d
		switch {
		case d < time.Minute:
			return "in a moment"
		case d < time.Hour:
			return "in " + many(int(d.Minutes()), "minute")
		case d < 48*time.Hour:
			return "in " + many(int(d.Hours()), "hour")
		}
		return "on " + t.Format("2 Jan 2006")
	}
	switch {
	case d < 10*time.Second:
		return "just now"
	case d < time.Minute:
		return many(int(d.Seconds()), "second") + " ago"
	case d < time.Hour:
		return many(int(d.Minutes()), "minute") + " ago"
	case d < 24*time.Hour:
		return many(int(d.Hours()), "hour") + " ago"
	case d < 14*24*time.Hour:
		return many(int(d.Hours()/24), "day") + " ago"
	case t.Year() == now.Year():
		return t.Format("2 Jan")
	}
	return t.Format("2 Jan 2006")
}

// dayName names the UTC day of t: "Today", "Yesterday", or in full.
func dayName(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	switch t.Format(time.DateOnly) {
	case now.Format(time.DateOnly):
		return "Today"
	case now.AddDate(0, 0, -1).Format(time.DateOnly):
		return "Yesterday"
	}
	if t.Year() == now.Year() {
		return t.Format("Monday, 2 January")
	}
	return t.Format("Monday, 2 January 2006")
}

// many writes a number with its noun.
func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shortID shows the first eight characters of an id; its title has all.
func shortID(id string) template.HTML {
	if len(id) <= 12 {
		return template.HTML(`<code class="id">` + template.HTMLEscapeString(id) + `</code>`)
	}
	full := template.HTMLEscapeString(id)
	return template.HTML(`<code class="id" title="` + full + `">` + template.HTMLEscapeString(id[:8]) + `</code>`)
}

// erasedMark stands where a person's data stood.
const erasedMark template.HTML = `<span class="erased" title="The key to this was destroyed. Nobody can read it any more.">erased</span>`

// initials returns one or two capital letters for a name, "·" for none.
func initials(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) == 0 {
		return "·"
	}
	first, _ := utf8.DecodeRuneInString(words[0])
	out := string(unicode.ToUpper(first))
	if len(words) > 1 {
		last, _ := utf8.DecodeRuneInString(words[len(words)-1])
		out += string(unicode.ToUpper(last))
	}
	return out
}

// count writes a whole number with thin spaces between thousands.
func count(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// withParams returns path with the given names and values set in its query;
// an empty value removes the name. Templates write {{params "/x?a=1" "b" "2"}}.
func withParams(path string, pairs ...string) (string, error) {
	if len(pairs)%2 != 0 {
		return "", fmt.Errorf("page: a name without a value")
	}
	u, err := url.Parse(path)
	if err != nil {
		return "", err
	}
	q := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			q.Del(pairs[i])
			continue
		}
		q.Set(pairs[i], pairs[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// dict makes a map of names and values, to pass several to a template.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("page: a name without a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		k, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("page: a name that is not text")
		}
		m[k] = pairs[i+1]
	}
	return m, nil
}
