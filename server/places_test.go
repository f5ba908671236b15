package server

import (
	"errors"
	"strings"
	"testing"

	"muniment.dev/fault"
)

// On a database all that nodes share must be said, and nothing that cannot be.
func TestPlaces(t *testing.T) {
	const db, keys, etcd = "postgres://muniment@127.0.0.1/log", "postgres://muniment@127.0.0.1/keys", "etcd://127.0.0.1:2379/muniment"
	for _, c := range []struct {
		c     Config
		field string // that is refused; "" for none
	}{
		{Config{}, ""},
		{Config{Database: db, Keys: keys, Register: etcd}, ""},
		{Config{Database: db, Keys: "keys.db", Register: "/mnt/register.json"}, ""},
		{Config{Database: db, Keys: keys, Register: etcd, NodeListen: "10.0.0.5:8301"}, ""},
		{Config{Database: db, Keys: keys, Register: etcd, NodeListen: ":8301", NodeURL: "https://a.example"}, ""},
		{Config{Database: "postgres:///log?host=/run/postgresql", Keys: keys, Register: etcd}, ""},
		{Config{Database: db, Register: etcd}, "keys"},
		{Config{Database: db, Keys: keys}, "register"},
		{Config{Database: "muniment", Keys: keys, Register: etcd}, "database"},
		{Config{Database: "mysql://h/d", Keys: keys, Register: etcd}, "database"},
		{Config{Database: "postgres://%zz", Keys: keys, Register: etcd}, "database"},
		{Config{DatabaseOwner: db}, "database"},
		{Config{DatabaseErase: db}, "database"},
		{Config{Database: db, Keys: etcd, Register: etcd}, "keys"},
		{Config{Database: db, Keys: keys, Register: "http://127.0.0.1"}, "register"},
		{Config{NodeListen: "10.0.0.5:8301"}, "node-listen"},
		{Config{Database: db, Keys: "keys.db", Register: etcd, NodeListen: "10.0.0.5:8301"}, "keys"},
		{Config{Database: db, Keys: keys, Register: etcd, Views: "views.db", NodeListen: "10.0.0.5:8301"}, "views"},
		{Config{Database: db, Keys: keys, Register: etcd, NodeListen: "8301"}, "node-listen"},
		{Config{Database: db, Keys: keys, Register: etcd, NodeListen: "0.0.0.0:8301"}, "node-url"},
		{Config{Database: db, Keys: keys, Register: etcd, NodeListen: "10.0.0.5:8301", NodeURL: "ftp://x"}, "node-url"},
		{Config{Database: db, Keys: keys, Register: etcd, NodeURL: "http://x"}, "node-listen"},
		{Config{Lease: "10ms"}, "lease"},
		{Config{Lease: "an hour"}, "lease"},
		{Config{Lease: "1h"}, "lease"},
	} {
		c.c.Data, c.c.Listen = "data", "127.0.0.1:8300"
		err := c.c.Check()
		var f *fault.Error
		if got := ""; errors.As(err, &f) {
			got = f.Field
			if got != c.field {
				t.Errorf("%+v: %v, want %q refused", c.c, err, c.field)
			}
		} else if c.field != "" {
			t.Errorf("%+v: is accepted, want %q refused", c.c, c.field)
		}
	}
}

// A password is never shown, wherever it stands, nor does an error repeat one.
func TestPasswordsOfPlaces(t *testing.T) {
	for _, dsn := range []string{"postgres://me:hunter2@db/log", "postgres://me@db/log?password=hunter2", "postgres://db/log?sslkey=x&sslpassword=hunter2", "postgres://me:hunter2@db:%zz/log"} {
		c, all, _, err := LoadConfig([]string{"--data", "d", "--database", dsn}, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if strings.Contains(e.Shown(), "hunter2") {
				t.Errorf("shown: %s", e.Shown())
			}
			if e.Name == "database" && e.Value != dsn {
				t.Errorf("the value is %s", e.Value)
			}
		}
		if err := c.Check(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("refused with %v", err)
		}
	}
	if e := (Effective{Setting: Setting{secret: true}, Value: "/mnt/register.json"}); e.Shown() != e.Value {
		t.Errorf("a path is shown as %s", e.Shown())
	}
}
