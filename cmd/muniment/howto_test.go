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
		`Billing\s+active`, `"failure": "rejected"`, `head -n 3 streamed.txt\n\d+\s+user\.`)
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

// The commands of the document about entities do what it says; and whatever
// looks at a log from outside knows its customers' types afterwards.
func TestHowToEntities(t *testing.T) {
	in := install(t)
	sh := startShell(t, append(in.stores, "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "DISPLAY=:0", "PERSON_EMAIL="+in.owner.email, "PERSON_PASSWORD="+in.owner.password)...)
	sh.run("muniment login --url " + in.url)
	var printed strings.Builder
	for _, piece := range fences(t, "entities", "") {
		printed.WriteString(sh.run(piece) + "\n")
	}
	for _, want := range []string{`1 entity type and 2 event types are well defined`, `\+ event household-moved revision 1: is added`, `Applied at position \d+`, `card +text +sealed, unique within instance`,
		`would be recorded`, `household-registered version 1\n`, `household-registered version 1  was recorded before`, `household-moved version 2`,
		`entity\.data\.address +\{"street":"High Street"`, `0198a5c2-7d1e-7a40-9f3b-5b6c7d8e9f01 +2`, `village "Ockham" → "London" +asked for it`, `registered household 0198a5c2 in Ockham`,
		`\n\{.*"village":"Ockham".*\}\n`, `"before": "\\"Ockham\\""`, `proof: valid`, `1 entity was folded anew from 2 events`, `2 entities were folded anew from 3 events`, `entity\.erased +name, card, address`} {
		if !regexp.MustCompile(want).MatchString(printed.String()) {
			t.Errorf("nothing printed %s", want)
		}
	}
	sh.expect(t, "1", "muniment entity publish --type household-moved --entity-id $HOUSEHOLD --data-json '{\"village\": 7}'", `event 1: data/village: `)
	sh.expect(t, "1", `mkdir bad; echo '{"x-entity-type": "household", "type": "object", "properties": {"a": {"x-serch": "exact"}, "b": {"x-ref": 7}}}' > bad/h.json; muniment schema plan bad`, `(?s)mistakes:.*h\.json#/properties/a.*h\.json#/properties/b`)
	if t.Failed() {
		t.Log(printed.String())
	}
	customersTypesOutside(t, in, sh)
}

// customersTypesOutside looks at the log of a server and stops it in between.
func customersTypesOutside(t *testing.T, in *installation, sh *shell) {
	t.Helper()
	where := in.data
	if len(in.stores) > 0 {
		where = strings.TrimPrefix(in.stores[0], "MUNIMENT_DATABASE=")
	}
	sh.run("DATA='" + in.data + "' LOG='" + where + "' FIRST=" + "$(muniment timeline household:$HOUSEHOLD --plain | head -n 1 | awk '{print $1}')")
	sh.expect(t, "0", "muniment timeline household:$HOUSEHOLD --data $LOG", `(?s)registered household 0198a5c2 in Ockham.*/name=\((withheld|erased)\).*/village=Ockham`)
	sh.expect(t, "0", "muniment inspect $FIRST --data $LOG --key '"+in.key+"'", `proof: valid, and signed`)
	sh.expect(t, "0", "muniment verify $LOG --key '"+in.key+"'", `VERIFIED`)
	sh.expect(t, "0", "muniment views check $DATA", `are what the log says`)
	if len(in.stores) == 0 {
		sh.expect(t, "0", "mkdir backups keys-backups; muniment backup $DATA --to backups --keys-to keys-backups --key '"+in.key+"'", `verified +yes`)
	}
	in.stop()
	if len(in.stores) > 0 {
		return // commands about directories follow
	}
	sh.expect(t, "0", "muniment views check $DATA", `are what the log says`)
	sh.expect(t, "0", "rm -f $DATA/views.db*; muniment views rebuild $DATA", `were rebuilt`)
	sh.expect(t, "0", "muniment timeline household:0198a5c2-7d1e-7a40-9f3b-5b6c7d8e9f02 --data $DATA --unseal", `/name=Hopper`)
	sh.expect(t, "0", "muniment dump $DATA --to log.jsonl && muniment load log.jsonl --to loaded && muniment timeline household:$HOUSEHOLD --data loaded", `registered household 0198a5c2 in Ockham`)
	sh.expect(t, "0", "muniment move --from $DATA --to moved --keys-to moved/keys.db && muniment inspect $FIRST --data moved", `registered household 0198a5c2 in Ockham`)
	sh.expect(t, "0", "muniment restore backups/* --keys-from keys-backups/* --root-key $DATA/root.key --register $DATA/register.json --to restored --key '"+in.key+"'", `is restored`)
	sh.expect(t, "0", "cp $DATA/root.key restored; muniment timeline household:0198a5c2-7d1e-7a40-9f3b-5b6c7d8e9f02 --data restored --unseal", `/name=Hopper`)
	in.again()
	sh.expect(t, "0", "muniment entity check", `2 entities were folded anew`)
	sh.expect(t, "0", "muniment entity list household --where name^=hop --output entity_id", `0198a5c2-7d1e-7a40-9f3b-5b6c7d8e9f02`)
}

// expect runs commands that may fail: their exit code, and what they print.
func (s *shell) expect(t *testing.T, code, commands, want string) {
	t.Helper()
	printed := s.run("code=0\n(" + commands + ") || code=$?\necho \"exit $code\"")
	if !strings.HasSuffix(strings.TrimSpace(printed), "exit "+code) || !regexp.MustCompile(want).MatchString(printed) {
		t.Errorf("%s\nprinted\n%s\nwant exit %s and %s", commands, printed, code, want)
	}
}
