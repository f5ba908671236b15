package view

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/fault"
)

// What is written for PostgreSQL has no byte 0, comes back as it was, and keeps
// the order of bytes, so that pages and searches are as in SQLite.
func FuzzEscape(f *testing.F) {
	f.Add("", "\x00")
	f.Add("a\x00", "a\x01")
	f.Add("\x01\x01", "\x00")
	f.Add("\x01\x02", "\x01")
	f.Add("a", "a\x00b")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := escape(a), escape(b)
		if strings.Contains(x, "\x00") || unescape(x) != a || strings.Compare(x, y) != strings.Compare(a, b) || strings.HasPrefix(x, y) != strings.HasPrefix(a, b) {
			t.Fatalf("%q %q: %q %q", a, b, x, y)
		}
	})
}

// What may pass is tried again; what is wrong with the database stops nobody
// from knowing what.
func TestTranslate(t *testing.T) {
	for code, want := range map[string]struct {
		passes bool
		text   string
	}{
		"57P01": {true, "starting or stopping"}, "57P03": {true, "starting or stopping"}, "08006": {true, "does not answer"}, "40P01": {true, "holds a lock"}, "40001": {true, "cannot do this now"},
		"53100": {true, "disk of PostgreSQL is full"}, "53300": {true, "max_connections"}, "25006": {true, "read-only"}, "58030": {true, "file of its own"},
		"42501": {true, "database role"}, "28P01": {true, "user or the password"}, "3D000": {true, "does not exist"}, "25P03": {true, "cannot do this now"},
		"XX001": {false, "rebuild"}, "54000": {false, "refused a statement"}, "42601": {false, "refused a statement"},
	} {
		err := translate(&pgconn.PgError{Code: code, Message: "secret"})
		if passes(err) != want.passes || !strings.Contains(err.Error(), want.text) || !ofDatabase(err) || strings.Contains(fault.Public(err), "secret") {
			t.Errorf("%s: %v", code, err)
		}
	}
	if err := translate(io.ErrUnexpectedEOF); !passes(err) {
		t.Error(err)
	}
	if err := translate(&pgconn.PgError{Code: "42P01"}); !errors.Is(err, errElsewhere) || passes(err) {
		t.Error(err)
	}
}

// Rows go to PostgreSQL as an array for each column.
func TestUnnest(t *testing.T) {
	b := &bulk{"INSERT INTO x ", "", []string{"bytea", "bigint", "text"}, 0}
	rows := [][]any{{[]byte{}, int64(-1), "a"}, {nil, nil, "\x00"}}
	list := slices.Collect(unnestRows(b, len(rows), keysOf(rows), nil))
	if len(list) != 1 || list[0].sql != "INSERT INTO x SELECT * FROM unnest(?::bytea[], ?::bigint[], ?::text[])" {
		t.Fatal(list)
	}
	got := list[0].args[2].(column).encode()
	want := "\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x19\x00\x00\x00\x02\x00\x00\x00\x01" + "\x00\x00\x00\x01a" + "\x00\x00\x00\x02\x01\x01"
	if string(got) != want {
		t.Fatalf("%q", got)
	}
	if got := list[0].args[0].(column).encode(); string(got[20:]) != "\x00\x00\x00\x00\xff\xff\xff\xff" {
		t.Fatalf("%q", got)
	}
	if list := slices.Collect(unnestRows(b, 0, keysOf(nil), nil)); list != nil {
		t.Fatal(list)
	}
}
