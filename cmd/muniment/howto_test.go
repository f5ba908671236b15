package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The commands of the document about events do what it says: they run in one
// shell, in their order, against a fresh server.
func TestHowToEvents(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-to/events.md")
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
	for _, want := range []string{`user\.registered`, `instance\.created\s+instance`, `"before"`, `\n1\n`, `\{"export":\{"complete":"true","count":"\d+","position":"\d+"\}\}`,
		`output organization.name\nElsewhere\n`, `output organization.name\nHome\n`, `"after": \{\s*"value": "Elsewhere"`, `"MEMBER_ROLE_OWNER"`} {
		if !regexp.MustCompile(want).MatchString(printed.String()) {
			t.Errorf("nothing printed %s", want)
		}
	}
	if t.Failed() {
		t.Log(printed.String())
	}
}
