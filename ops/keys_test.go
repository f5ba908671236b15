package ops

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"muniment.dev/event"
	"muniment.dev/internal/postgres"
	"muniment.dev/ledger"
	"muniment.dev/seal"
	"muniment.dev/seal/kms/file"
)

// Keys are moved to PostgreSQL and back, never over others, and the serving
// role is given its rights by the owner.
func TestKeysCommands(t *testing.T) {
	t.Parallel()
	w := inMemory(t, 20)
	server, register := postgres.Shared(t).NewDatabase(t), postgres.Shared(t).NewDatabase(t)
	back := filepath.Join(t.TempDir(), "keys.db")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"keys move " + w.l.Keys + " " + server, ExitOK, "Moved "},
		{"keys move " + server + " " + back, ExitOK, "destroy the old one"},
		{"keys move " + server + " " + back, ExitUnchecked, "holds keys already"},
		{"keys move " + back + ".none " + back, ExitUnchecked, "there is no key database"},
		{"keys migrate " + server + " --serve " + postgres.Superuser, ExitOK, "may connect as"},
		{"keys migrate " + server + " --serve nobody_is_called_so", ExitUnchecked, "create it first"},
		{"keys migrate " + back + " --serve x", ExitUnchecked, "only a key database on PostgreSQL"},
		{"register migrate " + register + "#name --serve " + postgres.Superuser, ExitOK, "may connect as"},
		{"register migrate " + back + " --serve x", ExitUnchecked, "only a register on PostgreSQL"},
	} {
		f := strings.Fields(c.args)
		if code, out, problem := run(t, f...); code != c.code || !strings.Contains(out+problem, c.says) {
			t.Errorf("%s: %d\n%s%s", strings.Join(f[:2], " "), code, out, problem)
		}
	}
}

// The statements and commands of the page about keys and register do what they
// say: the serving role draws keys, and has all that it should have and no more.
func TestHowToKeysAndRegister(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/how-to/keys-and-register.md")
	must(t, err)
	c := postgres.Start(t, postgres.Options{Settings: map[string]string{"wal_recycle": "off", "wal_keep_size": "0"}})
	w := inMemory(t, 20)
	as := func(role, database string) string { return c.DSNOf(role, postgres.Password, database) }
	places := strings.NewReplacer(`"$OWNER"`, as("muniment_keys_owner", "muniment_keys"), `"$REGISTER_OWNER"`, as("muniment_register_owner", "muniment_register"), "data/keys.db", w.l.Keys)
	for i, m := range regexp.MustCompile("(?s)```(sql|sh)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(m[2]) {
			line = strings.TrimSpace(line)
			if m[1] == "sh" {
				if code, out, problem := run(t, strings.Fields(places.Replace(strings.TrimPrefix(line, "muniment ")))...); code != ExitOK {
					t.Fatalf("%s: %d\n%s%s", line, code, out, problem)
				}
				continue
			}
			database := ""
			if strings.Contains(line, "ON FUNCTION") {
				database = "muniment_keys"
			}
			c.Exec(t, database, line)
			if role, ok := strings.CutSuffix(line, " LOGIN;"); ok {
				c.Exec(t, "", "ALTER ROLE "+strings.TrimPrefix(role, "CREATE ROLE ")+" PASSWORD '"+postgres.Password+"'")
			}
		}
		if i > 9 {
			t.Fatal("the page has more pieces than were looked at")
		}
	}
	root, err := file.Open(w.l.Root)
	must(t, err)
	keys, err := seal.OpenKeys(t.Context(), as("muniment_keys", "muniment_keys"), root)
	must(t, err)
	defer keys.Close()
	log := w.log.ID()
	id, _, err := keys.Draw(t.Context(), log)
	must(t, err)
	must(t, keys.Destroy(t.Context(), log, id))
	if advice, err := seal.Advise(t.Context(), as("muniment_keys", "muniment_keys")); err != nil || len(advice) > 0 {
		t.Errorf("advice on what the page describes: %+v %v", advice, err)
	}
	if missing, err := seal.Missing(t.Context(), as("muniment_keys", "muniment_keys"), []event.KeyID{keyOfSubject(t, w, w.users[0])}); err != nil || len(missing) > 0 {
		t.Errorf("a key did not arrive: %v", err)
	}
	reg, err := ledger.OpenRegister(t.Context(), as("muniment_register", "muniment_register")+"#one")
	must(t, err)
	defer reg.Close()
	must(t, reg.CompareAndSwap(t.Context(), ledger.State{}, ledger.State{Log: log, Term: 1}))
}
