package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	chromium "muniment.dev/internal/browser"
)

// desk is what a document about an application begins with: the first four steps of
// the quickstart, done, and Grace before a browser.
type desk struct {
	*shell
	server string // address
	grace  *chromium.Page
}

const gracePassword = "nanoseconds of wire"

// startDesk does the first four steps of the quickstart, as they stand there.
func startDesk(t *testing.T) *desk {
	t.Helper()
	b := chromium.Start(t)
	text := read(t, "../../docs/quickstart.md")
	steps, _, found := strings.Cut(text, "\n## 5. ")
	if !found {
		t.Fatal("the quickstart has no fifth step")
	}
	server := freeAddress(t)
	_, port, _ := strings.Cut(server, ":")
	owner, grace := newPerson(t, "you@example.org", ownerPassword), newPerson(t, "grace@example.org", gracePassword)
	d := &desk{server: "http://localhost:" + port,
		shell: startShell(t, append(stores(t), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "DISPLAY=:0", "PERSON_EMAIL="+owner.email, "PERSON_PASSWORD="+owner.password)...)}
	steps = strings.NewReplacer("localhost:8300", "localhost:"+port, "muniment serve ", "exec muniment serve --listen "+server+" ").Replace(steps)
	for _, m := range fenced.FindAllStringSubmatch(steps, -1) {
		switch {
		case m[1] != "sh":
		case strings.Contains(m[2], "muniment serve"):
			d.background(m[2], "serve")
			owner.useLink(d.await("serve", `(?m)^  (http\S+/setup/\S+)$`))
		default:
			if printed := d.run(m[2]); strings.Contains(m[2], "create-setup-link") {
				grace.useLink(regexpFirst(t, `(?m)^(http\S+/setup/\S+)$`, printed))
			}
		}
	}
	d.grace = b.Open(t, chromium.Views()[0])
	return d
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// save keeps a piece of the document as a file.
func (d *desk) save(path, content string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, path), []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// signIn is what Grace does on the page that asks who she is.
func (d *desk) signIn() {
	d.grace.Fill("#email", "grace@example.org")
	d.grace.Fill("#password", gracePassword)
	d.grace.Follow("button.act")
}

// The document about Node does what it says, and a client that is not ours,
// oauth4webapi, signs in, renews and signs out unmodified.
func TestBrowserNode(t *testing.T) {
	modules := filepath.Dir(chromium.Package(t, "oauth4webapi"))
	d, app := startDesk(t), freeAddress(t)
	doc := strings.NewReplacer("127.0.0.1:8081", app, "listen(8081", "listen("+app[strings.Index(app, ":")+1:],
		"npm install oauth4webapi", "ln -s "+modules+" node_modules", "\nnode desk.mjs", "\nexec node desk.mjs").Replace(read(t, "../../docs/how-to/node.md"))
	ran := 0
	for _, m := range fenced.FindAllStringSubmatch(doc, -1) {
		switch block := m[2]; {
		case m[1] == "js":
			d.save("desk-node/desk.mjs", block)
		case m[1] != "sh":
			continue
		case strings.Contains(block, "exec node"):
			d.background(block, "desk")
			d.await("desk", "(Travel desk at)")
			d.nodeSignsIn("http://" + app)
		default:
			d.run(block)
			d.nodeAfter(block, "http://"+app)
		}
		ran++
	}
	if ran != 7 {
		t.Errorf("%d pieces of the document were run", ran)
	}
	if t.Failed() {
		t.Log(read(t, filepath.Join(d.dir, "desk.out")))
	}
}

// nodeSignsIn wants Grace to be signed in to the application in Node, and to
// have signed out again.
func (d *desk) nodeSignsIn(app string) {
	d.t.Helper()
	d.grace.Go(app)
	for range 2 { // after signing out, who she is has to be proved again
		d.grace.Follow("a")
		d.signIn()
		d.grace.Until("#who", "Welcome, Grace Hopper. Here you are: approver.")
		d.grace.Follow("form[action='/sign-out'] button")
		d.grace.Until("main p", "Nobody is signed in. Sign in")
	}
	d.grace.Follow("a")
	d.signIn()
	d.grace.Until("#who", "Welcome, Grace Hopper. Here you are: approver.")
}

// nodeAfter looks at the page after a command of the document.
func (d *desk) nodeAfter(block, app string) {
	d.t.Helper()
	switch {
	case strings.Contains(block, "withdraw-role"):
		d.grace.Go(app)
		d.grace.Until("#who", "Welcome, Grace Hopper. Here you are: nobody in particular.")
		for _, want := range []string{"1", "2"} {
			d.grace.Follow("form[action='/renew'] button")
			d.grace.Until("#renewed", "Access tokens renewed: "+want)
		}
	case strings.Contains(block, "user deactivate"):
		d.grace.Go(app)
		d.grace.Until("#over", "You are not signed in any more. Sign in")
	}
}

// The document about single-page applications does what it says, and a client
// that is not ours, oidc-client-ts, signs in, renews and signs out in a browser,
// from the origin that is registered and from no other.
func TestBrowserSinglePage(t *testing.T) {
	modules := filepath.Dir(chromium.Package(t, "oidc-client-ts"))
	d := startDesk(t)
	files := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(d.dir, "desk-page", "page"))))
	t.Cleanup(files.Close)
	doc := strings.NewReplacer("http://127.0.0.1:8082", files.URL, "http://localhost:8300", d.server,
		"npm install oidc-client-ts", "ln -s "+modules+" node_modules").Replace(read(t, "../../docs/how-to/spa.md"))
	ran := 0
	for _, m := range fenced.FindAllStringSubmatch(doc, -1) {
		switch block := m[2]; {
		case m[1] == "html":
			d.save("desk-page/page/index.html", block)
		case m[1] == "js":
			d.save("desk-page/page/app.js", block)
			d.pageSignsIn(files.URL)
		case m[1] != "sh":
			continue
		default:
			d.run(block)
			d.pageAfter(block, files.URL)
		}
		ran++
	}
	if ran != 7 {
		t.Errorf("%d pieces of the document were run", ran)
	}
}

