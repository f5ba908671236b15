// Package browser drives a real, headless Chromium in tests: it opens pages as
// a person would see them (phone or desktop, light or dark, with or without
// JavaScript), takes screenshots and has axe-core look for barriers.
//
// The environment decides what a test does:
//
//	MUNIMENT_CHROMIUM         path of the browser; else chromium, chromium-browser or google-chrome from PATH
//	MUNIMENT_AXE              path of axe-core's axe.min.js
//	MUNIMENT_NPM              folder whose node_modules holds the clients of others that sign in through us
//	MUNIMENT_SCREENSHOTS      folder for the screenshots; none are kept without it
//	MUNIMENT_REQUIRE_BROWSER  1: a missing browser or axe-core fails the test instead of skipping it
//
// It is for tests only and imports nothing of the product.
package browser

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// stepLimit bounds each thing that a page does in a test.
const stepLimit = 15 * time.Second

// Browser is a running Chromium with a profile of its own, which ends with the test.
type Browser struct {
	ctx context.Context
}

// Start starts a browser for the length of the test. Without one on the machine
// it skips the test, or fails it where MUNIMENT_REQUIRE_BROWSER=1.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := find()
	if path == "" {
		missing(t, "no Chromium found: install Debian's package chromium, or name one in MUNIMENT_CHROMIUM")
	}
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path),
		chromedp.Headless, // --headless
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("lang", "en-GB"),
		chromedp.UserDataDir(t.TempDir()),
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // closes the browser and waits for it
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return &Browser{ctx: ctx}
}

// find returns the path of the browser, or "" if there is none.
func find() string {
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	if p := os.Getenv("MUNIMENT_CHROMIUM"); p != "" {
		names = []string{p}
	}
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return p
		}
	}
	return ""
}

// missing skips the test, or fails it where the run must have everything.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("MUNIMENT_REQUIRE_BROWSER") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Package is the folder of an npm package in the folder that MUNIMENT_NPM names.
// Without it, it skips the test, or fails it where MUNIMENT_REQUIRE_BROWSER=1.
func Package(t testing.TB, name string) string {
	t.Helper()
	folder := filepath.Join(os.Getenv("MUNIMENT_NPM"), "node_modules", name)
	if _, err := os.Stat(folder); err != nil || !filepath.IsAbs(folder) {
		missing(t, name+" is not there: npm install "+name+" in a folder, and name that in MUNIMENT_NPM")
	}
	return folder
}

// View is how a page is looked at.
type View struct {
	Name          string
	Width, Height int64 // CSS pixels
	Phone         bool  // touch, mobile viewport
	Dark          bool  // prefers-color-scheme: dark
	NoScript      bool  // JavaScript off
	Print         bool  // as on paper
}

// Views returns the four ways in which every page is looked at. The second phone
// is as narrow as WCAG 2.2 §1.4.10 (reflow) asks for.
func Views() []View {
	return []View{
		{Name: "desktop-light", Width: 1280, Height: 800},
		{Name: "desktop-dark", Width: 1280, Height: 800, Dark: true},
		{Name: "phone-light", Width: 390, Height: 844, Phone: true},
		{Name: "phone-dark", Width: 320, Height: 640, Phone: true, Dark: true},
	}
}

// Plain is a desktop view with JavaScript off.
func Plain() View {
	return View{Name: "noscript", Width: 1280, Height: 800, NoScript: true}
}

// fileName makes a file name of what a test calls a page.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
}
