package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"muniment.dev/fault"
)

//go:embed html/*.html
var layoutFiles embed.FS

// Layout is the frame around a page's own content.
type Layout string

// The layouts.
const (
	Card  Layout = "card"  // one thing to do, in the middle: sign-in, questions, faults
	Frame Layout = "frame" // navigation at the side: the console
)

// Pages are the templates of one package over one layout.
type Pages struct {
	site   *Site
	layout Layout
	byName map[string]func() (*template.Template, error)
}

// Pages parses the files *.html of dir. Each is a page that defines "content"
// and may define "crumbs" and "actions"; those whose name begins with an
// underscore are shared by all pages. A nil dir has the page for faults only.
// More adds functions for templates; it may be nil.
func (s *Site) Pages(dir fs.FS, layout Layout, more template.FuncMap) (*Pages, error) {
	own := func() *template.Template { return template.New("page").Funcs(s.funcs()).Funcs(more) }
	root, err := own().ParseFS(layoutFiles, "html/base.html", "html/pieces.html", "html/"+string(layout)+".html")
	if err != nil {
		return nil, err
	}
	var names []string
	if dir != nil {
		if names, err = fs.Glob(dir, "*.html"); err != nil {
			return nil, err
		}
		for _, n := range names {
			if strings.HasPrefix(n, "_") {
				if _, err := root.ParseFS(dir, n); err != nil {
					return nil, err
				}
			}
		}
	}
	p := &Pages{site: s, layout: layout, byName: map[string]func() (*template.Template, error){}}
	add := func(from fs.FS, file string) error {
		p.byName[strings.TrimSuffix(path.Base(file), ".html")] = sync.OnceValues(func() (*template.Template, error) { return whole(root, from, file) })
		_, err := own().ParseFS(from, file) // mistakes are found at the start
		return err
	}
	for _, file := range []string{"html/fault.html", "html/onward.html"} {
		if err := add(layoutFiles, file); err != nil {
			return nil, err
		}
	}
	for _, n := range names {
		if !strings.HasPrefix(n, "_") {
			if err := add(dir, n); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// whole puts a page into its layout, with the pieces that all share: a copy of
// its own, since pages define the same names. It is made when the page is asked
// for; those of all pages are a third of what a server that starts holds.
func whole(root *template.Template, from fs.FS, file string) (*template.Template, error) {
	t, err := root.Clone()
	if err != nil {
		return nil, err
	}
	return t.ParseFS(from, file)
}

// page finds the template of a page.
func (p *Pages) page(name string) (*template.Template, error) {
	t, ok := p.byName[name]
	if !ok {
		return nil, fmt.Errorf("page: no template %q", name)
	}
	return t()
}

// View is what one page shows.
type View struct {
	Title  string // of the document, without the product's name
	Nav    string // key of the current place in the navigation; Frame only
	Menu   *Menu  // Frame only
	Script string // name of an asset that improves the page; it must work without
	Calls  bool   // the script fetches from this site
	Reload int    // without JavaScript, load the page again after so many seconds; 0: not
	Next   string // own path to which the browser goes on at once; see [Site.Onward]
	Travel any    // the page's way through time, for the template "travel"; nil: none
	Data   any    // for the page's template
}

// Menu is the navigation at the side.
type Menu struct {
	Groups []MenuGroup
	Name   string // who is signed in, as people call them
	Detail string // a second line, such as an e-mail address
}

// MenuGroup is a list of places with an optional heading.
type MenuGroup struct {
	Heading string
	Items   []MenuItem
}

// MenuItem is a place to go.
type MenuItem struct{ Key, Label, Href, Icon string }

// shown is what templates see as the dot, and as $.
type shown struct {
	View
	Site  string // the installation's name
	Token string // for the hidden field of every form
	Note  *Note
	Path  string
}

// Render writes a page, with the note kept for it if there is one. It renders
// before it writes, so a page is whole or a fault.
func (p *Pages) Render(w http.ResponseWriter, r *http.Request, status int, name string, v View) {
	t, err := p.page(name)
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	var b bytes.Buffer
	s := shown{View: v, Site: p.site.called(r.Context()), Token: p.site.Token(w, r), Note: p.site.note(w, r), Path: r.URL.Path}
	if err := t.ExecuteTemplate(&b, "base", s); err != nil {
		if name == "fault" { // no page can be shown, not even this one
			p.site.log.ErrorContext(r.Context(), "render the page for faults", "err", err)
			http.Error(w, "something went wrong on our side; it was logged", http.StatusInternalServerError)
			return
		}
		p.site.Fail(w, r, fmt.Errorf("render page %s: %w", name, err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	if v.Calls {
		h.Set("Content-Security-Policy", policy("connect-src 'self'"))
	}
	if p.layout == Frame {
		// Not for the card: applications open sign-in in a pop-up and watch it.
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(b.Bytes())
	}
}

// Onward leads the browser on to an own path after a form, by a page that goes
// there at once instead of by a redirect.
//
// Browsers apply form-action to every redirect that follows a form, however
// many and to wherever (Chromium does, and it is what CSP 3 §6.4 says of
// navigation). A sign-in ends at the application, which may redirect further; to
// allow that by name would need a list that nobody has. A page in between ends
// the form's navigation, so form-action can stay 'self' everywhere. Without
// meta refresh there is a link.
func (s *Site) Onward(w http.ResponseWriter, r *http.Request, path string) {
	if !OwnPath(path) {
		s.Fail(w, r, fault.New(fault.Invalid, "the way back is not a page of this site"))
		return
	}
	s.faults.Render(w, r, http.StatusOK, "onward", View{Title: "One moment", Next: path})
}

// OwnPath reports whether p is a path on this site, in its plain form: it
// begins with one slash and holds no character by which browsers would take it
// for another host.
func OwnPath(p string) bool {
	if len(p) == 0 || len(p) > 8192 || p[0] != '/' || strings.HasPrefix(p, "//") {
		return false
	}
	for i := range len(p) {
		if c := p[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

// Piece writes one of the templates of a page by itself, for a script to put
// into the page that is open.
func (p *Pages) Piece(w io.Writer, name, piece string, data any) error {
	t, err := p.page(name)
	if err != nil {
		return err
	}
	return t.ExecuteTemplate(w, piece, data)
}
