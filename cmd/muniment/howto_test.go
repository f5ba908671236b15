package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The commands of the document about permissions do what it says.
func TestHowToPermissions(t *testing.T) {
	in := install(t)
	sh := startShell(t, "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "DISPLAY=:0", "PERSON_EMAIL="+in.owner.email, "PERSON_PASSWORD="+in.owner.password)
	sh.run("muniment login --url " + in.url)
	sh.run("ORGANIZATION=$(muniment organization list --output id | head -n 1)")
	for _, who := range []string{"ANALYTICS", "FRAUD"} {
		sh.run(who + "=$(muniment user create-machine --organization-id $ORGANIZATION --name " + who + " --output user_id)")
	}
	var printed strings.Builder
	pieces := fences(t, "permissions", "")
	for _, piece := range pieces {
		printed.WriteString(sh.run(piece) + "\n")
	}
	for _, want := range []string{`EVENT_RIGHT_PUBLISH|publish`, `refund-\*`, `order-created`} {
		if !regexp.MustCompile(want).MatchString(printed.String()) {
			t.Errorf("nothing printed %s", want)
		}
	}
	if left := sh.run("muniment permission list --user-id $SHOP --output event_types"); len(pieces) != 5 || strings.TrimSpace(left) != "refund-*" {
		t.Errorf("after %d pieces the shop may publish %q:\n%s", len(pieces), left, printed.String())
	}
}

// The commands of the document about events do what it says: they run in one
// shell, in their order, against a fresh server.
func TestHowToEvents(t *testing.T) {
	runHowTo(t, "events", `user\.registered`, `instance\.created\s+instance`, `"before"`, `\n1\n`, `\{"export":\{"complete":"true","count":"\d+","position":"\d+"\}\}`,
		`output organization.name\nElsewhere\n`, `output organization.name\nHome\n`, `"after": \{\s*"value": "Elsewhere"`, `"MEMBER_ROLE_OWNER"`)
}

// So do those of the document about subscriptions.
func TestHowToSubscriptions(t *testing.T) {
	runHowTo(t, "subscriptions", `event\.position,event\.sentence\n\d+\s+.*\n\d+\s+`, `position,failure,attempts\n\d+\s+rejected\s+1\n`, `whsec_[A-Za-z0-9+/=]{44}\n`, `\s+whsec_[A-Za-z0-9+/=]{44}\n`,
		`Billing\s+active`, `"failure": "rejected"`)
}

// runHowTo runs the commands of a document and looks for what they are to print.
func runHowTo(t *testing.T, name string, wants ...string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/how-to/" + name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	in := install(t)
	sh := startShell(t, "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "DISPLAY=:0", "PERSON_EMAIL="+in.owner.email, "PERSON_PASSWORD="+in.owner.password)
	sh.run("muniment login --url " + in.url)
	var printed strings.Builder
	for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "sh" {
			continue
		}
		for command := range strings.SplitSeq(strings.TrimSpace(m[2]), "\n") {
			printed.WriteString("$ " + command + "\n" + sh.run(command) + "\n")
		}
	}
	for _, want := range wants {
		if !regexp.MustCompile(want).MatchString(printed.String()) {
			t.Errorf("nothing printed %s", want)
		}
	}
	if t.Failed() {
		t.Log(printed.String())
	}
}
