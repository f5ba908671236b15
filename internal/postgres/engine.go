package postgres

import (
	"os"
	"testing"
)

// Engine is the environment variable that has the tests of the product run on
// PostgreSQL: 15 or 18; without it they run on the embedded stores.
const Engine = "MUNIMENT_ENGINE"

// product is what the tests of the product share. They end no server of
// PostgreSQL, and each makes some two hundred tables: nothing is synced.
var product = sharing{settings: map[string]string{"max_connections": "400", "fsync": "off", "full_page_writes": "off"}, clusters: map[int]*Cluster{}}

// Chosen gives a test of the product an empty database for the log and another
// for the keys, if it is to run on PostgreSQL; false if it is not.
func Chosen(t testing.TB) (log, keys string, ok bool) {
	t.Helper()
	v, ok := chosen(t)
	if !ok {
		return "", "", false
	}
	c := product.cluster(t, v)
	return c.NewDatabase(t), c.NewDatabase(t), true
}

// ChosenOwn is Chosen for a test that needs a cluster of its own, such as one
// that looks into its files.
func ChosenOwn(t testing.TB, settings map[string]string) (c *Cluster, ok bool) {
	t.Helper()
	v, ok := chosen(t)
	if !ok {
		return nil, false
	}
	return Start(t, Options{Version: v, Settings: settings}), true
}

// SkipIfChosen skips a test that would be the same again: it names its engine
// itself, or needs none.
func SkipIfChosen(t testing.TB) {
	t.Helper()
	if _, ok := chosen(t); ok {
		t.Skip("not about the chosen engine")
	}
}

func chosen(t testing.TB) (version int, ok bool) {
	t.Helper()
	switch v := os.Getenv(Engine); v {
	case "":
		return 0, false
	case "15":
		return V15, true
	case "18":
		return V18, true
	default:
		t.Fatalf("%s is 15 or 18, not %q", Engine, v)
		return 0, false
	}
}
