package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"muniment.dev/internal/postgres"
)

// The how-to of several instances does what it says: its commands run in one
// shell, in their order; persons stand in for the browsers of the two owners.
func TestInstancesHowTo(t *testing.T) {
	postgres.SkipIfChosen(t)
	text, err := os.ReadFile("../../docs/how-to/instances.md")
	if err != nil {
		t.Fatal(err)
	}
	server := freeAddress(t)
	_, port, _ := strings.Cut(server, ":")
	doc := strings.NewReplacer("localhost:8300", "localhost:"+port, "muniment serve ", "exec muniment serve --listen "+server+" ").Replace(string(text))
	owner, ada := newPerson(t, "you@example.org", ownerPassword), newPerson(t, "ada@acme.example", ownerPassword)
	ada.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { // not every resolver knows acme.localhost
		return (&net.Dialer{}).DialContext(ctx, "tcp", server)
	}}
	sh := startShell(t, "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "DISPLAY=:0", "PERSON_EMAIL="+owner.email, "PERSON_PASSWORD="+owner.password)
	ran := 0
	for _, m := range fenced.FindAllStringSubmatch(doc, -1) {
		if m[1] != "sh" {
			continue
		}
		block, printed := m[2], ""
		if strings.Contains(block, "exec muniment serve") {
			sh.background(block, "serve")
			owner.useLink(sh.await("serve", `(?m)^  (http\S+/setup/\S+)$`))
		} else {
			printed = sh.run(block)
		}
		for command, want := range map[string]string{"instance create-owner-link": `http://acme\.localhost`, "instance get $ACME": `acme\.localhost/[0-9a-f]{32}\+`, "muniment restore": `(?i)verified`, "instance list": `(?i)destroyed|deleted`} {
			if strings.Contains(block, command) && !regexp.MustCompile(want).MatchString(printed) {
				t.Errorf("%sprinted\n%s\nwithout %s", block, printed, want)
			}
		}
		if strings.Contains(block, "create-owner-link") { // and from now on it is Ada's
			ada.useLink(regexpFirst(t, `(?m)(http://acme\S+/setup/\S+)`, printed))
			ada.open("http://acme.localhost:" + port + "/console")
			if !strings.Contains(ada.last, "ada@acme.example") {
				t.Errorf("Ada sees %s", ada.title())
			}
			if out := sh.run("muniment hosted-instance create-owner-link $ACME 2>&1 || true"); !strings.Contains(out, "signed in to this instance already") {
				t.Errorf("another link: %s", out)
			}
		}
		ran++
	}
	if ran < 9 {
		t.Errorf("only %d pieces of the document were run", ran)
	}
}