// pageSignsIn wants Grace to be signed in to the single-page application, and
// to have signed out again.
func (d *desk) pageSignsIn(app string) {
	d.t.Helper()
	d.grace.Go(app)
	for range 2 { // after signing out, who she is has to be proved again
		d.grace.Click("#sign-in")
		d.signIn()
		d.grace.Until("#who", "Welcome, Grace Hopper. Here you are: approver.")
		d.grace.Click("#sign-out")
		d.grace.Until("#who", "Nobody is signed in.")
	}
	d.grace.Click("#sign-in")
	d.signIn()
	d.grace.Until("#who", "Welcome, Grace Hopper. Here you are: approver.")
	d.grace.Shot("single-page-application")
	d.grace.Accessible()
	d.grace.Quiet()
}

// pageAfter looks at the page after a command of the document.
func (d *desk) pageAfter(block, app string) {
	d.t.Helper()
	switch {
	case strings.Contains(block, "withdraw-role"):
		d.grace.Go(app)
		d.grace.Until("#who", "Welcome, Grace Hopper. Here you are: nobody in particular.")
		for _, want := range []string{"1", "2"} {
			d.grace.Click("#renew")
			d.grace.Until("#renewed", "Access tokens renewed: "+want)
		}
		d.grace.Quiet()
	case strings.Contains(block, "change-allowed-origins") && !strings.Contains(block, app):
		d.grace.Go(app)
		d.grace.Until("#who", "That did not work. Is this origin registered?")
	case strings.Contains(block, "change-allowed-origins"):
		d.grace.Go(app)
		d.grace.Until("#who", "Welcome, Grace Hopper. Here you are: nobody in particular.")
	}
}

// The document about an API does what it says, and oauth4webapi gets a token by
// client credentials and has it introspected. No browser is needed, but the
// package is, which is there where the browser is.
func TestBrowserNodeAPI(t *testing.T) {
	modules := filepath.Dir(chromium.Package(t, "oauth4webapi"))
	d, api := startDesk(t), freeAddress(t)
	doc := strings.NewReplacer("127.0.0.1:8083", api, "listen(8083", "listen("+api[strings.Index(api, ":")+1:],
		"npm install oauth4webapi", "ln -s "+modules+" node_modules", "\nnode api.mjs", "\nexec node api.mjs").Replace(read(t, "../../docs/how-to/node-api.md"))
	files, printed := []string{"trips/api.mjs", "trips/robot.mjs"}, ""
	for _, m := range fenced.FindAllStringSubmatch(doc, -1) {
		switch block := m[2]; {
		case m[1] == "js":
			d.save(files[0], block)
			files = files[1:]
		case m[1] != "sh":
			continue
		case strings.Contains(block, "exec node"):
			d.background(block, "api")
			d.await("api", "(Trips at)")
		default:
			printed += d.run(block)
		}
	}
	for _, want := range []string{"200 One trip waits for approval: Zurich to Lisbon.\n", "HTTP/1.1 401 Unauthorized", "Who are you?", "refused: 401\n"} {
		if !strings.Contains(printed, want) {
			t.Errorf("nothing printed %q", want)
		}
	}
	if t.Failed() {
		t.Log(printed, read(t, filepath.Join(d.dir, "api.out")))
	}
}
