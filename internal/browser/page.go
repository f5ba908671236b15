package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Page is one tab with cookies of its own. Its methods fail the test on error,
// so that a test reads as what a person does.
type Page struct {
	t    testing.TB
	ctx  context.Context
	view View

	mu     sync.Mutex
	noises []string // what the console complained about, CSP violations included
}

// Open opens a tab as v says, in a fresh profile (no cookies are shared).
func (b *Browser) Open(t testing.TB, v View) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &Page{t: t, ctx: ctx, view: v}
	opts := []chromedp.EmulateViewportOption{chromedp.EmulateScale(1)}
	if v.Phone {
		opts = []chromedp.EmulateViewportOption{chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch}
	}
	medium, scheme := "screen", "light"
	if v.Print {
		medium = "print"
	}
	if v.Dark {
		scheme = "dark"
	}
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as the context that opens it
		t.Fatalf("open a tab: %v", err)
	}
	p.do("set the view", chromedp.EmulateViewport(v.Width, v.Height, opts...), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media: medium,
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme},
				{Name: "prefers-reduced-motion", Value: "reduce"},
			},
		})
		if err != nil {
			return err
		}
		_, err = cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.NoScript})
		return err
	}))
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatalf("listen to the console: %v", err)
	}
	return p
}

// listen keeps what the page complains about.
func (p *Page) listen(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		// An error status is an answer, not a complaint: pages for faults have one.
		if ev.Entry.Level == log.EntryLevelError && ev.Entry.Source != log.EntrySourceNetwork {
			p.noises = append(p.noises, string(ev.Entry.Source)+": "+ev.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		p.noises = append(p.noises, "exception: "+ev.ExceptionDetails.Text)
	}
}

// Noise returns what the console complained about so far, CSP violations and
// exceptions included, and forgets it.
func (p *Page) Noise() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.noises
	p.noises = nil
	return n
}

// Quiet fails the test if the console complained about anything.
func (p *Page) Quiet() {
	p.t.Helper()
	for _, n := range p.Noise() {
		p.t.Errorf("%s: the browser complains: %s", p.URL(), n)
	}
}

// Go opens an address and waits until it has loaded.
func (p *Page) Go(url string) {
	p.t.Helper()
	p.do("go to "+url, chromedp.Navigate(url))
}

// Fill replaces what stands in a field.
func (p *Page) Fill(selector, value string) {
	p.t.Helper()
	p.do("find "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
	p.Eval(fmt.Sprintf(`document.querySelector(%q).value = ""`, selector))
	p.do("fill "+selector, chromedp.SendKeys(chromedp.CSS(selector), value))
}

// Press sends keys to whatever has the focus.
func (p *Page) Press(keys string) {
	p.t.Helper()
	p.do("press keys", chromedp.KeyEvent(keys))
}

// Click clicks an element that does not lead to another page.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Follow clicks a link or a button and waits until the next page has loaded.
func (p *Page) Follow(selector string) {
	p.t.Helper()
	get(p, "follow "+selector, chromedp.WaitEvent(page.LoadEventFired, nil,
		chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible)))
}

// Wait waits until the element is there and visible.
func (p *Page) Wait(selector string) {
	p.t.Helper()
	p.do("wait for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// Text returns the visible text of the first element that matches.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return strings.TrimSpace(get(p, "text of "+selector, chromedp.Text(chromedp.CSS(selector))))
}

// Has reports whether an element matches now; it does not wait.
func (p *Page) Has(selector string) bool {
	p.t.Helper()
	return len(get(p, "look for "+selector, chromedp.Nodes(chromedp.CSSAll(selector), chromedp.AtLeast(0)))) > 0
}

// URL returns the address of the page.
func (p *Page) URL() string {
	p.t.Helper()
	return get(p, "address of the page", chromedp.Location())
}

// Eval evaluates a JavaScript expression that yields a string. It works with
// the page's own scripts off, too.
func (p *Page) Eval(expression string) string {
	p.t.Helper()
	return get(p, "evaluate "+expression, chromedp.Evaluate[string](expression))
}

// Shot keeps a screenshot of the whole page as name-view.png in the folder
// named by MUNIMENT_SCREENSHOTS; without one it does nothing.
func (p *Page) Shot(name string) {
	p.t.Helper()
	dir := os.Getenv("MUNIMENT_SCREENSHOTS")
	if dir == "" {
		return
	}
	png := get(p, "screenshot of "+name, chromedp.FullScreenshot(100))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(dir, fileName(name)+"-"+fileName(p.view.Name)+".png")
	if err := os.WriteFile(file, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// NoSidewaysScroll fails the test if the page is wider than the window.
func (p *Page) NoSidewaysScroll() {
	p.t.Helper()
	wide := p.Eval(`String(document.documentElement.scrollWidth > document.documentElement.clientWidth + 1)`)
	if wide == "true" {
		p.t.Errorf("%s is wider than the window (%s)", p.URL(), p.view.Name)
	}
}

func (p *Page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	get(p, what, chromedp.Steps(steps...))
}

// get runs one action and returns its value; it fails the test if that takes
// longer than stepLimit.
func get[T any](p *Page, what string, a chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepLimit)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	for ctx.Err() == nil && outdated(err) {
		time.Sleep(10 * time.Millisecond)
		v, err = chromedp.Run(ctx, a)
	}
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// outdated reports whether an element, or the page's scripts, were found in a
// document that another took the place of before anything was done with them.
// The browser announces the new one a moment after it has loaded.
func outdated(err error) bool {
	if err == nil {
		return false
	}
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "node with given id") || strings.Contains(text, "context with specified id")
}

// Until waits until the first element that matches has the text, through
// however many pages, and fails the test if that takes longer than twenty seconds.
func (p *Page) Until(selector, text string) {
	p.t.Helper()
	script := fmt.Sprintf(`document.querySelector(%q)?.textContent.trim() ?? ""`, selector)
	var last string
	for range 200 {
		// A page that is being left has no answer; ask the next one.
		if got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](script)); err == nil {
			if last = got; got == text {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Fatalf("%s: %s has the text %q, not %q", p.URL(), selector, last, text)
}
